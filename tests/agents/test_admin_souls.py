"""Souls in the console: every save is a revision, nothing invisible, nobody's words lost."""

from __future__ import annotations

import pytest

from agents import souls
from agents.models import Soul, SoulRevision, User
from tests.console import Console, complaints


def test_a_changed_text_is_the_next_revision_by_whoever_saved_it(ada: User, soul: Soul) -> None:
    assert Console(ada).save(soul, text="Be brief.\r\n").status_code == 302

    soul.refresh_from_db()
    latest = soul.revisions.first()
    assert (soul.text, soul.revision) == ("Be brief.\n", 2)
    assert (latest.number, latest.author) == (2, ada)


def test_a_changed_name_alone_is_no_revision(ada: User, soul: Soul) -> None:
    Console(ada).save(soul, name="Steadier")

    soul.refresh_from_db()
    assert (soul.name, soul.revision, soul.text) == ("Steadier", 1, souls.STARTER_TEXT)


def test_an_invisible_character_is_named(ada: User, soul: Soul) -> None:
    page = Console(ada).save(soul, text="Be\u200b brief.")

    assert "U+200B" in complaints(page)
    soul.refresh_from_db()
    assert soul.revision == 1


def test_a_text_written_from_an_older_revision_does_not_replace_a_newer_one(ada: User, soul: Soul) -> None:
    souls.revise(soul, "Somebody else's words.", None)

    page = Console(ada).save(soul, text="Mine.", written_from="1")

    assert "revision 2" in complaints(page)
    soul.refresh_from_db()
    assert soul.text == "Somebody else's words."


def test_a_new_soul_starts_at_revision_one(ada: User) -> None:
    assert Console(ada).save(Soul, name="Gardener", text="Grow things.").status_code == 302

    made = Soul.objects.get()
    assert (made.slug, made.owner, made.revision) == ("gardener", ada, 1)
    assert SoulRevision.objects.get().author == ada


def test_a_soul_is_deleted_with_its_revisions_but_not_while_an_agent_has_it(
    ada: User, soul: Soul, atlas: object
) -> None:
    console = Console(ada)
    console.delete(soul)
    assert Soul.objects.filter(pk=soul.pk).exists()

    other = souls.create("Other", "Text.", ada)
    assert console.delete(other).status_code == 302
    assert not Soul.objects.filter(pk=other.pk).exists()


@pytest.mark.parametrize("page", ["add", "delete"])
def test_revisions_are_a_record(ada: User, soul: Soul, page: str) -> None:
    console, revision = Console(ada), soul.revisions.get()
    address = console.address(SoulRevision, page, revision.pk if page == "delete" else None)

    assert console.client.get(address).status_code == 403
    assert console.client.post(address, {"post": "yes"}).status_code == 403
    assert 'name="_save"' not in console.open(revision).content.decode()


def test_toolset_lists_status_and_tags_are_saved_with_the_rules_of_every_door(ada: User, soul: Soul) -> None:
    console = Console(ada)
    console.save(soul, status="draft", tags="Linux, ops", category=" Operations ", forbidden_toolsets=["terminal"])
    refused = console.save(soul, enforced_toolsets=["terminal"])

    soul.refresh_from_db()
    assert (soul.status, soul.tags, soul.category, soul.revision) == ("draft", "linux ops", "operations", 1)
    assert soul.toolsets.forbidden == ("terminal",)
    assert "two lists: enforced and forbidden" in complaints(refused)
