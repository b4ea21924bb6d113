"""The sharing dialog and the page that explains."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from agents import permissions, sharing
from agents.models import Agent, ModelRoute, Policy, Role, Soul, User
from tests.conftest import person
from tests.runs.acting import finished

Browser = Callable[..., Client]
HTMX = {"headers": {"HX-Request": "true"}}


def text_of(response: Any) -> str:
    """What a reader sees."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", response.content.decode()))


def held(row: Any) -> dict[str, str]:
    return {grant.name: grant.level for grant in sharing.grants_on(row)}


@pytest.fixture
def address(atlas: Agent) -> str:
    return f"/share/agent/{atlas.pk}/"


def test_the_dialog_shows_owner_grants_and_who_could_be_added(
    browser: Browser, alice: User, bob: User, mallory: User, address: str
) -> None:
    Group.objects.create(name="helpers")

    page = browser(alice).get(address).content.decode()

    with_access, _, others = page.partition('id="candidates"')
    assert "alice" in with_access
    assert 'value="bob"' in with_access
    assert 'value="mallory"' in others
    assert 'value="helpers"' in others
    assert 'value="bob"' not in others


def test_the_list_of_candidates_is_searched(browser: Browser, alice: User, mallory: User, address: str) -> None:
    client = browser(alice)

    assert "mallory" in text_of(client.get(address, {"search": "MALL"}))
    assert "Nobody without access is called “zoe”" in text_of(client.get(address, {"search": "zoe"}))


@pytest.mark.parametrize("who", ["bob", "mallory", "viewer", "an operator"])
def test_who_does_not_manage_it_is_not_shown_the_dialog(
    browser: Browser, who: str, address: str, atlas: Agent, bob: User, mallory: User, viewer: User
) -> None:
    permissions.grant(viewer, "manage", atlas)
    user = person("olive", Role.OPERATOR) if who == "an operator" else User.objects.get(username=who)
    client, before = browser(user), held(atlas)

    assert client.get(address).status_code == 404
    for change in (
        {"do": "grant", "person": user.username, "level": "manage"},
        {"do": "revoke", "person": "bob"},
        {"do": "visibility", "visibility": "shared"},
        {"do": "transfer", "person": user.username},
    ):
        assert client.post(address, change).status_code == 404
    atlas.refresh_from_db()
    assert (held(atlas), atlas.visibility, atlas.owner.username) == (before, "private", "alice")


def test_a_stranger_is_sent_to_sign_in(browser: Browser, address: str, atlas: Agent) -> None:
    for path in (address, f"/explain/agent/{atlas.pk}/"):
        assert "/accounts/login" in browser().get(path)["Location"]


def test_each_form_changes_one_thing_and_returns_to_the_page(
    browser: Browser, alice: User, mallory: User, bob: User, address: str, atlas: Agent
) -> None:
    client = browser(alice)

    for change in (
        {"do": "grant", "person": "mallory", "level": "edit"},
        {"do": "revoke", "person": "bob"},
        {"do": "visibility", "visibility": "shared"},
    ):
        answer = client.post(address, change)
        assert (answer.status_code, answer["Location"]) == (302, address)

    atlas.refresh_from_db()
    assert (held(atlas), atlas.visibility) == ({"mallory": "edit"}, "shared")
    assert "Everyone may use it now." in text_of(client.get(address))


def test_htmx_gets_the_access_alone_and_the_news_for_screen_readers(
    browser: Browser, alice: User, mallory: User, address: str
) -> None:
    answer = browser(alice).post(address, {"do": "grant", "person": "mallory", "level": "chat"}, **HTMX)

    page = answer.content.decode()
    assert page.lstrip().startswith('<div id="access"')
    assert "<html" not in page
    assert 'hx-swap-oob="innerHTML">mallory has the level chat now.' in page


def test_a_refusal_is_said_on_the_page_and_beside_the_form(
    browser: Browser, alice: User, viewer: User, address: str
) -> None:
    client, change = browser(alice), {"do": "grant", "person": "viewer", "level": "chat"}

    page, part = client.post(address, change), client.post(address, change, **HTMX)

    assert page.status_code == part.status_code == 400
    for answer in (page, part):
        assert "does not include: send messages to an agent." in text_of(answer)
    assert "<h1" in page.content.decode()
    assert "<h1" not in part.content.decode()
    assert client.post(address, {"do": "explode"}).status_code == 400


def test_who_gives_it_away_completely_leaves_the_page(
    browser: Browser, alice: User, bob: User, address: str, atlas: Agent
) -> None:
    answer = browser(alice).post(address, {"do": "transfer", "person": "bob"})

    atlas.refresh_from_db()
    assert (answer["Location"], atlas.owner, held(atlas)) == ("/", bob, {})


def test_who_keeps_managing_it_stays(browser: Browser, alice: User, bob: User, address: str, atlas: Agent) -> None:
    answer = browser(alice).post(address, {"do": "transfer", "person": " bob ", "keep": "on"}, **HTMX)

    atlas.refresh_from_db()
    assert (atlas.owner, held(atlas)) == (bob, {"alice": "manage"})
    assert "bob owns it now." in text_of(answer)


@pytest.mark.parametrize("kind", ["soul", "route", "policy"])
def test_every_kind_has_the_dialog(browser: Browser, ada: User, soul: Soul, route: ModelRoute, kind: str) -> None:
    policy = Policy.objects.create(name="Web")
    row = {"soul": soul, "route": route, "policy": policy}[kind]

    assert browser(ada).get(f"/share/{kind}/{row.pk}/").status_code == 200
    assert browser(ada).get(f"/explain/{kind}/{row.pk}/").status_code == 200
    assert browser(ada).get(f"/share/{kind}/none/").status_code == 404


def test_names_are_shown_as_text(browser: Browser, alice: User, address: str) -> None:
    Group.objects.create(name="<script>alert(1)</script>")
    User.objects.filter(pk=person("eve").pk).update(first_name="<img src=x>")

    page = browser(alice).get(address).content.decode()

    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page


def test_the_dialog_is_light_and_costs_few_queries_however_many_have_access(
    browser: Browser, alice: User, address: str, atlas: Agent,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:  # fmt: skip
    for number in range(30):
        permissions.grant(person(f"colleague-{number}"), "chat", atlas)
    for number in range(30):
        person(f"candidate-{number}")
    client = browser(alice)

    with django_assert_max_num_queries(10):
        page = client.get(address)

    assert len(page.content) < 60_000
    assert "10 more grants not shown" in text_of(page)
    assert "colleague-29" in text_of(client.get(address, {"search": "colleague-29"}))


def test_explain_lists_what_one_may_do(browser: Browser, bob: User, atlas: Agent) -> None:
    page = text_of(browser(bob).get(f"/explain/agent/{atlas.pk}/"))

    assert "What you may do" in page
    assert "A grant to this person gives the level chat." in page


def test_explain_says_why_not_and_the_way(browser: Browser, bob: User, atlas: Agent) -> None:
    page = text_of(browser(bob).get(f"/explain/agent/{atlas.pk}/", {"action": "agent.edit"}))

    assert "bob may not do this: change an agent's soul, tools, model and policies." in page.replace("&#x27;", "'")
    assert "To allow this, grant bob the level edit on the agent atlas." in page
    assert "Grant bob the level" not in page


def test_who_manages_it_may_ask_for_others_and_grant_what_is_missing(
    browser: Browser, alice: User, mallory: User, atlas: Agent
) -> None:
    client = browser(alice)

    page = client.get(f"/explain/agent/{atlas.pk}/", {"person": "mallory", "action": "agent.chat"}).content.decode()
    form = dict(re.findall(r'<input type="hidden" name="(do|person|level)" value="([^"]+)">', page))
    client.post(f"/share/agent/{atlas.pk}/", form)

    assert "Grant mallory the level chat" in page
    assert permissions.allows(mallory, "agent.chat", atlas)


def test_nobody_else_may_ask_for_others(browser: Browser, bob: User, alice: User, atlas: Agent) -> None:
    client = browser(bob)

    known = client.get(f"/explain/agent/{atlas.pk}/", {"person": "alice"})
    unknown = client.get(f"/explain/agent/{atlas.pk}/", {"person": "nobody"})

    assert known.status_code == unknown.status_code == 403
    assert text_of(known) == text_of(unknown)


def test_unknown_people_and_actions_are_sentences(browser: Browser, alice: User, atlas: Agent) -> None:
    client = browser(alice)

    assert "This person was not found." in text_of(client.get(f"/explain/agent/{atlas.pk}/", {"person": "nobody"}))
    assert "There is no action soul.view here." in text_of(
        client.get(f"/explain/agent/{atlas.pk}/", {"action": "soul.view"})
    )


def test_a_row_one_may_not_see_is_not_explained(browser: Browser, mallory: User, alice: User, atlas: Agent) -> None:
    run = finished(alice, atlas)

    for path in (f"agent/{atlas.pk}", f"run/{run.pk}", f"conversation/{run.conversation_id}", "agent/none", "user/1"):
        answer = browser(mallory).get(f"/explain/{path}/")
        assert answer.status_code == 404
        assert "atlas" not in answer.content.decode()


def test_the_chat_links_to_sharing_for_who_manages_the_agent_alone(
    browser: Browser, alice: User, bob: User, address: str, atlas: Agent
) -> None:
    assert address in browser(alice).get(f"/chat/new/{atlas.pk}/").content.decode()
    assert address not in browser(bob).get(f"/chat/new/{atlas.pk}/").content.decode()
    assert f"/explain/agent/{atlas.pk}/" in browser(bob).get(f"/chat/new/{atlas.pk}/").content.decode()
