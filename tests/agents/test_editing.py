"""Two people edit one row: the second notices, and nothing of the first is lost."""

from __future__ import annotations

import pytest

from agents.editing import Stale, editing
from agents.errors import NotFound
from agents.models import Agent, User

pytestmark = pytest.mark.django_db


def test_who_read_the_stored_version_may_save(atlas: Agent, alice: User) -> None:
    with editing(alice, "agent.edit", Agent.objects.all(), atlas.pk, atlas.version) as row:
        row.description = "New"
        row.save(update_fields=["description"])

    atlas.refresh_from_db()
    assert (atlas.description, atlas.version) == ("New", 2)


def test_who_read_an_older_version_is_told_and_sees_what_is_stored(atlas: Agent, alice: User) -> None:
    read = atlas.version
    atlas.description = "Theirs"
    atlas.save()

    with pytest.raises(Stale) as refused, editing(alice, "agent.edit", Agent.objects.all(), atlas.pk, read):
        raise AssertionError("the block must not run")

    assert refused.value.row.description == "Theirs"


def test_who_may_not_edit_finds_nothing_whatever_the_version(atlas: Agent, mallory: User) -> None:
    with pytest.raises(NotFound), editing(mallory, "agent.edit", Agent.objects.all(), atlas.pk, 99):
        raise AssertionError("the block must not run")
