"""Whatever happens in a run: step by step and at once fold to the same, and each step names what it changed."""

from __future__ import annotations

import copy
import random
from dataclasses import asdict

import pytest

from runs.events import Event
from runs.items import Item
from runs.timeline import Timeline
from tests.runs.stories import random_events

SEEDS = [range(start, start + 50) for start in (0, 50, 100)]


def drawn(timeline: Timeline) -> list[tuple[str, dict]]:
    return [(item.template, asdict(item)) for item in timeline.items]


@pytest.mark.parametrize("seeds", SEEDS)
def test_step_by_step_is_the_same_as_at_once(seeds: range) -> None:
    for seed in seeds:
        chance = random.Random(seed)
        story = random_events(chance, chance.randrange(60), ends=chance.random() < 0.5)

        stepwise = Timeline()
        for event in story:
            stepwise.apply(event)

        assert drawn(stepwise) == drawn(Timeline(story))


@pytest.mark.parametrize("seeds", SEEDS)
def test_a_viewer_that_gets_events_again_sees_no_difference(seeds: range) -> None:
    for seed in seeds:
        chance = random.Random(seed)
        story = random_events(chance, chance.randrange(60))
        timeline, heard = Timeline(), list[Event]()

        for event in story:
            heard.append(event)
            timeline.apply(event)
            while chance.random() < 0.4:
                assert timeline.apply(chance.choice(heard)) == []

        assert drawn(timeline) == drawn(Timeline(story))


@pytest.mark.parametrize("seeds", SEEDS)
def test_a_page_that_replaces_what_each_step_names_shows_the_whole(seeds: range) -> None:
    for seed in seeds:
        chance = random.Random(seed)
        timeline, page = Timeline(), dict[str, Item]()

        for event in random_events(chance, chance.randrange(60)):
            for item in timeline.apply(event):
                page[item.id] = copy.deepcopy(item)

        assert {item.id: asdict(item) for item in timeline.items} == {key: asdict(item) for key, item in page.items()}


@pytest.mark.parametrize("seeds", SEEDS)
def test_every_item_has_an_id_of_its_own_and_only_the_last_text_is_live(seeds: range) -> None:
    for seed in seeds:
        chance = random.Random(seed)
        timeline = Timeline()

        for event in random_events(chance, chance.randrange(60)):
            changed = timeline.apply(event)
            places = [timeline.items.index(item) for item in changed]
            assert places == sorted(set(places)), event.kind
            live = [
                item for item in timeline.items if item.kind in {"text", "thinking"} and getattr(item, "live", False)
            ]
            assert live in ([], timeline.items[-1:])

        assert len({item.id for item in timeline.items}) == len(timeline.items)
        assert timeline.end is timeline.items[-1]
