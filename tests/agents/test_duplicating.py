"""Duplicating an agent: what is copied, what is not and why, on the page and over the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from agents import composition, duplicating, permissions, routes, souls
from agents.errors import Conflict, Invalid
from agents.models import Agent, ModelRoute, Policy, Provider, Soul, User
from sandboxes.models import Sandbox
from tests.api_client import Program
from tests.runs.acting import ONE_COMMAND, ask, finished, play

Browser = Callable[..., Client]


@pytest.fixture
def heard() -> Any:
    """What is told to whoever copies."""
    told: list[dict[str, Any]] = []

    def hear(sender: Any, signal: Any, **rest: Any) -> None:
        told.append(rest)

    duplicating.agent_copied.connect(hear)
    yield told
    duplicating.agent_copied.disconnect(hear)


def test_the_copy_is_composed_alike_private_and_ones_own(alice: User, bob: User, soul: Soul, route: ModelRoute) -> None:
    policy = Policy.objects.create(name="Packages", owner=alice, visibility="shared")
    atlas = composition.create(
        alice, "atlas two", soul, toolsets=["todo"], route=route, description="Builds", visibility="shared",
        policies=[policy], sprite=("owl", "plum"),
    )  # fmt: skip
    permissions.grant(bob, "view", soul)

    copy = duplicating.duplicate(bob, atlas, "mine")

    assert (copy.owner, copy.visibility, copy.name) == (bob, "private", "mine")
    assert (copy.soul, copy.toolsets, copy.route, copy.description) == (soul, ["todo"], route, "Builds")
    assert (list(copy.policies.all()), copy.sprite_shape, copy.sprite_palette) == ([policy], "owl", "plum")


def test_what_one_may_not_see_is_not_copied(alice: User, bob: User, atlas: Agent) -> None:
    lab = Provider.objects.create(name="Lab", kind="openai-compatible", base_url="https://lab.example")
    hidden = routes.add_route(lab, "secret-model", alice)
    hidden.visibility = "private"
    hidden.save()
    atlas.route = hidden
    atlas.save()
    atlas.policies.add(Policy.objects.create(name="Hers", owner=alice))
    own = souls.create("Own", "Mine.", bob)

    with pytest.raises(Invalid, match="You may not see the soul"):
        duplicating.duplicate(bob, atlas, "mine")
    copy = duplicating.duplicate(bob, atlas, "mine", soul=own)

    assert (copy.soul, copy.route, copy.policies.count()) == (own, None, 0)


def test_files_are_for_who_manages_the_original(alice: User, bob: User, atlas: Agent, heard: list) -> None:
    Sandbox.objects.create(agent=atlas, number=1)
    own = souls.create("Own", "Mine.", bob)

    with pytest.raises(Conflict, match="Only who manages the agent"):
        duplicating.duplicate(bob, atlas, "mine", soul=own, parts=["files"])
    copy = duplicating.duplicate(alice, atlas, "second", parts=["files", "notes"], prepare=False)

    assert [(each["agent"], each["parts"], each["prepare"]) for each in heard] == [(copy, ("files", "notes"), False)]
    assert Agent.objects.count() == 2


def test_while_it_works_nothing_of_its_sandbox_is_copied(alice: User, atlas: Agent) -> None:
    Sandbox.objects.create(agent=atlas, number=1)
    play(ask(alice, atlas), ONE_COMMAND[:3])

    with pytest.raises(Conflict, match="It is working right now"):
        duplicating.duplicate(alice, atlas, "second", parts=["files"])
    assert duplicating.duplicate(alice, atlas, "second").pk


def test_sessions_with_others_are_not_ones_own_to_copy(alice: User, bob: User, atlas: Agent, heard: list) -> None:
    Sandbox.objects.create(agent=atlas, number=1)
    finished(alice, atlas)
    duplicating.duplicate(alice, atlas, "second", parts=["sessions"])
    finished(bob, atlas)

    with pytest.raises(Conflict, match="Others have talked with it"):
        duplicating.duplicate(alice, atlas, "third", parts=["sessions"])
    assert len(heard) == 1


def test_an_agent_that_never_ran_has_nothing_to_copy(alice: User, atlas: Agent) -> None:
    with pytest.raises(Conflict, match="has no sandbox yet"):
        duplicating.duplicate(alice, atlas, "second", parts=["files"])


# --- on the page ----------------------------------------------------------------------------------
def test_the_page_says_what_is_not_copied_and_makes_the_copy(browser: Browser, alice: User, atlas: Agent) -> None:
    client, address = browser(alice), f"/agents/{atlas.pk}/duplicate/"
    page = client.get(address).content.decode()

    for told in ("Chats and runs stay with the original", "has no sandbox yet", 'value="atlas (copy)"'):
        assert told in page
    made = client.post(address, {"name": "atlas (copy)"})

    copy = Agent.objects.exclude(pk=atlas.pk).get()
    assert made["Location"] == f"/agents/{copy.pk}/"


def test_a_refused_copy_keeps_what_was_typed(browser: Browser, alice: User, atlas: Agent) -> None:
    refused = browser(alice).post(f"/agents/{atlas.pk}/duplicate/", {"name": "atlas"})

    assert refused.status_code == 400
    assert "You already have an agent of this name." in refused.content.decode()
    assert 'value="atlas"' in refused.content.decode()


def test_with_a_hidden_soul_one_chooses_another(browser: Browser, bob: User, atlas: Agent, soul: Soul) -> None:
    own = souls.create("Own", "Mine.", bob)
    client, address = browser(bob), f"/agents/{atlas.pk}/duplicate/"

    page = client.get(address).content.decode()
    assert "choose one for the copy" in page
    assert soul.pk not in page
    assert client.post(address, {"name": "x", "soul_id": soul.pk}).status_code == 400
    assert client.post(address, {"name": "x", "soul_id": own.pk}).status_code == 302


def test_nobody_duplicates_what_is_not_there_for_them(
    browser: Browser, mallory: User, viewer: User, atlas: Agent
) -> None:
    permissions.grant(viewer, "view", atlas)

    assert browser(mallory).post(f"/agents/{atlas.pk}/duplicate/", {"name": "x"}).status_code == 404
    assert browser(viewer).get(f"/agents/{atlas.pk}/duplicate/").status_code == 403


# --- over the API ---------------------------------------------------------------------------------
def test_a_program_duplicates_too(alice: User, mallory: User, atlas: Agent) -> None:
    Sandbox.objects.create(agent=atlas, number=1)
    path = f"agents/{atlas.pk}/duplicate"

    copy = Program(alice).post(path, {"name": "second", "copy": ["files"], "prepare": False}, 201)

    assert (copy["name"], copy["soul"]["id"], copy["visibility"]) == ("second", atlas.soul_id, "private")
    assert Program(alice).post(path, {"name": "third", "copy": ["secrets"]}, 400)["error"]["field"] == "copy"
    assert Program(mallory).post(path, {"name": "x"}, 404)["error"]["reason"] == "not_found"


def test_its_limits_are_copied_as_far_as_one_may_give_them(alice: User, ada: User, atlas: Agent) -> None:
    atlas.limits = {"memory_mb": 512, "processes": 900, "gone_limit": 3}
    atlas.save()

    mine = duplicating.duplicate(alice, atlas, "mine")

    assert mine.limits == {"memory_mb": 512}  # 900 processes are more than the site gives
    assert mine.history.count() == 1
    assert any("Limits above the site's" in sentence for sentence in duplicating.omissions(alice, atlas))
    assert duplicating.duplicate(ada, atlas, "hers", soul=atlas.soul).limits == {"memory_mb": 512, "processes": 900}
