"""An agent's workspace from the host: listed, read, written and tidied, whatever the agent put into it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.errors import Conflict, Invalid, LogosError, NotFound
from sandboxes import file_names
from sandboxes import workspace as module
from sandboxes.workspace import Workspace

MOST = 1000


@pytest.fixture
def at(tmp_path: Path) -> Path:
    (tmp_path / "box/workspace").mkdir(parents=True)
    return tmp_path / "box/workspace"


@pytest.fixture
def space(at: Path) -> Iterator[Workspace]:
    with Workspace(at.parent, None) as space:
        yield space


def content(space: Workspace, path: str) -> bytes:
    return b"".join(space.file(path).pieces())


def test_a_directory_is_listed_page_by_page(space: Workspace, at: Path) -> None:
    for number in range(7):
        (at / f"file-{number}").write_text("x" * number)
    (at / "zoo").mkdir()

    names, after = [], ""
    while True:
        page = space.listing("", after, 3)
        names += [(entry.name, entry.kind, entry.size) for entry in page.entries]
        after = page.next
        if not after:
            break

    assert [name for name, _, _ in names] == ["zoo", *(f"file-{number}" for number in range(7))]
    assert names[3][2] == 2
    assert page.total == 8


def test_a_huge_directory_is_cut_and_says_so(space: Workspace, at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LISTED", 5)
    for number in range(9):
        (at / str(number)).touch()

    page = space.listing("")

    assert (page.total, page.is_cut) == (5, True)


def test_what_is_no_file_is_listed_and_never_opened(space: Workspace, at: Path) -> None:
    os.mkfifo(at / "pipe")
    (at / "link").symlink_to("/etc/passwd")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(at / "socket"))
        kinds = {entry.name: entry.kind for entry in space.listing("").entries}
        refusals = []
        for name in kinds:
            with pytest.raises(Invalid) as refused:
                space.file(name)
            refusals.append(refused.value.message)

    assert kinds == {"pipe": "other", "link": "link", "socket": "other"}
    assert all(refusals)


@pytest.mark.parametrize("path", ["../engine", "a/../../b", "..", "%2E%2E/x", "a%00b", "x" * 300, "a/" * 3000])
def test_paths_stay_below(space: Workspace, path: str) -> None:
    with pytest.raises(Invalid):
        space.listing(path)
    with pytest.raises(Invalid):
        space.put(path, [b"x"], MOST)


@pytest.mark.parametrize("path", ["/", "", "./.", "%2F"])
def test_the_workspace_itself_is_no_file(space: Workspace, path: str) -> None:
    for change in (lambda: space.put(path, [b""], MOST), lambda: space.remove(path), lambda: space.file(path)):
        with pytest.raises(Invalid):
            change()


@given(st.binary(min_size=1, max_size=60).filter(lambda name: b"/" not in name and b"\x00" not in name))
def test_any_name_goes_both_ways(name: bytes) -> None:
    text = file_names.written(name)

    assert text.encode()  # it is plain Unicode: addresses, JSON and databases take it
    if name not in (b".", b".."):
        assert file_names.parsed(text) == (name,)


def test_names_that_are_no_text_are_shown_and_can_be_fetched(space: Workspace, at: Path) -> None:
    (at / os.fsdecode(b"caf\xe9\n\x1b[31m")).write_text("coffee")

    (entry,) = space.listing("").entries

    assert entry.name == "caf���[31m"
    assert entry.path == "caf%E9%0A%1B[31m"
    assert content(space, entry.path) == b"coffee"


def test_a_file_is_put_whole(space: Workspace, at: Path) -> None:
    entry = space.put("ünïcode 😀.txt", [b"one", b"", b"two"], MOST)

    assert (entry.size, entry.kind) == (6, "file")
    assert (at / "ünïcode 😀.txt").read_bytes() == b"onetwo"
    assert (at / "ünïcode 😀.txt").stat().st_mode & 0o777 == 0o644


def test_too_much_is_refused_and_leaves_nothing(space: Workspace, at: Path) -> None:
    (at / "big").write_text("before")

    with pytest.raises(Invalid) as refused:
        space.put("big", [b"x" * MOST, b"y"], MOST, replace=True)

    assert refused.value.reason == "too_large"
    assert [path.name for path in at.iterdir()] == ["big"]
    assert (at / "big").read_text() == "before"


def test_a_directory_that_is_missing_is_named_as_what_is_missing(space: Workspace) -> None:
    with pytest.raises(NotFound, match="directory to put it in"):
        space.put("nowhere/new.txt", [b"x"], 10)
    with pytest.raises(NotFound, match="directory to put it in"):
        space.make_directory("nowhere/new")


def test_a_broken_upload_leaves_nothing(space: Workspace, at: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"begun"
        raise ConnectionError

    with pytest.raises(LogosError):
        space.put("new", broken(), MOST)

    assert list(at.iterdir()) == []


def test_nothing_is_replaced_unless_it_was_asked_for(space: Workspace, at: Path) -> None:
    (at / "notes").write_text("hers")

    with pytest.raises(Conflict):
        space.put("notes", [b"mine"], MOST)
    assert (at / "notes").read_text() == "hers"

    space.put("notes", [b"mine"], MOST, replace=True)
    assert (at / "notes").read_text() == "mine"


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_written_through(
    space: Workspace, at: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("hers")
    (at / "report").symlink_to(outside)

    space.put("report", [b"mine"], MOST, replace=True)

    assert outside.read_text() == "hers"
    assert not (at / "report").is_symlink()


def test_a_link_on_the_way_is_refused_for_every_change(space: Workspace, at: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/there").write_text("hers")
    (at / "way").symlink_to(tmp_path / "outside")
    (at / "mine").write_text("mine")

    for change in (
        lambda: space.put("way/new", [b"x"], MOST),
        lambda: space.make_directory("way/new"),
        lambda: space.remove("way/there"),
        lambda: space.move("mine", "way/new"),
        lambda: space.move("way/there", "new"),
        lambda: space.listing("way"),
        lambda: space.file("way/there"),
    ):
        with pytest.raises(LogosError):
            change()

    assert [path.name for path in (tmp_path / "outside").iterdir()] == ["there"]


def test_a_directory_in_the_way_is_said(space: Workspace, at: Path) -> None:
    (at / "taken").mkdir()

    for change in (
        lambda: space.put("taken", [b"x"], MOST, replace=True),
        lambda: space.make_directory("taken"),
    ):
        with pytest.raises(Conflict):
            change()
    with pytest.raises(Invalid):
        space.move("taken", "taken/inside")

    assert [path.name for path in at.iterdir()] == ["taken"]


def test_moving_and_removing(space: Workspace, at: Path) -> None:
    space.make_directory("a")
    space.put("a/one", [b"1"], MOST)

    assert space.move("a/one", "two").path == "two"
    space.remove("a")

    assert [path.name for path in at.iterdir()] == ["two"]
    with pytest.raises(NotFound):
        space.remove("a")


def test_an_absurd_time_breaks_no_list(space: Workspace, at: Path) -> None:
    (at / "old").touch()
    os.utime(at / "old", (0, -(2**40)))
    (at / "far").touch()
    os.utime(at / "far", (0, 2**33))

    assert len(space.listing("").entries) == 2


def test_there_is_no_workspace_before_the_first_start(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        Workspace(tmp_path / "never", None)


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_what_is_put_belongs_to_the_agent(at: Path) -> None:
    with Workspace(at.parent, 200_001) as space:
        space.put("file", [b"x"], MOST)
        space.make_directory("dir")

    assert {(at / name).stat().st_uid for name in ("file", "dir")} == {200_001}


def test_a_download_nobody_reads_keeps_no_file_open(space: Workspace, at: Path) -> None:
    """Whoever asked may leave before the first piece: a generator that never began runs no end."""
    (at / "a").write_text("content")
    opened = space.file("a")
    descriptor = opened.descriptor
    pieces = opened.pieces()

    del opened, pieces

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_what_goes_on_growing_while_it_is_deleted_is_said(
    space: Workspace, at: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (at / "busy").mkdir()

    def never(parent: int, name: bytes) -> None:
        raise TimeoutError

    monkeypatch.setattr(module.beneath, "remove", never)

    with pytest.raises(Conflict, match="goes on writing there"):
        space.remove("busy")


def test_a_name_of_spaces_alone_can_be_seen(space: Workspace, at: Path) -> None:
    (at / " \u3000").touch()

    (entry,) = space.listing("").entries

    assert entry.name == "\ufffd\ufffd"
    assert space.find(entry.path).kind == "file"
