"""Notes of an agent: what it keeps by itself, what people do with them, how much room there is, and who never sees them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from agents import agent_secrets, composition, duplicating, erasing, exporting, notes, retiring, sharing, souls
from agents.editing import Stale
from agents.errors import Invalid, LogosError, NotFound
from agents.models import Agent, AgentNote, SecurityEvent, User
from tests import shell
from tests.api_client import Program

pytestmark = pytest.mark.django_db

Browser = Callable[..., Client]


def test_an_agent_keeps_finds_and_drops_what_it_noted_and_nobody_elses(atlas: Agent, alice: User) -> None:
    other = composition.create(alice, "other", souls.create("Another", "Text.", alice))
    first = notes.remember(atlas.pk, " Backups lie on the second disk.\r\nGrüße ", "run_1")
    notes.remember(other.pk, "The other's backups.")
    again = notes.remember(atlas.pk, "Backups lie on the second disk.\nGrüße")

    assert first.pk == again.pk
    assert (first.run_id, first.is_own, first.written_by) == ("run_1", True, None)
    assert [note.pk for note in notes.recall(atlas.pk, "DISK grüße")] == [first.pk]
    assert notes.recall(atlas.pk, "disk nowhere") == []
    with pytest.raises(NotFound):
        notes.forget(other.pk, first.pk)
    notes.forget(atlas.pk, first.pk)
    assert notes.recall(atlas.pk) == []
    assert len(notes.recall(other.pk)) == 1


def test_all_notes_together_have_2200_characters(atlas: Agent, alice: User) -> None:
    notes.remember(atlas.pk, "x" * 2_000)
    kept = notes.write(alice, atlas, "y" * 150)

    for text in ("z" * 51, "", "  ", "z" * 2_201, "hid\u200bden", "a\x00b"):
        with pytest.raises(Invalid):
            notes.remember(atlas.pk, text)
        with pytest.raises(Invalid):
            notes.write(alice, atlas, text)
    notes.remember(atlas.pk, "z" * 50)
    with pytest.raises(Invalid) as caught:
        notes.change(alice, atlas.pk, kept.pk, "y" * 151, kept.version)
    assert "150 are left" in caught.value.message
    notes.change(alice, atlas.pk, kept.pk, "y" * 149, kept.version)
    assert notes.room(notes.of(atlas.pk)) == 1


def test_what_people_wrote_the_agent_cannot_forget_and_their_changes_are_noted(
    atlas: Agent, alice: User, bob: User, mallory: User
) -> None:
    own = notes.remember(atlas.pk, "The disk is full.", "run_1")
    theirs = notes.write(alice, atlas, "The disk is new.")
    with pytest.raises(NotFound):
        notes.forget(atlas.pk, theirs.pk)
    changed = notes.change(alice, atlas.pk, own.pk, "The disk is empty.", own.version)
    with pytest.raises(Stale):
        notes.change(alice, atlas.pk, own.pk, "Late.", own.version)
    with pytest.raises(NotFound):
        notes.forget(atlas.pk, own.pk)
    for stranger in (bob, mallory):
        with pytest.raises(LogosError):
            notes.write(stranger, atlas, "Mine now.")
        with pytest.raises(NotFound):
            notes.change(stranger, atlas.pk, own.pk, "Mine now.", None)
        with pytest.raises(NotFound):
            notes.remove(stranger, atlas.pk, own.pk)
    notes.remove(alice, atlas.pk, own.pk)

    assert (changed.is_own, changed.written_by, changed.run_id) == (False, alice, "")
    events = SecurityEvent.objects.filter(kind__startswith="note_").order_by("pk")
    assert [event.kind for event in events] == ["note_written", "note_changed", "note_removed"]
    assert not any("disk" in str(event.detail) for event in events)


def test_secrets_of_the_agent_are_blotted_out(atlas: Agent, alice: User) -> None:
    agent_secrets.put(alice, atlas, "WEATHER_KEY", "rain-and-sunshine-4711")

    assert "4711" not in notes.remember(atlas.pk, "The key is rain-and-sunshine-4711.").text


def test_they_go_with_the_agent_into_a_copy_that_is_wished_and_into_the_archive(
    atlas: Agent, alice: User, ada: User
) -> None:
    notes.remember(atlas.pk, "The disk is full.")
    plain = duplicating.duplicate(alice, atlas, "plain")
    rows = next(rows for name, _, _, rows in exporting.OWN if name == "notes.json")

    assert notes.recall(plain.pk) == []
    assert [row["text"] for row in rows(alice)] == ["The disk is full."]
    assert list(rows(ada)) == []
    retiring.delete(alice, atlas.pk)
    assert not AgentNote.objects.exists()


def test_an_erased_person_takes_the_notes_of_their_agents_along(atlas: Agent, alice: User, ada: User) -> None:
    notes.remember(atlas.pk, "Alice lives in Oxford.")

    erasing.close(ada, alice, "alice")
    erasing.carry_out(alice.pk)

    assert not AgentNote.objects.exists()


def test_the_page_shows_writes_changes_and_keeps_what_was_typed(
    browser: Browser, atlas: Agent, alice: User, bob: User, mallory: User
) -> None:
    address = f"/agents/{atlas.pk}/notes/"
    note = notes.remember(atlas.pk, "Note <b>4711</b>", "run_1")
    page = browser(alice)

    shown = page.get(address).content.decode()
    stale = page.post(address, {"do": "change", "note": note.pk, "version": 99, "text": "Typed words."})
    long = page.post(address, {"do": "write", "text": "x" * 2_190})
    changed = page.post(address, {"do": "change", "note": note.pk, "version": 1, "text": "Other words."})
    written = page.post(address, {"do": "write", "text": "One more."})
    removed = page.post(address, {"do": "remove", "note": note.pk})

    assert "Note &lt;b&gt;4711&lt;/b&gt;" in shown
    assert "/runs/run_1/" in shown
    assert (stale.status_code, "Typed words." in stale.content.decode()) == (409, True)
    assert (long.status_code, "x" * 2_190 in long.content.decode()) == (400, True)
    assert [each.status_code for each in (changed, written, removed)] == [302, 302, 302]
    assert [(each.text, each.is_own) for each in notes.of(atlas.pk)] == [("One more.", False)]
    sharing.grant(alice, sharing.subject(person="mallory"), "edit", atlas)
    for stranger in (bob, mallory):
        assert browser(stranger).get(address).status_code == 404
        assert address not in browser(stranger).get(f"/agents/{atlas.pk}/").content.decode()
    assert address in page.get(f"/agents/{atlas.pk}/").content.decode()


def test_programs_and_the_shell_do_the_same(atlas: Agent, alice: User, mallory: User) -> None:
    ask, at = Program(alice), f"agents/{atlas.pk}/notes"

    made = ask.post(at, {"text": "The disk is full."}, 201)
    notes.remember(atlas.pk, "Second.")
    first = ask.get(f"{at}?limit=1")
    rest = ask.get(f"{at}?limit=1&after={first['next']}")
    changed = ask("PATCH", f"{at}/{made['id']}", {"text": "It is empty.", "version": 1})
    stale = ask("PATCH", f"{at}/{made['id']}", {"text": "Late.", "version": 1})

    assert [each["text"] for each in (*first["items"], *rest["items"])] == ["Second.", "The disk is full."]
    assert (changed.status_code, stale.status_code, stale.json()["error"]["reason"]) == (200, 409, "stale")
    assert Program(mallory)("GET", at).status_code == 404
    assert Program(mallory)("DELETE", f"{at}/{made['id']}").status_code == 404
    listed = shell.run("notes", "list", "atlas", "--user", "alice")
    assert "It is empty." in listed.out
    assert "the agent" in listed.out
    id = shell.run("notes", "write", "atlas", "From a shell.", "--user", "alice").out.strip()
    assert shell.run("notes", "change", "atlas", id, "Changed.", "--user", "alice").code == 0
    assert shell.run("notes", "list", "atlas", "--json", "--user", "alice").json[-1]["text"] == "Changed."
    assert shell.run("notes", "remove", "atlas", id, "--user", "mallory").code == 1
    assert shell.run("notes", "remove", "atlas", id, "--user", "alice").code == 0
    assert ask("DELETE", f"{at}/{made['id']}").status_code == 204
    assert [note.text for note in notes.of(atlas.pk)] == ["Second."]
