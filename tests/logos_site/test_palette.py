"""The search behind Ctrl+K and on its page: it finds what one may see, to the letter, in few queries."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from agents import composition, permissions
from agents.models import Agent, ModelRoute, Policy, Soul, User
from logos_site import palette
from tests.runs.acting import finished

Browser = Callable[..., Client]


def titles(user: User, text: str) -> dict[str, list[str]]:
    return {group.label: [hit.title for hit in group.hits] for group in palette.find(user, text)}


def test_it_finds_an_agent_and_offers_a_chat_with_it(alice: User, atlas: Agent) -> None:
    found = titles(alice, "atl")

    assert found["Agents"] == ["atlas"]
    assert "New chat with atlas" in found["Actions"]


def test_every_kind_is_found(ada: User, alice: User, atlas: Agent) -> None:
    Policy.objects.create(name="Night watch")
    Soul.objects.filter(pk=atlas.soul_id).update(name="Night owl")
    ModelRoute.objects.update(model="night-1")
    User.objects.filter(pk=alice.pk).update(first_name="Nightingale")
    finished(alice, atlas, "What happened last night?")

    found = titles(ada, "night")

    assert {kind: len(hits) for kind, hits in found.items() if kind != "Actions"} == {
        "Souls": 1, "Models": 1, "Policies": 1, "Runs": 1, "People": 1,
    }  # fmt: skip
    assert found["Actions"] == ["Look for “night” in all runs"]


def test_nothing_of_others_is_found(mallory: User, viewer: User, alice: User, atlas: Agent) -> None:
    atlas.description = "A-private-word"
    atlas.save()
    Policy.objects.create(name="A-private-word", owner=alice)
    finished(alice, atlas, "A-private-word")

    for who in (mallory, viewer):
        found = titles(who, "private-word")
        assert set(found) == {"Actions"}
        assert found["Actions"] == ["Look for “private-word” in all runs"]
        assert "People" not in titles(who, "alice")


def test_who_may_see_and_not_chat_is_not_offered_a_chat(viewer: User, atlas: Agent) -> None:
    permissions.grant(viewer, "chat", atlas)

    found = titles(viewer, "atlas")

    assert found["Agents"] == ["atlas"]
    assert found["Actions"] == ["Look for “atlas” in all runs"]


@pytest.mark.parametrize(
    ("text", "name", "is_found"),
    [
        ("%", "atlas", False),
        ("_", "atlas", False),
        ("a%s", "atlas", False),
        ("50%", "50% done", True),
        ("a_b", "a_b", True),
        ("a_b", "axb", False),
        ("ÉMILE", "émile", True),
        ("émile", "Émile", True),
        ("東京", "Zoë 東京", True),
        ("tokyo zoë", "Zoë in Tokyo", True),
        ("tokyo zed", "Zoë in Tokyo", False),
        ("it's", "it's", True),
        ('"', 'a "b"', True),
        ("\\", "a\\b", True),
    ],
)
def test_text_is_found_to_the_letter(alice: User, atlas: Agent, text: str, name: str, is_found: bool) -> None:
    Agent.objects.update(name=name)

    assert titles(alice, text).get("Agents", []) == ([name] if is_found else [])


@pytest.mark.parametrize("text", ["", " ", "x" * 5_000, "\x00", "\ud800", "a\x00tlas", "<script>alert(1)</script>"])
@pytest.mark.parametrize("address", ["/palette/", "/search/"])
def test_whatever_is_typed_has_an_answer(browser: Browser, alice: User, address: str, text: str) -> None:
    query = text.encode(errors="surrogatepass").decode(errors="surrogatepass")
    answer = browser(alice).get(address, {"q": query.encode(errors="surrogatepass")})

    assert answer.status_code == 200
    assert "<script>alert" not in answer.content.decode()


def test_the_best_match_comes_first(alice: User, atlas: Agent) -> None:
    for name in ("The atlas of the world", "Atlases", "An atlas"):
        composition.create(alice, name, atlas.soul)

    assert titles(alice, "atlas")["Agents"] == ["atlas", "Atlases", "An atlas", "The atlas of the world"]


def test_a_run_is_found_by_its_id(alice: User, mallory: User, atlas: Agent) -> None:
    run = finished(alice, atlas, "Something")

    assert titles(alice, run.pk)["Runs"] == ["Something"]
    assert "Runs" not in titles(mallory, run.pk)


@pytest.mark.parametrize("who", ["ada", "alice", "viewer"])
def test_every_address_it_offers_opens(request: pytest.FixtureRequest, browser: Browser, who: str, ada: User) -> None:
    user = request.getfixturevalue(who)
    client = browser(user)
    offered = {
        hit.url for text in ("", "a", "new", "account") for group in palette.find(user, text) for hit in group.hits
    }

    assert len(offered) > 5
    assert {url: client.get(url).status_code for url in offered if url} == {url: 200 for url in offered if url}


def test_six_queries_and_no_more(
    browser: Browser, ada: User, alice: User, atlas: Agent, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(8):
        composition.create(alice, f"atlas {number}", atlas.soul)
        finished(alice, atlas, f"About atlas {number}")
    client = browser(ada)
    client.get("/palette/")

    with django_assert_max_num_queries(6):
        page = client.get("/palette/", {"q": "a"}).content.decode()
    assert "New chat with atlas" in page


@pytest.mark.parametrize("text", ["zebra", "agent 9", "a"])
def test_it_reads_no_more_rows_than_it_shows_among_many(
    alice: User, atlas: Agent, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Agent.objects.bulk_create(
        Agent(name=f"agent {number}", owner=alice, soul=atlas.soul, visibility="shared") for number in range(500)
    )
    read = list[str]()
    plain = Agent.from_db.__func__  # type: ignore[attr-defined]
    monkeypatch.setattr(
        Agent,
        "from_db",
        classmethod(lambda cls, *row: read.append(row[0]) or plain(cls, *row)),  # type: ignore[func-returns-value]
    )

    palette.find(alice, text)

    assert len(read) <= 30
    assert read or text == "zebra"


def test_the_search_page_needs_no_script(browser: Browser, alice: User, atlas: Agent) -> None:
    page = browser(alice).get("/search/", {"q": "atlas"}).content.decode()

    assert f'href="/chat/new/{atlas.pk}/"' in page
    assert '<form class="filters" method="get"' in page
    assert re.search(r'<a class="find" href="/search/"', page)
