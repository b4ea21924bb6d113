"""A soul's four lists and an agent's choice make what a run gets: as a table, and in the place a run takes it from."""

from __future__ import annotations

from typing import Any

import pytest

from agents import composition, souls
from agents.errors import Invalid
from agents.models import Agent, ModelRoute, User
from agents.toolsets import NO_LISTS, TOOLSETS, ToolsetLists, check_choice, check_lists, preselected, toolsets_for
from runs.composing import compose
from sandboxes import records


@pytest.mark.parametrize(
    ("lists", "chosen", "runs_with"),
    [
        ({}, None, "terminal file"),
        ({}, [], ""),
        ({}, ["vision"], "vision"),
        ({"enforced": ("memory",)}, [], "memory"),
        ({"enforced": ("memory",)}, ["file"], "file memory"),
        ({"enforced": ("memory",)}, None, "memory"),
        ({"default": ("todo",)}, None, "todo"),
        ({"default": ("todo",)}, [], ""),
        ({"default": ("todo",)}, ["file"], "file"),
        ({"optional": ("vision",)}, None, "terminal file"),
        ({"optional": ("vision",)}, ["vision"], "vision"),
        ({"forbidden": ("terminal",)}, None, "file"),
        ({"forbidden": ("terminal",)}, ["terminal", "todo"], "todo"),
        ({"forbidden": ("terminal", "file")}, None, ""),
        ({"enforced": ("file",), "default": ("memory",), "forbidden": ("terminal",)}, None, "file memory"),
        ({"enforced": ("file",), "optional": ("vision",)}, ["skills"], "file skills"),
    ],
)
def test_enforced_is_in_forbidden_is_out_and_the_rest_is_a_choice(
    lists: dict[str, Any], chosen: list[str] | None, runs_with: str
) -> None:
    assert toolsets_for(ToolsetLists(**lists), chosen) == tuple(runs_with.split())


def test_nobody_choosing_is_choosing_what_is_preselected() -> None:
    lists = ToolsetLists(enforced=("file",), default=("todo",), forbidden=("terminal",))

    assert preselected(lists) == toolsets_for(lists, None) == ("file", "todo")


def test_a_name_the_table_does_not_have_stays_so_that_the_run_refuses_it_aloud() -> None:
    assert toolsets_for(NO_LISTS, ["teleport", "file"]) == ("file", "teleport")


def test_a_forbidden_choice_is_refused_by_name() -> None:
    with pytest.raises(Invalid) as refused:
        check_choice(ToolsetLists(forbidden=("terminal",)), ["file", "terminal"])

    assert (refused.value.message, refused.value.field) == ("The soul forbids the toolset terminal.", "toolsets")


def test_lists_keep_the_order_of_the_table_and_each_name_once() -> None:
    checked = check_lists(ToolsetLists(enforced=("file", "terminal", "file")))

    assert checked.enforced == ("terminal", "file")


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        ({"enforced": ("file",), "forbidden": ("file",)}, "file stands in two lists: enforced and forbidden"),
        ({"default": ("todo",), "optional": ("todo",)}, "todo stands in two lists: default and optional"),
        ({"forbidden": ("teleport",)}, "no toolset called teleport"),
    ],
)
def test_lists_that_contradict_themselves_are_refused(lists: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_lists(ToolsetLists(**lists))

    assert words in refused.value.message


def test_an_agent_made_without_a_choice_gets_what_its_soul_preselects(alice: User, route: ModelRoute) -> None:
    soul = souls.create("Scribe", "Write.", alice, toolsets=ToolsetLists(("file",), ("todo",), (), ("terminal",)))

    assert composition.create(alice, "scribe", soul).toolsets == ["file", "todo"]
    assert composition.create(alice, "other", soul, toolsets=["vision"]).toolsets == ["file", "vision"]
    with pytest.raises(Invalid):
        composition.create(alice, "third", soul, toolsets=["terminal"])


def test_what_a_soul_forbids_or_enforces_later_holds_for_the_next_run_of_agents_there_are(
    alice: User, atlas: Agent
) -> None:
    before = compose(atlas)
    souls.change(atlas.soul, alice, toolsets=ToolsetLists(enforced=("todo",), forbidden=("terminal",)))
    agent = Agent.objects.get(pk=atlas.pk)

    assert before["tools"]["toolsets"] == ["file", "terminal"]
    assert compose(agent)["tools"]["toolsets"] == ["file", "todo"]
    assert records.wanted(agent.pk).toolsets == ("file", "todo")

    souls.change(agent.soul, alice, toolsets=NO_LISTS)
    assert records.wanted(agent.pk).toolsets == ("terminal", "file"), "the agent's own choice was kept"


def test_every_toolset_has_a_sentence() -> None:
    assert all(sentence.endswith(".") for sentence in TOOLSETS.values())
