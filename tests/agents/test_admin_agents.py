"""Agents and grants in the console: the rules hold, and an operator finds only their own."""

from __future__ import annotations

from html import unescape

import pytest
from django.contrib.auth.models import Permission

from agents import composition, permissions, souls
from agents.models import Agent, AgentUserGrant, Policy, Role, Soul, User
from tests.conftest import person
from tests.console import Console, complaints


@pytest.fixture
def otto(db: None) -> User:
    return person("otto", Role.OPERATOR)


@pytest.fixture
def hers(otto: User, route: object) -> Agent:
    return composition.create(otto, "ottos-agent", souls.create("Ottos soul", "Be Otto.", otto))


def test_an_operator_finds_their_own_agents_and_nobody_elses(otto: User, hers: Agent, atlas: Agent) -> None:
    console = Console(otto)
    page = console.list(Agent).content.decode()

    assert "ottos-agent" in page
    for foreign in ("atlas", atlas.pk.removeprefix("agent_"), atlas.soul.name, "alice"):
        assert foreign not in page
    assert console.open(hers).status_code == 200
    assert console.open(atlas).status_code == 302
    assert console.open(atlas, "delete").status_code == 302
    assert console.open(atlas, "history").status_code == 302


def test_forms_offer_nothing_that_names_others(otto: User, hers: Agent, atlas: Agent) -> None:
    Policy.objects.create(name="alices hosts", owner=atlas.owner)
    console = Console(otto)

    for page in (console.open(hers), console.client.get(console.address(Agent, "add"))):
        text = page.content.decode()
        assert "Ottos soul" in text
        for foreign in ("Steady hand", atlas.soul_id, atlas.soul_id.removeprefix("soul_"), "alices hosts", "alice"):
            assert foreign not in text


def test_a_choice_that_was_not_offered_is_refused(otto: User, hers: Agent, atlas: Agent) -> None:
    page = Console(otto).save(hers, soul=atlas.soul_id)

    assert "valid choice" in complaints(page)
    hers.refresh_from_db()
    assert hers.soul.name == "Ottos soul"


def test_an_agent_keeps_a_soul_its_editor_may_not_see(alice: User, otto: User, atlas: Agent) -> None:
    permissions.grant(otto, "edit", atlas)

    assert Console(otto).save(atlas, description="New words").status_code == 302
    atlas.refresh_from_db()
    assert (atlas.description, atlas.soul.owner, atlas.owner) == ("New words", alice, alice)


def test_a_new_agent_belongs_to_whoever_made_it_whatever_they_post(otto: User, hers: Agent, alice: User) -> None:
    page = Console(otto).save(Agent, name="second", soul=hers.soul_id, toolsets=["terminal"], owner="alice")

    assert page.status_code == 302
    made = Agent.objects.get(name="second")
    assert (made.owner, made.toolsets) == (otto, ["terminal"])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"name": "a\u200bb"}, "invisible"),
        ({"name": "OTTOS-AGENT"}, "already has an agent of this name"),
        ({"toolsets": ["root"]}, "valid choice"),
    ],
)
def test_the_rules_of_composing_hold(otto: User, hers: Agent, values: dict, words: str) -> None:
    page = Console(otto).save(Agent, **{"name": "new", "soul": hers.soul_id, "toolsets": ["file"], **values})

    assert words in complaints(page)
    assert Agent.objects.count() == 1


def test_deleting_marks_the_row_and_a_deleted_agent_is_read_only(otto: User, hers: Agent) -> None:
    console = Console(otto)
    assert "stay readable" in console.open(hers, "delete").content.decode()

    console.delete(hers)

    hers.refresh_from_db()
    assert hers.is_deleted
    assert 'name="_save"' not in console.open(hers).content.decode()
    assert console.delete(hers).status_code == 403


def test_of_several_chosen_agents_those_one_may_not_delete_are_refused_by_name(
    otto: User, hers: Agent, atlas: Agent
) -> None:
    permissions.grant(otto, "view", atlas)
    console = Console(otto)
    assert "their files are removed" in console.question(Agent, "delete_agents", hers, atlas)
    assert Agent.objects.alive().count() == 2

    said = console.act(Agent, "delete_agents", hers, atlas, confirmed="yes")

    assert said == ["Deleted: 1.", f"You may not do this to {atlas}."]
    assert list(Agent.objects.alive()) == [atlas]


def test_agents_are_archived_and_taken_out_again(ada: User, atlas: Agent) -> None:
    console = Console(ada)

    assert console.act(Agent, "archive", atlas, confirmed="yes") == ["Archived: 1."]
    atlas.refresh_from_db()
    assert not atlas.is_in_use
    assert console.act(Agent, "unarchive", atlas) == ["In use again: 1."]


def test_access_is_given_by_name_and_taken_back(ada: User, bob: User, mallory: User, atlas: Agent) -> None:
    console = Console(ada)
    level = AgentUserGrant.objects.get(user=bob).permission_id
    page = console.open(atlas).content.decode()
    assert 'value="bob"' in page
    assert "mallory" not in page

    console.save(
        atlas,
        **{
            "agentusergrant_set-TOTAL_FORMS": "2",
            "agentusergrant_set-0-DELETE": "on",
            "agentusergrant_set-1-user": "mallory",
            "agentusergrant_set-1-permission": level,
        },
    )

    assert permissions.allows(mallory, "agent.chat", atlas)
    assert not permissions.allows(bob, "agent.chat", atlas)


def test_a_grant_to_nobody_is_refused(ada: User, atlas: Agent, bob: User) -> None:
    level = AgentUserGrant.objects.get(user=bob).permission_id
    new = {"agentusergrant_set-TOTAL_FORMS": "2", "agentusergrant_set-1-user": "nobody"}

    page = Console(ada).save(atlas, **new, **{"agentusergrant_set-1-permission": level})

    assert "no person of this name" in complaints(page)


def test_who_may_edit_but_not_manage_neither_sees_nor_gives_access(otto: User, bob: User, atlas: Agent) -> None:
    permissions.grant(otto, "edit", atlas)
    console = Console(otto)
    level = AgentUserGrant.objects.filter(user=bob).values_list("permission_id", flat=True)[0]
    assert "bob" not in console.open(atlas).content.decode()

    console.save(
        atlas,
        **{"agentusergrant_set-TOTAL_FORMS": "1", "agentusergrant_set-INITIAL_FORMS": "0"},
        **{"agentusergrant_set-0-user": "otto", "agentusergrant_set-0-permission": level},
    )

    assert AgentUserGrant.objects.filter(user=otto).count() == 1


def test_grants_offer_the_four_levels(ada: User, atlas: Agent) -> None:
    page = Console(ada).open(atlas).content.decode()

    for sentence in ("Can view agent", "Can use the agent in a chat", "Can edit the agent", "Can manage the agent"):
        assert sentence in page
    assert "Can delete agent" not in page


@pytest.mark.parametrize("name", ["alice", "viewer"])
def test_users_and_viewers_have_no_console(request: pytest.FixtureRequest, atlas: Agent, name: str) -> None:
    console = Console(request.getfixturevalue(name))

    assert console.client.get("/admin/", follow=True).status_code == 403
    assert console.list(Agent).status_code in (302, 403)


@pytest.mark.django_db
def test_strangers_sign_in_where_everybody_does() -> None:
    answer = Console().client.get("/admin/", follow=True)

    assert answer.redirect_chain[-1][0].startswith("/accounts/login/")


def test_an_admin_gives_an_agent_to_another_owner(ada: User, bob: User, atlas: Agent, soul: Soul) -> None:
    assert Console(ada).save(atlas, owner="bob").status_code == 302

    atlas.refresh_from_db()
    assert atlas.owner == bob


def test_a_grant_that_would_have_no_effect_is_refused(ada: User, viewer: User, alice: User, atlas: Agent) -> None:
    view, chat = (Permission.objects.get(codename=f"{level}_agent").pk for level in ("view", "chat"))
    rows = {"agentusergrant_set-TOTAL_FORMS": "1", "agentusergrant_set-0-user": "viewer"}

    refused = Console(ada).save(atlas, **rows, **{"agentusergrant_set-0-permission": chat})
    Console(ada).save(atlas, **rows, **{"agentusergrant_set-0-permission": view})
    owner = Console(ada).save(atlas, **{**rows, "agentusergrant_set-TOTAL_FORMS": "2"}, **{
        "agentusergrant_set-1-user": "alice", "agentusergrant_set-1-permission": view,
    })  # fmt: skip

    assert "viewer has the role viewer, which does not include: send messages to an agent." in complaints(refused)
    assert "alice owns it" in complaints(owner)
    assert [(grant.user, grant.permission_id) for grant in AgentUserGrant.objects.all()] == [(viewer, view)]


def test_the_page_of_a_row_links_to_its_access(ada: User, otto: User, hers: Agent, atlas: Agent) -> None:
    sharing, why = f"/share/agent/{atlas.pk}/", f"/explain/agent/{atlas.pk}/"
    permissions.grant(otto, "edit", atlas)

    managing, editing = (Console(user).open(atlas).content.decode() for user in (ada, otto))

    assert (sharing in managing, why in managing) == (True, True)
    assert (sharing in editing, why in editing) == (False, True)
    assert "/share/" not in Console(ada).client.get(Console(ada).address(Agent, "add")).content.decode()
    atlas.mark_deleted()
    assert sharing not in Console(ada).open(atlas).content.decode()


def test_an_operator_says_limits_in_the_console(otto: User, hers: Agent) -> None:
    console = Console(otto)
    page = console.open(hers).content.decode()
    assert "What its sandbox may use" in page
    assert "site's 4,096" in unescape(page)

    assert console.save(hers, limit_memory_mb="512", limit_processes="900").status_code == 302
    hers.refresh_from_db()
    assert hers.limits == {"memory_mb": 512, "processes": 900}

    assert console.save(hers, limit_memory_mb="", description="Other words").status_code == 302
    hers.refresh_from_db()
    assert (hers.limits, hers.description) == ({"processes": 900}, "Other words")


@pytest.mark.parametrize(
    ("typed", "said"), [("3", "between 256 and 1,048,576"), ("many", "whole number"), ("1.5", "whole number")]
)
def test_a_limit_nobody_could_live_with_is_refused_in_the_console(
    otto: User, hers: Agent, typed: str, said: str
) -> None:
    assert said in complaints(Console(otto).save(hers, limit_memory_mb=typed))
    hers.refresh_from_db()
    assert hers.limits == {}


def test_who_may_only_edit_finds_no_limits_in_the_console_and_cannot_slip_them_in(otto: User, atlas: Agent) -> None:
    permissions.grant(otto, "edit", atlas)
    console = Console(otto)

    assert "What its sandbox may use" not in console.open(atlas).content.decode()
    assert console.save(atlas, limit_memory_mb="512").status_code == 302
    atlas.refresh_from_db()
    assert atlas.limits == {}


def test_a_new_agent_in_the_console_has_the_sites_limits(otto: User, hers: Agent) -> None:
    console = Console(otto)

    assert "What its sandbox may use" not in console.client.get(console.address(Agent, "add")).content.decode()
    assert console.save(Agent, name="another", soul=hers.soul_id, limit_memory_mb="512").status_code == 302
    assert Agent.objects.get(name="another").limits == {}
