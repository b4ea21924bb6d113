"""The list of agents and the page of one: who finds what there, and what of it they may not see."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from agents import composition, permissions, sharing, souls, sprites
from agents.models import Agent, ModelRoute, Policy, Soul, User
from tests.rules import rules

Browser = Callable[..., Client]


def text_of(response) -> str:
    return response.content.decode()


def test_the_list_shows_what_one_may_see_and_nothing_of_others(
    browser: Browser, alice: User, bob: User, mallory: User, atlas: Agent
) -> None:
    for who in (alice, bob):
        assert f'href="/agents/{atlas.pk}/"' in text_of(browser(who).get("/agents/"))
    page = text_of(browser(mallory).get("/agents/"))

    assert "atlas" not in page
    assert "alice" not in page


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", {"atlas", "fern"}),
        ("?show=mine", {"fern"}),
        ("?show=others", {"atlas"}),
        ("?show=archived", {"old one"}),
        ("?owner=alice", {"atlas"}),
        ("?text=plants", {"fern"}),
        ("?text=nothing", set()),
        ("?show=wrong", {"atlas", "fern"}),
        ("?after=%00%ff", {"atlas", "fern"}),
    ],
)
def test_the_list_is_narrowed_by_its_address(
    browser: Browser, bob: User, atlas: Agent, query: str, shown: set[str]
) -> None:
    own = souls.create("Gardener", "Grow.", bob)
    composition.create(bob, "fern", own, description="Looks after plants")
    old = composition.create(bob, "old one", own)
    Agent.objects.filter(pk=old.pk).update(archived_at=old.created_at)

    page = text_of(browser(bob).get(f"/agents/{query}"))

    assert {name for name in ("atlas", "fern", "old one") if f">{name}</a>" in page} == shown


def test_the_list_is_narrowed_to_a_soul_that_one_may_see(
    browser: Browser, alice: User, bob: User, atlas: Agent, soul: Soul
) -> None:
    own = souls.create("Gardener", "Grow.", bob)
    composition.create(bob, "fern", own)
    permissions.grant(bob, "view", soul)

    page = text_of(browser(bob).get(f"/agents/?soul={soul.pk}"))
    assert (">atlas</a>" in page, ">fern</a>" in page) == (True, False)
    hidden = text_of(browser(alice).get(f"/agents/?soul={own.pk}"))
    assert "there is no such choice" in hidden
    assert "Gardener" not in hidden


def test_a_soul_of_many_agents_leads_to_all_of_them(browser: Browser, alice: User, soul: Soul) -> None:
    for n in range(13):
        composition.create(alice, f"number {n:02}", soul)

    page = text_of(browser(alice).get(f"/souls/{soul.pk}/"))

    assert ">number 12</a>" not in page
    listed = text_of(browser(alice).get(re.search(r'href="(/agents/\?soul=[^"]+)"', page)[1]))
    assert ">number 12</a>" in listed


def test_the_list_goes_on_page_by_page_in_the_order_of_names(browser: Browser, alice: User, soul: Soul) -> None:
    for number in range(30):
        composition.create(alice, f"{'Agent' if number % 2 else 'agent'} {number:02}", soul)
    client = browser(alice)

    first = client.get("/agents/").context["page"]
    second = client.get(f"/agents/{first.next}").context["page"]

    names = [agent.name.lower() for agent in [*first.items, *second.items]]
    assert names == sorted(names)
    assert len(names) == 30
    assert not second.next


def test_the_list_takes_few_queries_whatever_its_length(
    browser: Browser, alice: User, soul: Soul, route: ModelRoute, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(24):
        composition.create(alice, f"agent {number}", soul, route=route if number % 2 else None)
    client = browser(alice)

    with django_assert_max_num_queries(10):
        page = client.get("/agents/")
    assert len(page.content) < 60_000


def test_the_page_says_how_it_is_composed_and_where_each_value_comes_from(
    browser: Browser, alice: User, atlas: Agent, soul: Soul
) -> None:
    page = text_of(browser(alice).get(f"/agents/{atlas.pk}/"))

    assert f"{soul.name}, revision 1" in page
    assert "terminal, file" in page
    assert "The default model route; the agent names none." in page
    assert f'href="/share/agent/{atlas.pk}/"' in page


def test_the_page_offers_only_what_one_may_do(browser: Browser, bob: User, viewer: User, atlas: Agent) -> None:
    sharing_link = f"/share/agent/{atlas.pk}/"
    permissions.grant(viewer, "view", atlas)

    for who, may_chat in ((bob, True), (viewer, False)):
        page = text_of(browser(who).get(f"/agents/{atlas.pk}/"))
        assert sharing_link not in page
        assert (f"/chat/new/{atlas.pk}/" in page) is may_chat


def test_what_is_deleted_or_somebody_elses_is_not_there(
    browser: Browser, alice: User, mallory: User, atlas: Agent
) -> None:
    assert browser(mallory).get(f"/agents/{atlas.pk}/").status_code == 404
    atlas.mark_deleted()
    assert browser(alice).get(f"/agents/{atlas.pk}/").status_code == 404


def test_a_transferred_agent_keeps_a_soul_its_owner_may_not_see_and_does_not_name_it(
    browser: Browser, alice: User, mallory: User, soul: Soul, route: ModelRoute
) -> None:
    private = Policy.objects.create(name="Her network", rules=rules("home.example"), owner=alice)
    agent = composition.create(alice, "atlas", soul)
    agent.policies.add(private)
    sharing.transfer(alice, agent, mallory, keep=False)
    client = browser(mallory)

    for address in ("/agents/", f"/agents/{agent.pk}/"):
        page = text_of(client.get(address))
        assert "a soul you may not see" in page
        assert soul.name not in page
        assert "home.example" not in page
        assert "Her network" not in page


def test_the_picture_is_for_those_who_may_see_the_agent(
    browser: Browser, bob: User, mallory: User, atlas: Agent
) -> None:
    address = f"/agents/{atlas.pk}/sprite.svg"
    picture = browser(bob).get(address)

    assert browser(mallory).get(address).status_code == 404
    assert picture["Content-Type"] == "image/svg+xml"
    assert picture["X-Content-Type-Options"] == "nosniff"
    assert picture["Content-Security-Policy"] == "default-src 'none'"
    assert "<title>atlas</title>" in text_of(picture)


def test_the_picture_is_kept_by_browsers_until_it_changes(browser: Browser, bob: User, atlas: Agent) -> None:
    client, address = browser(bob), f"/agents/{atlas.pk}/sprite.svg"
    first = client.get(address)
    tag = first["ETag"]

    assert client.get(address, headers={"If-None-Match": tag}).status_code == 304
    assert "immutable" in client.get(f"{address}?v={tag.strip(chr(34))}")["Cache-Control"]
    assert first["Cache-Control"] == "private, no-cache"
    own = sprites.look(atlas.pk).palette
    Agent.objects.filter(pk=atlas.pk).update(sprite_palette="plum" if own != "plum" else "teal")
    assert client.get(address)["ETag"] != tag
