"""Documents arrive in directories the agent writes: what it made of them is kept, and no link leads us elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from pathlib import Path

import pytest

from sandboxes import documents
from sandboxes.documents import Document, install

TODAY = "2026-02-28"


class OneDay(datetime):
    """A clock that stays on one day: these tests may run over midnight."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        return datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC).astimezone(tz)


@pytest.fixture(autouse=True)
def _one_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "datetime", OneDay)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


def give(work: Path, *given: Document) -> None:
    install(work.parent, given, None)


def test_documents_and_their_folders_are_made(work: Path) -> None:
    give(work, Document("AGENTS.md", "Be quick."), Document("a/b/ü.md", "ö"), Document("USER.md", "Likes tea."))

    assert (work / "AGENTS.md").read_text() == "Be quick."
    assert (work / "a/b/ü.md").read_text() == "ö"
    assert (work.parent / "hermes/memories/USER.md").read_text() == "Likes tea."
    assert not (work / "USER.md").exists()


def test_nothing_is_touched_where_nothing_changed(work: Path) -> None:
    give(work, Document("AGENTS.md", "Be quick."))
    before = (work / "AGENTS.md").stat()
    give(work, Document("AGENTS.md", "Be quick."))

    assert (work / "AGENTS.md").stat().st_ino == before.st_ino
    assert os.listdir(work) == ["AGENTS.md"]


def test_a_new_text_replaces_what_was_installed_and_keeps_no_copy(work: Path) -> None:
    give(work, Document("AGENTS.md", "one"))
    give(work, Document("AGENTS.md", "two"))

    assert (work / "AGENTS.md").read_text() == "two"
    assert os.listdir(work) == ["AGENTS.md"]


def test_what_the_agent_made_of_it_is_kept_beside_it(work: Path) -> None:
    for attempt in ("its own", "its next"):
        give(work, Document("AGENTS.md", "one"))
        (work / "AGENTS.md").write_text(attempt)
    give(work, Document("AGENTS.md", "one"))

    assert (work / "AGENTS.md").read_text() == "one"
    assert (work / f"AGENTS.md.agent-{TODAY}").read_text() == "its own"
    assert (work / f"AGENTS.md.agent-{TODAY}-2").read_text() == "its next"


def test_what_is_not_put_back_is_the_agents_until_configuration_changes_it(work: Path) -> None:
    give(work, Document("plan.md", "one", is_restored=False))
    (work / "plan.md").write_text("its own")
    give(work, Document("plan.md", "one", is_restored=False))
    assert (work / "plan.md").read_text() == "its own"

    give(work, Document("plan.md", "two", is_restored=False))
    assert (work / "plan.md").read_text() == "two"
    assert (work / f"plan.md.agent-{TODAY}").read_text() == "its own"

    (work / "plan.md").unlink()
    give(work, Document("plan.md", "two", is_restored=False))
    assert not (work / "plan.md").exists()


def test_a_withdrawn_document_goes_unless_the_agent_has_changed_it(work: Path) -> None:
    give(work, Document("a.md", "one"), Document("b/c.md", "one"))
    (work / "b/c.md").write_text("its own")
    give(work)

    assert not (work / "a.md").exists()
    assert (work / "b/c.md").read_text() == "its own"

    (work / "a.md").write_text("one")
    give(work)
    assert (work / "a.md").exists()


def a_link(place: Path, outside: Path) -> None:
    place.symlink_to(outside)


def a_hard_link(place: Path, outside: Path) -> None:
    place.hardlink_to(outside)


def a_folder(place: Path, outside: Path) -> None:
    place.mkdir()
    (place / "inner").write_text("its own")


def a_pipe(place: Path, outside: Path) -> None:
    os.mkfifo(place)


def a_huge_file(place: Path, outside: Path) -> None:
    with place.open("wb") as file:
        file.truncate(1 << 30)


@pytest.mark.parametrize("trap", [a_link, a_hard_link, a_folder, a_pipe, a_huge_file])
def test_whatever_the_agent_puts_in_its_place_is_put_aside(
    work: Path, tmp_path: Path, trap: Callable[[Path, Path], None]
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("ours")
    work.mkdir()
    trap(work / "AGENTS.md", outside)

    give(work, Document("AGENTS.md", "one"))

    assert (work / "AGENTS.md").read_text() == "one"
    assert not (work / "AGENTS.md").is_symlink()
    assert outside.read_text() == "ours"
    assert os.path.lexists(work / f"AGENTS.md.agent-{TODAY}")


def test_a_linked_folder_leads_nowhere(work: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    work.mkdir()
    (work / "notes").symlink_to(outside)

    give(work, Document("notes/a.md", "one"))

    assert list(outside.iterdir()) == []
    assert (work / "notes/a.md").read_text() == "one"

    (work / "notes/a.md").unlink()
    (work / "notes").rmdir()
    (work / "notes").symlink_to(outside)
    (outside / "a.md").write_text("one")
    give(work)
    assert (outside / "a.md").read_text() == "one"


def test_a_record_that_was_cut_off_loses_nothing_of_the_agents(work: Path) -> None:
    give(work, Document("AGENTS.md", "one"))
    (work.parent / "engine/documents.json").write_text('{"AGENTS')
    (work / "AGENTS.md").write_text("its own")
    give(work, Document("AGENTS.md", "one"))

    assert (work / "AGENTS.md").read_text() == "one"
    assert (work / f"AGENTS.md.agent-{TODAY}").read_text() == "its own"


def test_an_agent_without_documents_costs_nothing(work: Path) -> None:
    give(work)

    assert list(work.parent.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to another user")
def test_the_copies_belong_to_the_agents_user(work: Path) -> None:
    install(work.parent, [Document("a/b.md", "x")], 299_123)

    assert {path.stat().st_uid for path in (work, work / "a", work / "a/b.md")} == {299_123}
