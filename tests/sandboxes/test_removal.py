"""Removing a deleted agent's files: whatever it built there goes, and nothing that lies elsewhere."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from sandboxes import removal
from sandboxes.driver import SandboxError

NAME = "box_0123abc"


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    (tmp_path / "agents" / NAME / "workspace").mkdir(parents=True)
    (tmp_path / "agents" / "box_other").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "kept").write_text("kept")
    return tmp_path / "agents"


def deep(root: Path) -> None:
    descriptor = os.open(root, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=descriptor)
        inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)


def links(root: Path) -> None:
    (root / "out").symlink_to(root.parents[2] / "elsewhere")
    (root / "up").symlink_to("../../../elsewhere/kept")
    (root / "loop").symlink_to("loop")
    os.link(root.parents[2] / "elsewhere" / "kept", root / "hard")


def closed(root: Path) -> None:
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "file").write_text("x")
    (root / "a" / "b").chmod(0)
    (root / "a").chmod(0)


def strange(root: Path) -> None:
    os.mkfifo(root / "pipe")
    server = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(root)
    server.bind("socket")
    os.chdir(here)
    server.close()
    (root / ("long" * 60)).write_text("x")
    os.mkdir(os.fsencode(root) + b"/\xff\xfe not unicode\n")
    (root / ".gone-1").mkdir()


def many(root: Path) -> None:
    for number in range(2000):
        (root / str(number)).touch()


@pytest.mark.parametrize("build", [deep, links, closed, strange, many])
def test_whatever_an_agent_built_is_removed_and_nothing_else(agents: Path, build: Callable[[Path], None]) -> None:
    build(agents / NAME / "workspace")

    assert removal.remove(agents, NAME)

    assert [path.name for path in agents.iterdir()] == ["box_other"]
    assert (agents.parent / "elsewhere" / "kept").read_text() == "kept"


def test_removing_twice_is_removing_once(agents: Path) -> None:
    assert removal.remove(agents, NAME)
    assert not removal.remove(agents, NAME)
    assert not removal.remove(agents / "nothing", NAME)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "box_../..", "../elsewhere", "elsewhere", "box_a/b", "box_A", "box_" + "a" * 99]
)
def test_a_name_that_no_sandbox_has_is_refused(agents: Path, name: str) -> None:
    with pytest.raises(SandboxError, match="not removed"):
        removal.remove(agents, name)

    assert (agents.parent / "elsewhere" / "kept").exists()


@pytest.mark.parametrize("inner", ["root", "parent"])
def test_a_link_in_place_of_the_directory_is_not_followed(agents: Path, tmp_path: Path, inner: str) -> None:
    target = tmp_path / "elsewhere"
    if inner == "root":
        (agents / "box_link").symlink_to(target)
        place = agents
    else:
        (tmp_path / "agents2").symlink_to(tmp_path)
        (tmp_path / "box_link").mkdir()
        place = tmp_path / "agents2"

    with pytest.raises((SandboxError, OSError)):
        removal.remove(place, "box_link")

    assert (target / "kept").exists()
