"""Making an agent and changing how it is composed, on the pages: drafts are kept, others' saves are shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from agents import agent_templates, composition, permissions, routes, sharing, souls
from agents.models import Agent, ModelRoute, Policy, Provider, Soul, User
from agents.toolsets import ToolsetLists
from tests.rules import rules

Browser = Callable[..., Client]


def text_of(response) -> str:
    return response.content.decode()


def filled(agent: Agent, **changes: Any) -> dict[str, Any]:
    """What the edit form of ``agent`` posts when nobody touched it, but for ``changes``."""
    return {
        "name": agent.name,
        "description": agent.description,
        "soul": agent.soul_id,
        "route": agent.route_id or "",
        "toolsets": list(agent.toolsets),
        "policies": [policy.pk for policy in agent.policies.all()],
        "visibility": agent.visibility,
        "sprite_shape": "",
        "sprite_palette": "",
        "version": agent.version,
        **changes,
    }


# --- a new one ------------------------------------------------------------------------------------
@pytest.mark.parametrize("template", agent_templates.every(), ids=lambda each: each.slug)
def test_every_template_makes_an_agent_as_it_says(
    browser: Browser, mallory: User, route: ModelRoute, template: agent_templates.Template
) -> None:
    client = browser(mallory)
    form = client.get(f"/agents/new/?template={template.slug}").context["form"]
    posted = {name: form[name].value() for name in form.fields if form[name].value()}

    made = client.post("/agents/new/", posted)

    assert made.status_code == 302, made.context["form"].errors
    agent = Agent.objects.get()
    assert made["Location"] == f"/agents/{agent.pk}/"
    assert (agent.name, agent.owner, agent.soul.name) == (template.name, mallory, template.starter.sheet.name)
    assert (agent.sprite_shape, agent.sprite_palette) == (template.shape, template.palette)
    assert set(template.starter.sheet.toolsets.enforced) <= set(agent.toolsets)


def test_a_starter_soul_is_copied_once(browser: Browser, mallory: User, route: ModelRoute) -> None:
    client = browser(mallory)
    for name in ("one", "two"):
        client.post(
            "/agents/new/", {"name": name, "soul": "starter:caretaker", "tools": "soul", "visibility": "private"}
        )

    assert Soul.objects.count() == 1
    assert Agent.objects.count() == 2


def test_a_refused_form_keeps_what_was_typed(browser: Browser, alice: User, atlas: Agent, soul: Soul) -> None:
    posted = {
        "name": "ATLAS", "description": "Typed with care", "soul": soul.pk, "tools": "own", "toolsets": ["todo"],
        "visibility": "shared", "sprite_shape": "owl",
    }  # fmt: skip

    refused = browser(alice).post("/agents/new/", posted)

    page = text_of(refused)
    assert refused.status_code == 400
    assert "You already have an agent of this name. Choose another name." in page
    for kept in ('value="ATLAS"', "Typed with care", 'value="todo" id="toolset-todo" checked'):
        assert kept in page
    assert Agent.objects.count() == 1


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "zero\u200bwidth", "tab\tbed", "nul\x00"])
def test_a_name_that_cannot_be_is_refused(browser: Browser, alice: User, soul: Soul, name: str) -> None:
    refused = browser(alice).post(
        "/agents/new/", {"name": name, "soul": soul.pk, "tools": "soul", "visibility": "private"}
    )

    assert refused.status_code == 400
    assert not Agent.objects.exists()


def test_nobody_makes_an_agent_of_what_they_may_not_see(
    browser: Browser, mallory: User, alice: User, soul: Soul, route: ModelRoute
) -> None:
    hidden = Policy.objects.create(name="Hers", owner=alice)
    lab = Provider.objects.create(name="Lab", kind="openai-compatible", base_url="https://lab.example")
    private = routes.add_route(lab, "secret-model", alice)
    private.visibility = "private"
    private.save()
    own = souls.create("Own", "Mine.", mallory)
    Policy.objects.create(name="Mine", owner=mallory)
    good = {"name": "x", "soul": own.pk, "tools": "soul", "visibility": "private"}

    for wrong in ({"soul": soul.pk}, {"soul": soul.slug}, {"route": private.pk}, {"policies": [hidden.pk]}):
        refused = browser(mallory).post("/agents/new/", {**good, **wrong})
        assert refused.status_code == 400, wrong
        assert "Hers" not in text_of(refused)
        assert "secret-model" not in text_of(refused)
    assert not Agent.objects.exists()


def test_a_viewer_is_told_that_their_role_makes_no_agents(browser: Browser, viewer: User) -> None:
    assert browser(viewer).get("/agents/new/").status_code == 403
    assert "/agents/new/" not in text_of(browser(viewer).get("/agents/"))


def test_like_another_agent_fills_the_form_with_what_one_may_see_of_it(
    browser: Browser, bob: User, mallory: User, atlas: Agent
) -> None:
    form = browser(bob).get(f"/agents/new/?like={atlas.pk}").context["form"]

    assert form["toolsets"].value() == ["terminal", "file"]
    assert form["soul"].value() is None
    assert browser(mallory).get(f"/agents/new/?like={atlas.pk}").status_code == 404


def test_with_very_many_souls_one_types_the_name(browser: Browser, alice: User, route: ModelRoute) -> None:
    for number in range(70):
        souls.create(f"Soul {number}", "Text.", alice)
    client = browser(alice)

    page = client.get("/agents/new/")
    client.post("/agents/new/", {"name": "x", "soul": "soul-66", "tools": "soul", "visibility": "private"})

    assert '<datalist id="soul-options">' in text_of(page)
    assert len(page.content) < 60_000
    assert Agent.objects.get().soul.name == "Soul 66"


# --- changing one ---------------------------------------------------------------------------------
def test_everything_of_an_agent_can_be_changed(browser: Browser, alice: User, atlas: Agent, route: ModelRoute) -> None:
    other = souls.create("Other", "Another.", alice)
    policy = Policy.objects.create(name="Packages", rules=rules("pypi.org"), owner=alice)
    posted = filled(
        atlas, name="Atlas II", description="New", soul=other.pk, route=route.pk, toolsets=["todo"],
        policies=[policy.pk], visibility="shared", sprite_shape="owl", sprite_palette="plum",
    )  # fmt: skip

    assert browser(alice).post(f"/agents/{atlas.pk}/edit/", posted).status_code == 302

    atlas.refresh_from_db()
    assert (atlas.name, atlas.description, atlas.soul, atlas.route) == ("Atlas II", "New", other, route)
    assert (atlas.toolsets, list(atlas.policies.all()), atlas.visibility) == (["todo"], [policy], "shared")
    assert (atlas.sprite_shape, atlas.sprite_palette) == ("owl", "plum")


def test_one_change_leaves_one_record(browser: Browser, alice: User, atlas: Agent) -> None:
    one, two = (Policy.objects.create(name=name, owner=alice) for name in ("One", "Two"))
    atlas.policies.add(one)
    before = atlas.history.count()

    browser(alice).post(f"/agents/{atlas.pk}/edit/", filled(atlas, description="New", policies=[two.pk]))

    assert atlas.history.count() == before + 1
    record = atlas.history.first()
    assert (record.description, [each.policy_id for each in record.policies.all()]) == ("New", [two.pk])
    assert (record.history_user, record.via) == (alice, "page")


def test_two_who_edit_at_once_lose_nothing(browser: Browser, alice: User, ada: User, atlas: Agent) -> None:
    policy = Policy.objects.create(name="Packages", owner=alice)
    hers = filled(atlas, name="Hers", toolsets=["terminal", "file"])
    browser(ada).post(f"/agents/{atlas.pk}/edit/", filled(atlas, toolsets=["todo"], policies=[policy.pk]))

    refused = browser(alice).post(f"/agents/{atlas.pk}/edit/", hers)

    page, form = text_of(refused), refused.context["form"]
    assert refused.status_code == 409
    assert "Somebody saved this first." in page
    assert "Ada" in page or "ada" in page
    # Hers stays; what she had not touched is theirs now.
    assert (form["name"].value(), form["toolsets"].value(), form["policies"].value()) == ("Hers", ["todo"], [policy.pk])
    atlas.refresh_from_db()
    assert atlas.name == "atlas"

    again = {name: form[name].value() for name in form.fields}
    assert browser(alice).post(f"/agents/{atlas.pk}/edit/", again).status_code == 302
    atlas.refresh_from_db()
    assert (atlas.name, atlas.toolsets) == ("Hers", ["todo"])


def test_who_may_chat_may_not_edit_and_who_may_edit_does_not_share(
    browser: Browser, bob: User, alice: User, atlas: Agent
) -> None:
    address = f"/agents/{atlas.pk}/edit/"
    assert browser(bob).get(address).status_code == 404
    permissions.grant(bob, "edit", atlas)

    page = text_of(browser(bob).get(address))
    browser(bob).post(address, filled(atlas, soul="keep", description="By Bob", visibility="shared"))

    assert 'name="visibility"' not in page
    atlas.refresh_from_db()
    assert (atlas.description, atlas.visibility) == ("By Bob", "private")


def test_a_soul_and_policies_one_may_not_see_stay_when_one_saves(
    browser: Browser, alice: User, mallory: User, soul: Soul, route: ModelRoute
) -> None:
    atlas = composition.create(alice, "atlas", soul)
    hidden = Policy.objects.create(name="Her network", owner=alice)
    atlas.policies.add(hidden)
    sharing.transfer(alice, atlas, mallory, keep=False)
    address = f"/agents/{atlas.pk}/edit/"
    atlas.refresh_from_db()

    page = text_of(browser(mallory).get(address))
    saved = browser(mallory).post(address, filled(atlas, soul="keep", name="mine", policies=[]))

    assert "Keep the soul it has, which you may not see" in page
    assert soul.pk not in page
    assert saved.status_code == 302
    atlas.refresh_from_db()
    assert (atlas.name, atlas.soul, list(atlas.policies.all())) == ("mine", soul, [hidden])


def test_a_soul_that_forbids_a_toolset_is_obeyed(browser: Browser, alice: User, route: ModelRoute) -> None:
    strict = souls.create("Strict", "Text.", alice, toolsets=ToolsetLists(enforced=("todo",), forbidden=("terminal",)))
    agent = composition.create(alice, "atlas", strict)

    page = text_of(browser(alice).get(f"/agents/{agent.pk}/edit/"))
    refused = browser(alice).post(f"/agents/{agent.pk}/edit/", filled(agent, toolsets=["terminal"]))

    assert "never, by its soul" in page
    assert "The soul forbids the toolset terminal." in text_of(refused)
