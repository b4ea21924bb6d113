"""What is written down of a shell, and who is refused one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from agents.models import Agent, SecurityEvent, User
from sandboxes import shell_records
from sandboxes.models import Sandbox
from sandboxes.shell_records import Recorded

pytestmark = pytest.mark.django_db
SECRET = "s3cret-of-alice-4711"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "engine").mkdir()
    return tmp_path


def test_a_shell_is_in_the_audit_and_its_transcript_holds_no_secret(alice: User, atlas: Agent, root: Path) -> None:
    recorded = Recorded(alice, atlas, root, [SECRET])
    recorded.heard(b"$ env\r\nKEY=s3cret-of-")
    recorded.heard(b"alice-4711\r\n")
    recorded.end(0)

    opened, closed = (SecurityEvent.objects.get(kind=kind) for kind in ("shell_opened", "shell_closed"))
    kept = root / "engine/shells" / closed.detail["transcript"]
    assert (opened.actor, opened.object_id, closed.actor, closed.detail["code"]) == (alice, atlas.pk, alice, 0)
    assert "$ env" in kept.read_text()
    assert SECRET not in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_transcript_is_capped_and_old_ones_go(
    alice: User, atlas: Agent, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell_records, "MOST_BYTES", 2048)
    monkeypatch.setattr(shell_records, "KEPT", 2)
    for _ in range(3):
        recorded = Recorded(alice, atlas, root, [])
        recorded.heard(b"x" * 5000)
        recorded.end(None)

    kept = list((root / "engine/shells").iterdir())
    assert len(kept) == 2
    assert kept[0].read_text() == "x" * 2048 + "\n[the first 2 KB of 4]\n"
    assert SecurityEvent.objects.filter(kind="shell_closed").first().detail["bytes"] == 5000  # type: ignore[union-attr]


@pytest.mark.parametrize("at", range(60, 82, 3))
def test_a_key_that_was_typed_over_the_edge_of_the_window_is_masked(
    alice: User, atlas: Agent, root: Path, at: int
) -> None:
    key = "sk-proj-Ab3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC2dE3fG4hI5j"
    recorded = Recorded(alice, atlas, root, [SECRET])
    # As bash writes what is typed beyond the last column.
    recorded.heard(
        f"$ export A={key[: 82 - at]} \r{key[82 - at :]}\r\n50 % \r100 %\r\n{SECRET[:5]} \r{SECRET[5:]}".encode()
    )
    recorded.end(0)

    (kept,) = (root / "engine/shells").iterdir()
    shown = kept.read_text().replace(" \r", "")
    assert key[-12:] not in shown
    assert SECRET[5:] not in shown


def test_a_secret_at_the_end_of_what_is_kept_is_not_kept_in_half(alice: User, atlas: Agent, root: Path) -> None:
    recorded = Recorded(alice, atlas, root, [SECRET])
    recorded.heard(b"x" * (shell_records.MOST_BYTES - 8) + SECRET.encode() + b"y" * 9000)
    recorded.end(0)

    (kept,) = (root / "engine/shells").iterdir()
    assert SECRET[:8] not in kept.read_text()


def test_what_an_open_shell_showed_is_kept_while_it_is_open(
    alice: User, atlas: Agent, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell_records, "SAVED_EVERY_S", 0.0)
    recorded = Recorded(alice, atlas, root, [SECRET])
    recorded.heard(f"$ ls\r\nnotes\r\n{SECRET[:9]}".encode())

    kept = root / "engine/shells" / recorded.name  # what is there after a kill -9
    assert kept.read_text() == "$ ls\nnotes\n"
    recorded.heard(f"{SECRET[9:]}\r\n-----BEGIN OPENSSH PRIVATE KEY-----\r\nabc\r\n".encode())
    assert SECRET[9:] not in kept.read_text()
    assert "abc" not in kept.read_text()
    recorded.heard(b"-----END OPENSSH PRIVATE KEY-----\r\n$ exit\r\n")
    recorded.end(0)
    assert "$ exit" in kept.read_text()
    assert os.listdir(kept.parent) == [recorded.name]


def test_a_copy_half_written_by_a_killed_process_is_swept(alice: User, atlas: Agent, root: Path) -> None:
    (root / "engine/shells").mkdir()
    old, new = root / "engine/shells/1.txt.part", root / "engine/shells/2.txt.part"
    for path in (old, new):
        path.write_text("half")
    os.utime(old, (0, 0))
    recorded = Recorded(alice, atlas, root, [])
    recorded.end(0)

    assert not old.exists()
    assert new.exists()


def test_a_line_that_is_drawn_again_is_kept_as_it_was(alice: User, atlas: Agent, root: Path) -> None:
    recorded = Recorded(alice, atlas, root, [])
    recorded.heard(b"50 % \r100 %\r\n")
    recorded.end(0)

    (kept,) = (root / "engine/shells").iterdir()
    assert kept.read_bytes() == b"50 % \r100 %\r\n"


def test_only_who_manages_the_agent_gets_a_shell(bob: User, atlas: Agent) -> None:
    Sandbox.objects.create(agent=atlas, number=1)

    with pytest.raises(CommandError, match="not found"):
        call_command("sandbox", "shell", "atlas", "--user", "bob")
    with pytest.raises(CommandError, match="needs a terminal"):
        call_command("sandbox", "shell", "atlas", "--user", "alice")
    assert not SecurityEvent.objects.filter(kind="shell_opened").exists()
