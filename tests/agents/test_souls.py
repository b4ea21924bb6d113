"""Souls hold what a person can read, keep every revision, and survive two writers at once."""

from __future__ import annotations

import hashlib
import threading

import pytest
from django.db import connection

from agents import souls
from agents.errors import Invalid
from agents.models import Soul, User
from tests.conftest import person

TEXT = "Be kind.\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "A soul cannot be empty."),
        (" \n\t", "A soul cannot be empty."),
        ("x" * 20_001, "A soul may have 20,000 characters; this one has 20,001."),
        ("One\nTwo\u200b", "Line 2 holds an invisible character (U+200B, zero width space). Remove it and save again."),
        ("a\x00", "Line 1 holds an invisible character (U+0000, a control character). Remove it and save again."),
        ("a\x1cb", "Line 1 holds an invisible character (U+001C, a control character). Remove it and save again."),
    ],
)
def test_what_cannot_be_a_soul_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        souls.check(text)

    assert (refused.value.message, refused.value.field) == (sentence, "text")


@pytest.mark.parametrize(
    "text", ["x" * 20_000, "Family: 👨\u200d👩\u200d👧 ❤\ufe0f", "\tIndented\n\n- می\u200cخواهم\n"]
)
def test_what_people_write_is_kept_to_the_letter(text: str) -> None:
    assert souls.check(text) == text


def test_line_ends_of_other_systems_become_plain() -> None:
    assert souls.check("a\r\nb\rc\n") == "a\nb\nc\n"


def test_a_new_soul_is_its_own_first_revision(alice: User) -> None:
    soul = souls.create("  Steady hand ", TEXT, alice, description="Calm")

    revision = soul.revisions.get()
    assert (soul.name, soul.slug, soul.owner, soul.revision) == ("Steady hand", "steady-hand", alice, 1)
    assert (revision.number, revision.text, revision.author) == (1, TEXT, alice)
    assert revision.sha256 == hashlib.sha256(TEXT.encode()).hexdigest()


@pytest.mark.parametrize("name", ["", "  ", "x" * 81, "a\u200bb", "a\nb", "\u3164"])
def test_a_soul_needs_a_name_that_can_be_read(alice: User, name: str) -> None:
    with pytest.raises(Invalid) as refused:
        souls.create(name, TEXT, alice)

    assert refused.value.field == "name"
    assert not Soul.objects.exists()


def test_souls_of_one_name_get_slugs_of_their_own(alice: User) -> None:
    made = [
        souls.create(name, TEXT, alice).slug for name in ("Kind", "kind", "KIND!", "Kind 2", "日本", "中文", "x" * 80)
    ]

    assert made == ["kind", "kind-2", "kind-3", "kind-2-2", "soul", "soul-2", "x" * 70]


def test_every_change_is_a_revision_and_the_same_text_is_none(alice: User, bob: User, soul: Soul) -> None:
    souls.revise(soul, TEXT, bob)
    souls.revise(soul, TEXT.replace("\n", "\r\n"), alice)
    souls.revise(soul, souls.STARTER_TEXT, alice)

    history = list(soul.revisions.order_by("number").values_list("number", "text", "author__username"))
    assert history == [(1, souls.STARTER_TEXT, "alice"), (2, TEXT, "bob"), (3, souls.STARTER_TEXT, "alice")]
    assert (soul.revision, soul.text) == (3, souls.STARTER_TEXT)


def test_a_refused_text_leaves_the_soul_as_it_was(alice: User, soul: Soul) -> None:
    with pytest.raises(Invalid):
        souls.revise(soul, "hidden\u200b", alice)

    soul.refresh_from_db()
    assert (soul.revision, soul.text, soul.revisions.count()) == (1, souls.STARTER_TEXT, 1)


def test_an_old_copy_in_hand_does_not_hide_somebody_elses_change(alice: User, soul: Soul) -> None:
    old = Soul.objects.get(pk=soul.pk)
    souls.revise(soul, "Be quick.", alice)

    souls.revise(old, souls.STARTER_TEXT, alice)

    assert (old.revision, Soul.objects.get(pk=soul.pk).text) == (3, souls.STARTER_TEXT)


def test_a_revision_moves_the_time_of_the_last_change(alice: User, soul: Soul) -> None:
    before = soul.updated_at

    assert souls.revise(soul, TEXT, alice).updated_at > before


@pytest.mark.django_db(transaction=True)
def test_writers_at_the_same_time_each_get_a_revision() -> None:
    author = person("author")
    soul = souls.create("Kind", TEXT, author)
    start = threading.Barrier(4)

    def write(number: int) -> None:
        try:
            mine = Soul.objects.get(pk=soul.pk)
            start.wait(timeout=120)
            souls.revise(mine, f"Text of writer {number}", author)
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    soul.refresh_from_db()
    assert list(soul.revisions.order_by("number").values_list("number", flat=True)) == [1, 2, 3, 4, 5]
    assert soul.revisions.get(number=5).text == soul.text
    assert len(set(soul.revisions.values_list("text", flat=True))) == 5
