"""What lay in a workspace when a run ended: listed within caps, compared honestly, kept out of the agent's reach."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandboxes import manifests

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "workspace/deep").mkdir(parents=True)
    (tmp_path / "engine").mkdir()
    (tmp_path / "workspace/kept.txt").write_text("same\n")
    (tmp_path / "workspace/deep/edited.txt").write_text("before\n")
    (tmp_path / "workspace/gone.txt").write_text("gone\n")
    return tmp_path


def changed(root: Path, old: str, new: str) -> dict[str, str]:
    before, after = manifests.of(root, old), manifests.of(root, new)
    assert before is not None
    assert after is not None
    return {change.path: change.kind for change in manifests.compare(before, after)}


def test_added_removed_and_changed_files_are_told_with_their_texts(root: Path) -> None:
    manifests.take(root, "run_1")
    (root / "workspace/deep/edited.txt").write_text("after\n")
    (root / "workspace/gone.txt").unlink()
    (root / "workspace/new.txt").write_text("new\n")
    after = manifests.take(root, "run_2")

    assert changed(root, "run_1", "run_2") == {
        "deep/edited.txt": "changed",
        "gone.txt": "removed",
        "new.txt": "added",
    }
    assert manifests.text_of(root, str(after.files["deep/edited.txt"][1])) == "after\n"
    assert manifests.runs(root) == ["run_2", "run_1"]


def test_a_file_touched_without_a_change_does_not_differ(root: Path) -> None:
    manifests.take(root, "run_1")
    os.utime(root / "workspace/kept.txt", (5, 5))
    manifests.take(root, "run_2")

    assert changed(root, "run_1", "run_2") == {}


def test_a_change_with_forged_times_is_seen(root: Path) -> None:
    path = root / "workspace/kept.txt"
    was = path.stat()
    manifests.take(root, "run_1")
    path.write_text("SAME\n")
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    manifests.take(root, "run_2")

    assert changed(root, "run_1", "run_2") == {"kept.txt": "changed"}


def test_links_pipes_and_names_that_are_no_text(root: Path) -> None:
    (root / "workspace/link").symlink_to("/etc/passwd")
    (root / "workspace/way").symlink_to("/etc")
    os.mkfifo(root / "workspace/pipe")
    (root / "workspace" / os.fsdecode(b"caf\xe9")).write_text("x")

    listed = manifests.take(root, "run_1").files

    assert set(listed) == {"kept.txt", "deep/edited.txt", "gone.txt", "caf%E9"}


def test_beyond_the_caps_it_says_so_and_calls_nothing_added(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "MOST_FILES", 2)
    cut = manifests.take(root, "run_1")
    monkeypatch.undo()
    manifests.take(root, "run_2")

    assert cut.is_cut
    assert len(cut.files) == 2
    assert "added" not in changed(root, "run_1", "run_2").values()


def test_what_is_too_large_is_listed_and_not_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "MOST_READ_BYTES", 10)
    (root / "workspace/large").write_bytes(b"x" * 11)

    assert manifests.take(root, "run_1").files["large"][:2] == [11, ""]


def test_old_lists_and_texts_nobody_names_are_forgotten(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "KEPT_RUNS", 2)
    for number in range(4):
        (root / "workspace/deep/edited.txt").write_text(f"number {number}\n")
        manifests.take(root, f"run_{number}")

    assert manifests.runs(root) == ["run_3", "run_2"]
    assert len(list((root / "engine/runs/texts").iterdir())) == 4  # two that never changed, two of the edited one


@pytest.mark.parametrize("run_id", ["../x", "run_/x", "", "run_A"])
def test_no_run_leads_elsewhere(root: Path, run_id: str) -> None:
    with pytest.raises(OSError):
        manifests.take(root, run_id)
    assert manifests.of(root, run_id) is None


def test_a_damaged_list_is_none(root: Path) -> None:
    manifests.take(root, "run_1")
    (root / "engine/runs/run_1.json.gz").write_bytes(b"cut off")

    assert manifests.of(root, "run_1") is None
    manifests.take(root, "run_2")


KILLED = """
import gzip, os, signal, sys
from pathlib import Path
from sandboxes import manifests

def killed(content):
    os.kill(os.getpid(), signal.SIGKILL)

manifests.gzip.compress = killed if sys.argv[2] == "before" else gzip.compress
if sys.argv[2] == "while":
    os.fdopen = lambda *how, **more: killed(b"")
manifests.take(Path(sys.argv[1]), "run_1")
"""


@pytest.mark.parametrize("when", ["before", "while"])
def test_one_that_is_killed_leaves_nothing_half(root: Path, when: str) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(root), when], cwd=REPOSITORY, check=False)

    assert ended.returncode == -9
    manifests.take(root, "run_2")
    for path in (root / "engine").rglob(".logos-upload-*"):  # only where the disk wants a name from the first byte
        os.utime(path, (0, 0))
    manifests.take(root, "run_3")
    left = [path.name for path in (root / "engine").rglob("*") if path.is_file()]
    assert sorted(each for each in left if each.startswith("run_")) == ["run_2.json.gz", "run_3.json.gz"]
    assert all(len(each) == 64 for each in left if not each.startswith("run_"))


def test_two_that_keep_the_same_text_at_once_are_both_whole(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compress, run_ids = gzip.compress, iter(("run_2",))

    def another_first(content: bytes) -> bytes:
        if (other := next(run_ids, "")) != "":
            manifests.take(root, other)
        return compress(content)

    monkeypatch.setattr(manifests.gzip, "compress", another_first)
    mine = manifests.take(root, "run_1")

    assert sorted(manifests.runs(root)) == ["run_1", "run_2"]
    assert manifests.text_of(root, str(mine.files["kept.txt"][1])) == "same\n"
