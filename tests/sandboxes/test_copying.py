"""Copying what is in one sandbox to another: files as they are, no link followed, nothing of elsewhere, not too much."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from sandboxes import copying
from sandboxes.copying import Budget
from sandboxes.driver import SandboxError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "box_source"
    for place in ("workspace/deep/er", "home", "hermes/memories", "hermes/plugins", "engine", "managed"):
        (root / place).mkdir(parents=True)
    (root / "workspace/deep/er/script.sh").write_text("#!/bin/sh\n")
    (root / "workspace/deep/er/script.sh").chmod(0o4755)
    (root / "home/.profile").write_text("export A=1\n")
    (root / "hermes/memories/MEMORY.md").write_text("Likes tea.\n")
    (root / "hermes/.env").write_text("KEY=secret\n")
    (root / "hermes/plugins/evil.py").write_text("boo\n")
    (root / "engine/state.json").write_text("{}")
    database = sqlite3.connect(root / "hermes/state.db")
    database.execute("create table sessions (id)")
    database.execute("insert into sessions values ('s1')")
    database.commit()
    database.close()
    return root


def test_files_come_as_they_are_and_nothing_that_was_not_asked_for(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "box_target"

    assert copying.copy(source, target, ["files"], Budget(None)) == 0

    script = target / "workspace/deep/er/script.sh"
    assert script.read_text() == "#!/bin/sh\n"
    assert script.stat().st_mode & 0o7777 == 0o755
    assert {path.name for path in target.iterdir()} == {"workspace", "home"}


def test_notes_and_sessions_come_without_the_runtimes_secrets(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "box_target"

    copying.copy(source, target, ["notes", "sessions"], Budget(None))

    assert (target / "hermes/memories/MEMORY.md").read_text() == "Likes tea.\n"
    found = sqlite3.connect(target / "hermes/state.db").execute("select id from sessions").fetchall()
    assert found == [("s1",)]
    assert {path.name for path in (target / "hermes").iterdir()} == {"memories", "state.db"}


def test_links_are_copied_as_links_and_never_followed(source: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    (source / "workspace/out").symlink_to(tmp_path / "outside")
    (source / "workspace/file").symlink_to("../../outside/secret")
    (source / "home/.profile").unlink()
    (source / "home").rmdir()
    (source / "home").symlink_to(tmp_path / "outside")
    (source / "hermes/memories/MEMORY.md").unlink()
    (source / "hermes/memories").rmdir()
    (source / "hermes/memories").symlink_to(tmp_path / "outside")
    target = tmp_path / "box_target"

    left_out = copying.copy(source, target, ["files", "notes"], Budget(None))

    assert (target / "workspace/out").readlink() == tmp_path / "outside"
    assert (target / "workspace/file").readlink() == Path("../../outside/secret")
    assert not (target / "home").exists()
    assert not (target / "hermes/memories").exists()
    assert left_out == 2


def test_what_is_no_file_is_left_out_and_does_not_hang(source: Path, tmp_path: Path) -> None:
    os.mkfifo(source / "workspace/pipe")
    with (source / "workspace/sparse").open("wb") as file:
        file.truncate(3_000_000)

    assert copying.copy(source, tmp_path / "box_target", ["files"], Budget(None)) == 1
    assert (tmp_path / "box_target/workspace/sparse").stat().st_size == 3_000_000


@pytest.mark.parametrize("budget", [Budget(None, bytes_left=5), Budget(None, entries_left=3)])
def test_too_much_is_refused_and_nothing_half_done_is_left(source: Path, tmp_path: Path, budget: Budget) -> None:
    with pytest.raises(SandboxError, match="There is more than"):
        copying.copy(source, tmp_path / "box_target", ["files"], budget)

    assert not list((tmp_path / "box_target").iterdir())


def test_a_copy_that_was_interrupted_is_done_again(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "box_target"
    (target / ".copying-workspace/half").mkdir(parents=True)

    copying.copy(source, target, ["files"], Budget(None))

    assert {path.name for path in (target / "workspace").iterdir()} == {"deep"}
    assert not (target / ".copying-workspace").exists()


def test_a_source_without_files_is_an_empty_copy(tmp_path: Path) -> None:
    assert copying.copy(tmp_path / "box_nothing", tmp_path / "box_target", ["files", "notes"], Budget(None)) == 0


def test_the_copy_belongs_to_the_other_agents_user(source: Path, tmp_path: Path) -> None:
    target, other = tmp_path / "box_target", 200_777 if os.geteuid() == 0 else os.geteuid()

    copying.copy(source, target, ["files", "notes"], Budget(other))

    for place in ("workspace", "workspace/deep/er/script.sh", "hermes", "hermes/memories"):
        assert (target / place).stat().st_uid == other, place
