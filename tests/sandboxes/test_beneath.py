"""Opening, moving and removing what lies below a directory an agent writes: nothing leads out, nothing hangs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandboxes import beneath

Open = Callable[[int, tuple[bytes, ...], int], int]


@pytest.fixture(params=[beneath.opened, beneath.step_by_step], ids=["openat2", "step by step"])
def way(request: pytest.FixtureRequest) -> Open:
    found: Open = request.param
    return found


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    (tmp_path / "inside/deep").mkdir(parents=True)
    (tmp_path / "inside/deep/plain").write_text("plain")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    return tmp_path / "inside"


@pytest.fixture
def root(inside: Path) -> Iterator[int]:
    descriptor = os.open(inside, beneath.DIRECTORY)
    yield descriptor
    os.close(descriptor)


def test_a_plain_way_is_gone(way: Open, root: int) -> None:
    descriptor = way(root, (b"deep", b"plain"), beneath.READ)

    assert os.read(descriptor, 100) == b"plain"
    os.close(descriptor)


@pytest.mark.parametrize(
    ("link", "to", "path"),
    [
        ("out", "../outside", (b"out", b"secret")),
        ("out", "/etc", (b"out", b"passwd")),
        ("out", "/etc/passwd", (b"out",)),
        ("out", "deep/plain", (b"out",)),
        ("out", "deep", (b"out", b"plain")),
        ("out", "/proc/self/root", (b"out", b"etc", b"passwd")),
        ("out", "/proc/self/fd/0", (b"out",)),
        ("out", "out", (b"out",)),
    ],
)
def test_no_link_is_followed_wherever_it_leads(
    way: Open, root: int, inside: Path, link: str, to: str, path: tuple[bytes, ...]
) -> None:
    (inside / link).symlink_to(to)

    with pytest.raises(OSError):
        way(root, path, beneath.READ)


def test_a_pipe_does_not_make_us_wait(way: Open, root: int, inside: Path) -> None:
    os.mkfifo(inside / "pipe")

    os.close(way(root, (b"pipe",), beneath.READ))


def test_the_kernels_own_refusal_of_steps_upwards(root: int) -> None:
    with pytest.raises(OSError):
        beneath._by_kernel(root, (b"..", b"outside", b"secret"), beneath.READ)


def test_a_move_replaces_nothing(root: int, inside: Path) -> None:
    (inside / "a").write_text("a")
    (inside / "b").write_text("b")

    with pytest.raises(FileExistsError):
        beneath.move(root, b"a", root, b"b")
    beneath.move(root, b"a", root, b"c")

    assert (inside / "b").read_text() == "b"
    assert (inside / "c").read_text() == "a"


def test_removing_takes_links_and_not_what_they_lead_to(root: int, inside: Path) -> None:
    (inside / "deep/link").symlink_to("../../outside")
    (inside / "deep/file-link").symlink_to("/etc/passwd")

    beneath.remove(root, b"deep")

    assert (inside.parent / "outside/secret").read_text() == "secret"
    assert not (inside / "deep").exists()


def test_removing_a_link_to_a_directory_takes_the_link(root: int, inside: Path) -> None:
    (inside / "link").symlink_to("../outside")

    beneath.remove(root, b"link")

    assert (inside.parent / "outside/secret").exists()


def test_a_directory_of_any_depth_is_removed_also_one_closed_to_its_owner(root: int, inside: Path) -> None:
    at = os.open(inside / "deep", beneath.DIRECTORY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=at)
        inner = os.open("d", beneath.DIRECTORY, dir_fd=at)
        os.close(at)
        at = inner
    os.fchmod(at, 0)
    os.close(at)

    beneath.remove(root, b"deep")

    assert list(inside.iterdir()) == []
