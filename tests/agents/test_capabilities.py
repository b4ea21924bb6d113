"""One switch turns on toolsets, hosts and credentials together, and off again; who may, and what is kept of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agents import agent_secrets, capabilities, permissions
from agents.agent_secrets import RESERVED, RESERVED_BEGINNINGS, check_name
from agents.catalogue import CATALOGUE, TRUST
from agents.errors import Conflict, LogosError, NotFound
from agents.models import Agent, AgentCapability, SecurityEvent, User
from agents.toolsets import TOOLSETS

pytestmark = pytest.mark.django_db


def reworded(monkeypatch: pytest.MonkeyPatch, key: str, **changes: Any) -> None:
    monkeypatch.setitem(CATALOGUE, key, replace(CATALOGUE[key], **changes))


@pytest.mark.parametrize("key", CATALOGUE)
def test_an_entry_says_everything_that_it_turns_on(key: str) -> None:
    entry = CATALOGUE[key]

    assert entry.toolsets
    assert set(entry.toolsets) <= TOOLSETS.keys()
    assert entry.trust in TRUST
    assert entry.name
    assert entry.sentence.endswith(".")
    assert entry.data_flow.endswith(".")
    assert not entry.is_third_party or entry.hosts
    for need in entry.needs:
        assert check_name(need.name) == need.name
        assert need.label
        assert need.how.endswith(".")
    for host in entry.hosts:
        assert host.removeprefix("$") in {need.name for need in entry.needs} or host.endswith(":443")


def test_no_entry_hands_over_what_steers_the_runtime() -> None:
    names = {need.name for entry in CATALOGUE.values() for need in entry.needs}

    assert not names & RESERVED
    assert not any(name.startswith(RESERVED_BEGINNINGS) for name in names)


def test_turning_one_on_brings_its_toolsets_and_asks_for_its_credentials(atlas: Agent, alice: User) -> None:
    capabilities.switch_on(alice, atlas, "web-tavily", 1)

    assert atlas.active_toolsets() == ("terminal", "file", "web")
    assert [need.name for _, need in capabilities.missing(atlas)] == ["TAVILY_API_KEY"]

    agent_secrets.put(alice, atlas, "TAVILY_API_KEY", "tvly-something")

    assert capabilities.missing(atlas) == []


def test_turning_it_off_takes_all_of_it_back(atlas: Agent, alice: User) -> None:
    capabilities.switch_on(alice, atlas, "web-tavily", 1)
    agent_secrets.put(alice, atlas, "TAVILY_API_KEY", "tvly-something")
    assert [each.name for each in agent_secrets.granted(atlas)] == ["TAVILY_API_KEY"]

    capabilities.switch_off(alice, atlas, "web-tavily")

    assert atlas.active_toolsets() == ("terminal", "file")
    assert agent_secrets.granted(atlas) == ()
    assert atlas.agreed_capabilities() == []


def test_what_the_soul_forbids_a_capability_does_not_bring(atlas: Agent, alice: User) -> None:
    atlas.soul.forbidden_toolsets = ["todo"]
    atlas.soul.save()
    capabilities.switch_on(alice, atlas, "plan", 1)

    assert atlas.active_toolsets() == ("terminal", "file")
    assert [state.forbidden for state in capabilities.states(atlas) if state.is_on] == [("todo",)]


def test_consent_is_kept_with_its_person_and_the_withdrawal_too(atlas: Agent, alice: User) -> None:
    capabilities.switch_on(alice, atlas, "github", 1)
    row = AgentCapability.objects.get()
    capabilities.switch_off(alice, atlas, "github")

    assert (row.consented_by, row.agreed_version) == (alice, 1)
    assert [each.history_type for each in AgentCapability.history.all()] == ["-", "+"]
    told = list(
        SecurityEvent.objects.filter(object_id=atlas.pk).order_by("pk").values_list("kind", "detail__capability")
    )
    assert told == [("capability_on", "github@1"), ("capability_off", "github")]
    on = SecurityEvent.objects.get(kind="capability_on").detail
    assert (on["hosts"], on["credentials"]) == ("github.com:443, api.github.com:443", "GITHUB_TOKEN")


def test_repeating_a_click_changes_nothing(atlas: Agent, alice: User) -> None:
    for _ in range(2):
        capabilities.switch_on(alice, atlas, "plan", 1)
    for _ in range(2):
        capabilities.switch_off(alice, atlas, "plan")

    assert SecurityEvent.objects.filter(kind__startswith="capability_").count() == 2


def test_whoever_edits_turns_on_what_stays_here_and_turns_off_anything(
    atlas: Agent, alice: User, mallory: User
) -> None:
    permissions.grant(mallory, "edit", atlas)
    capabilities.switch_on(alice, atlas, "github", 1)

    capabilities.switch_on(mallory, atlas, "plan", 1)
    capabilities.switch_off(mallory, atlas, "github")
    with pytest.raises(NotFound):
        capabilities.switch_on(mallory, atlas, "github", 1)

    assert [entry.key for entry in atlas.agreed_capabilities()] == ["plan"]


def test_who_may_only_chat_switches_nothing(atlas: Agent, bob: User, viewer: User) -> None:
    for person in (bob, viewer):
        with pytest.raises(NotFound):
            capabilities.switch_on(person, atlas, "plan", 1)
        with pytest.raises(NotFound):
            capabilities.switch_off(person, atlas, "plan")


def test_an_old_wording_is_not_agreed_to(atlas: Agent, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    reworded(monkeypatch, "plan", version=2)

    with pytest.raises(Conflict) as refused:
        capabilities.switch_on(alice, atlas, "plan", 1)

    assert refused.value.reason == "wording_changed"
    assert not AgentCapability.objects.exists()


def test_what_comes_to_ask_for_more_waits_until_somebody_agrees_again(
    atlas: Agent, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    capabilities.switch_on(alice, atlas, "plan", 1)
    reworded(monkeypatch, "plan", version=2, toolsets=("todo", "web"))

    assert atlas.active_toolsets() == ("terminal", "file")
    assert [state.capability.key for state in capabilities.states(atlas) if state.asks_again] == ["plan"]

    capabilities.switch_on(alice, atlas, "plan", 2)

    assert atlas.active_toolsets() == ("terminal", "file", "todo", "web")


def test_what_the_catalogue_no_longer_has_does_nothing_and_can_be_turned_off(atlas: Agent, alice: User) -> None:
    AgentCapability.objects.create(agent=atlas, key="gone", agreed_version=1, consented_by=alice)

    assert atlas.agreed_capabilities() == []
    capabilities.switch_off(alice, atlas, "gone")
    assert not AgentCapability.objects.exists()
    with pytest.raises(NotFound):
        capabilities.switch_on(alice, atlas, "gone", 1)


def test_a_deleted_agent_gets_nothing_more(atlas: Agent, alice: User) -> None:
    atlas.mark_deleted()

    with pytest.raises(LogosError):
        capabilities.switch_on(alice, atlas, "plan", 1)


def test_the_whole_catalogue_takes_two_queries(atlas: Agent, alice: User, django_assert_num_queries: Any) -> None:
    for key in ("plan", "github", "remember"):
        capabilities.switch_on(alice, atlas, key, 1)

    with django_assert_num_queries(2):
        states = capabilities.states(atlas)

    assert {state.capability.key for state in states if state.is_on} == {"plan", "github", "remember"}
    assert {state.capability.key for state in states if state.waits} == {"github"}
