"""Opening, moving and removing what lies below a directory an agent writes: nothing leads out, nothing hangs."""

from __future__ import annotations

import contextlib
import os
import threading
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


def test_a_directory_that_others_empty_and_fill_meanwhile_is_removed(root: int, inside: Path) -> None:
    """Somebody deletes and replaces what is in it until it is gone: no round fails for that."""
    is_over = threading.Event()

    def bustle() -> None:
        names = [inside / "deep" / str(number) for number in range(40)]
        while not is_over.is_set() and (inside / "deep").exists():
            for path in names:
                with contextlib.suppress(OSError):
                    path.mkdir() if path.name[-1] in "02468" else path.touch()
                    path.rmdir() if path.name[-1] in "48" else path.unlink()

    bustling = threading.Thread(target=bustle)
    bustling.start()
    try:
        beneath.remove(root, b"deep")
    finally:
        is_over.set()
        bustling.join()

    assert not (inside / "deep").exists()


def test_who_fills_it_faster_than_it_is_emptied_does_not_hold_us(
    root: int, inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beneath, "REMOVE_S", 0.2)
    found = beneath.entries

    def one_more(directory: int, most: int = 0) -> list[tuple[bytes, bool]]:
        names = found(directory, most)
        os.close(os.open(os.urandom(8).hex(), os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=directory))
        return names

    monkeypatch.setattr(beneath, "entries", one_more)

    with pytest.raises(TimeoutError):
        beneath.remove(root, b"deep")
