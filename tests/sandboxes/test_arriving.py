"""A file that arrives in a workspace while the process that writes it is killed: nothing half is left for long."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandboxes import arriving
from sandboxes.workspace import Workspace

ROOT = Path(__file__).parents[2]
MOST = 1000

# Begins to send, says so, and goes on for ever.
SENDER = """
import sys
from pathlib import Path
from sandboxes import arriving
from sandboxes.workspace import Workspace

if sys.argv[2] == "has none without a name":
    arriving.nameless = lambda directory: None

def pieces():
    yield b"begun"
    print("begun", flush=True)
    sys.stdin.read()

with Workspace(Path(sys.argv[1]), None) as space:
    space.put("new", pieces(), 1000, replace=sys.argv[3] == "replace")
"""


@pytest.fixture
def at(tmp_path: Path) -> Path:
    (tmp_path / "workspace").mkdir()
    return tmp_path / "workspace"


@pytest.fixture
def space(at: Path) -> Iterator[Workspace]:
    with Workspace(at.parent, None) as space:
        yield space


def killed_sending(at: Path, disk: str, how: str) -> None:
    command = [sys.executable, "-c", SENDER, str(at.parent), disk, how]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as sender:
        assert sender.stdout is not None
        assert sender.stdout.readline() == b"begun\n"
        sender.kill()
    assert sender.returncode == -9


def has_nameless(at: Path) -> bool:
    directory = os.open(at, os.O_RDONLY | os.O_DIRECTORY)
    descriptor = arriving.nameless(directory)
    os.close(directory)
    if descriptor is None:
        return False
    os.close(descriptor)
    return True


def names(at: Path) -> list[str]:
    return sorted(path.name for path in at.iterdir())


@pytest.mark.parametrize("how", ["add", "replace"])
def test_an_upload_that_is_killed_leaves_nothing(space: Workspace, at: Path, how: str) -> None:
    (at / "other").write_text("hers")

    killed_sending(at, "has them", how)

    # A disk without files that have no name is the next test's.
    assert names(at) == ["other"] or not has_nameless(at)


def test_where_the_disk_wants_a_name_what_was_killed_is_swept(
    space: Workspace, at: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arriving, "nameless", lambda directory: None)
    killed_sending(at, "has none without a name", "add")
    killed_sending(at, "has none without a name", "replace")
    old, young = names(at)
    (at / ".logos-upload-of-the-agent").write_text("not ours")
    for name in (old, ".logos-upload-of-the-agent"):
        os.utime(at / name, (0, 0))

    space.put("new", [b"whole"], MOST)

    # The other may be one that somebody is still sending.
    assert names(at) == sorted([young, ".logos-upload-of-the-agent", "new"])
    assert (at / "new").read_text() == "whole"


@pytest.mark.parametrize("is_nameless", [True, False])
def test_both_ways_add_and_replace_alike(
    space: Workspace, at: Path, monkeypatch: pytest.MonkeyPatch, is_nameless: bool
) -> None:
    if not is_nameless:
        monkeypatch.setattr(arriving, "nameless", lambda directory: None)
    space.put("notes", [b"one"], MOST)
    first = (at / "notes").stat()

    space.put("notes", [b"two"], MOST, replace=True)

    assert names(at) == ["notes"]
    assert (at / "notes").read_text() == "two"
    assert (at / "notes").stat().st_ino != first.st_ino
    assert (at / "notes").stat().st_mode & 0o777 == 0o644
