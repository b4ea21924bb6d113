"""Agents have names one can see and tell apart, and are found by them."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection

from agents import composition, permissions, routes, souls
from agents.errors import Conflict, Invalid, LogosError, NotFound
from agents.models import Agent, ModelRoute, Soul, User, Visibility
from tests.conftest import person


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("atlas", "atlas"),
        ("  Atlas II ", "Atlas II"),
        ("Zoë", "Zoë"),
        ("Zoe\u0308", "Zoë"),
        ("名前 🤖", "名前 🤖"),
        ("👩🏽\u200d💻", "👩🏽\u200d💻"),
        ("x" * 60, "x" * 60),
    ],
)
def test_a_name_is_kept_as_people_write_it(given: str, kept: str) -> None:
    assert composition.clean_name(given) == kept


@pytest.mark.parametrize("name", ["", " \t\n", "x" * 61, "a\u200bb", "a\x00b", "a\nb", "a\tb", "\u3164", "\u202eevil"])
def test_a_name_that_cannot_be_read_is_refused(name: str) -> None:
    with pytest.raises(Invalid) as refused:
        composition.clean_name(name)

    assert refused.value.field == "name"


@pytest.mark.parametrize(("first", "second"), [("Atlas", "atlas"), ("Ärger", "ÄRGER"), ("Zoë", "ZOE\u0308")])
def test_one_person_cannot_have_two_agents_of_one_name(alice: User, soul: Soul, first: str, second: str) -> None:
    composition.create(alice, first, soul)

    with pytest.raises(Conflict) as refused:
        composition.create(alice, second, soul)

    assert refused.value.reason == "name_taken"


def test_two_people_can(alice: User, ada: User, soul: Soul) -> None:
    composition.create(alice, "atlas", soul)

    assert composition.create(ada, "atlas", soul).owner == ada


def test_a_deleted_agent_frees_its_name_and_cannot_be_found(alice: User, atlas: Agent, soul: Soul) -> None:
    atlas.mark_deleted()

    again = composition.create(alice, "ATLAS", soul)

    assert composition.find(alice, "atlas") == again
    with pytest.raises(NotFound):
        composition.find(alice, atlas.pk)


def test_an_agent_starts_with_terminal_and_files_and_the_default_route(atlas: Agent, route: ModelRoute) -> None:
    assert atlas.toolsets == ["terminal", "file"]
    assert atlas.route is None
    assert routes.route_of(atlas) == route
    assert atlas.visibility == Visibility.PRIVATE


def test_toolsets_are_those_of_the_catalogue(alice: User, soul: Soul) -> None:
    assert composition.create(alice, "none", soul, toolsets=[]).toolsets == []
    with pytest.raises(Invalid) as refused:
        composition.create(alice, "odd", soul, toolsets=["terminal", "root"])
    assert refused.value.field == "toolsets"


@pytest.mark.parametrize("what", ["soul", "route"])
def test_nobody_composes_with_what_they_cannot_see(mallory: User, alice: User, soul: Soul, what: str) -> None:
    own = souls.create("Own", "Be mine.", mallory)
    route = routes.rehearsal_route()
    ModelRoute.objects.update(visibility=Visibility.PRIVATE)
    chosen: dict[str, Any] = {"soul": {"soul": soul}, "route": {"soul": own, "route": route}}[what]

    with pytest.raises(NotFound):
        composition.create(mallory, "hers", **chosen)

    assert not Agent.objects.exists()


def test_viewers_make_no_agents(viewer: User, soul: Soul) -> None:
    permissions.grant(viewer, "manage", soul)

    with pytest.raises(LogosError) as refused:
        composition.create(viewer, "mine", soul)

    assert refused.value.reason == "forbidden"


def test_a_description_too_long_is_refused(alice: User, soul: Soul) -> None:
    with pytest.raises(Invalid) as refused:
        composition.create(alice, "atlas", soul, description="x" * 301)

    assert refused.value.field == "description"


@pytest.mark.parametrize("called", ["atlas", "ATLAS", " Atlas "])
def test_an_agent_is_found_by_name_and_by_id(alice: User, atlas: Agent, called: str) -> None:
    assert composition.find(alice, called) == atlas
    assert composition.find(alice, atlas.pk) == atlas


def test_an_agent_is_found_by_a_name_of_any_script(alice: User, soul: Soul) -> None:
    made = composition.create(alice, "Ärger", soul)

    assert composition.find(alice, "äRGER") == made


def test_ones_own_agent_comes_before_a_shared_one_of_the_same_name(alice: User, bob: User, soul: Soul) -> None:
    permissions.grant(bob, "view", soul)
    own = composition.create(bob, "Atlas", soul)

    assert composition.find(bob, "atlas") == own


def test_several_foreign_agents_of_one_name_need_an_id(alice: User, bob: User, ada: User, soul: Soul) -> None:
    composition.create(ada, "atlas", soul, visibility=Visibility.SHARED)

    with pytest.raises(Conflict) as unclear:
        composition.find(bob, "atlas")

    assert unclear.value.reason == "ambiguous"


@pytest.mark.parametrize("called", ["atlas", "", "%", "agent_none"])
def test_mallory_finds_nothing(mallory: User, atlas: Agent, called: str) -> None:
    with pytest.raises(NotFound):
        composition.find(mallory, called)
    with pytest.raises(NotFound):
        composition.find(mallory, atlas.pk)


def test_who_may_only_look_does_not_find_an_agent_to_chat_with(viewer: User, atlas: Agent) -> None:
    permissions.grant(viewer, "chat", atlas)

    assert composition.find(viewer, "atlas") == atlas
    with pytest.raises(NotFound):
        composition.find(viewer, "atlas", "agent.chat")


@pytest.mark.django_db(transaction=True)
def test_of_two_requests_at_once_for_one_name_one_wins() -> None:
    owner = person("owner")
    soul = souls.create("Kind", "Be kind.", owner)
    start, outcomes = threading.Barrier(2), []

    def make() -> None:
        try:
            start.wait(timeout=120)
            outcomes.append(composition.create(owner, "Ärger", soul).name)
        except Conflict as error:
            outcomes.append(error.reason)
        finally:
            connection.close()

    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["name_taken", "Ärger"]
