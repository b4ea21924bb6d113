"""The starter souls that come with Logos: what each holds, and that choosing one copies it and notes where it is from."""

from __future__ import annotations

import re

import pytest

from agents import choosing, souls, starters
from agents.errors import NotFound
from agents.models import Soul, User
from agents.starters import Starter
from agents.toolsets import check_lists


def test_there_are_eleven_and_the_default_comes_first() -> None:
    every = starters.every()

    assert len(every) == 11
    assert every[0].slug == starters.DEFAULT
    assert len({starter.sheet.name for starter in every}) == 11
    assert len({starter.sheet.description for starter in every}) == 11


@pytest.mark.parametrize("starter", starters.every(), ids=lambda starter: starter.slug)
def test_each_is_complete_and_of_a_length_one_reads(starter: Starter) -> None:
    sheet = starter.sheet

    assert not sheet.notes
    assert sheet.category in souls.CATEGORIES
    assert sheet.tags
    assert 150 <= len(re.findall(r"\w+", sheet.text)) <= 400
    assert check_lists(sheet.toolsets).as_json() != {kind: [] for kind in sheet.toolsets.as_json()}
    assert souls.cleaned(**sheet.parts())["text"] == sheet.text


def test_choosing_one_copies_it_and_notes_where_it_came_from(alice: User) -> None:
    starter = starters.get("night-watch")

    soul = souls.from_starter(starter, alice, name="My watch")

    assert (soul.name, soul.text, soul.owner) == ("My watch", starter.sheet.text, alice)
    assert soul.toolsets == check_lists(starter.sheet.toolsets)
    assert soul.origin == f"starter:night-watch@{souls.digest(soul.text)[:12]}"
    assert soul.revisions.get().note == "From the starter soul Night watch"


def test_they_are_no_rows_by_themselves(alice: User) -> None:
    assert not Soul.objects.exists()

    chosen = choosing.soul(alice)

    assert (chosen.name, Soul.objects.count()) == ("Steady hand", 1)
    assert chosen.toolsets.default == ("terminal", "file")


def test_an_unknown_one_is_not_found() -> None:
    with pytest.raises(NotFound):
        starters.get("../souls")
