"""The host's side of a sandbox: owners and modes, planted links, the way to a source, the lock."""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from sandboxes.driver import Mount, SandboxError, SandboxSpec
from sandboxes.local import prepare
from tests.sandboxes.local_specs import UID, local_spec

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives directories to another user")


def make(spec: SandboxSpec) -> None:
    os.close(prepare.take_lock(spec))
    prepare.make_sources(spec)


def mode_and_owner(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return stat.S_IMODE(found.st_mode), found.st_uid


@as_root
def test_each_directory_gets_its_owner_and_mode(walkable_dir: Path) -> None:
    make(local_spec(walkable_dir))

    root = walkable_dir / "atlas"
    assert mode_and_owner(root) == (0o711, 0)
    assert mode_and_owner(root / "engine") == (0o700, 0)
    for name in ("workspace", "home", "hermes"):
        assert mode_and_owner(root / name) == (0o700, UID)


def test_without_a_user_of_its_own_the_agents_directory_is_ours_alone(tmp_path: Path) -> None:
    make(local_spec(tmp_path, uid=None))

    assert mode_and_owner(tmp_path / "atlas") == (0o700, os.geteuid())


def test_a_missing_leaf_is_made_as_what_it_must_be(walkable_dir: Path) -> None:
    spec = local_spec(walkable_dir, files={"/hermes/.env": "x"}, empty_dirs=("/hermes/plugins",))
    make(spec)
    make(spec)

    assert (walkable_dir / "atlas/hermes/.env").is_file()
    assert (walkable_dir / "atlas/hermes/plugins").is_dir()


def plant_link(path: Path) -> None:
    path.symlink_to("/oldroot/etc")


def plant_directory(path: Path) -> None:
    path.mkdir()


def plant_file(path: Path) -> None:
    path.touch()


def plant_fifo(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("leaf", "plant"),
    [
        (".env", plant_link),
        (".env", plant_directory),
        (".env", plant_fifo),
        ("plugins", plant_link),
        ("plugins", plant_file),
        ("SOUL.md", plant_link),
    ],
)
def test_a_leaf_that_is_not_what_it_must_be_is_refused(
    walkable_dir: Path, leaf: str, plant: Callable[[Path], None]
) -> None:
    soul = walkable_dir / "SOUL.md"
    soul.write_text("a soul")
    soul.chmod(0o644)
    spec = local_spec(walkable_dir, files={"/hermes/.env": ""}, empty_dirs=("/hermes/plugins",))
    make(spec)
    spec = dataclasses.replace(spec, mounts=(*spec.mounts, Mount(soul, "/hermes/SOUL.md")))
    place = walkable_dir / "atlas/hermes" / leaf
    if place.is_dir():
        place.rmdir()
    place.unlink(missing_ok=True)
    plant(place)

    with pytest.raises(SandboxError) as refused:
        make(spec)

    assert refused.value.reason == "sandbox_mount_point"
    assert str(place) in refused.value.message


@pytest.mark.parametrize("name", ["hermes", "engine"])
def test_a_directory_replaced_by_a_link_is_refused(walkable_dir: Path, name: str) -> None:
    spec = local_spec(walkable_dir)
    make(spec)
    elsewhere = walkable_dir / "elsewhere"
    elsewhere.mkdir()
    (walkable_dir / "atlas" / name).rmdir()
    (walkable_dir / "atlas" / name).symlink_to(elsewhere)

    with pytest.raises(SandboxError):
        make(spec)

    assert not list(elsewhere.iterdir())


@as_root
def test_the_directory_in_the_way_is_named(walkable_dir: Path) -> None:
    closed = walkable_dir / "closed"
    (closed / "deep").mkdir(parents=True)
    closed.chmod(0o700)
    spec = local_spec(walkable_dir)
    spec = dataclasses.replace(spec, mounts=(*spec.mounts, Mount(closed / "deep", "/runtime")))

    with pytest.raises(SandboxError) as refused:
        make(spec)

    assert refused.value.reason == "sandbox_source_unreachable"
    assert f"cannot pass {closed}," in refused.value.message
    assert f"chmod o+x {closed}" in refused.value.action


@as_root
def test_a_source_of_another_owner_is_refused(walkable_dir: Path) -> None:
    (walkable_dir / "atlas/home").mkdir(parents=True)

    with pytest.raises(SandboxError) as refused:
        make(local_spec(walkable_dir))

    assert refused.value.reason == "sandbox_source_owner"


def test_a_read_only_source_must_exist(walkable_dir: Path) -> None:
    spec = local_spec(walkable_dir, mounts=(Mount(walkable_dir / "none", "/runtime"),))

    with pytest.raises(SandboxError) as refused:
        make(spec)

    assert refused.value.reason == "sandbox_source_missing"


def test_the_lock_is_held_until_it_is_closed(walkable_dir: Path) -> None:
    spec = local_spec(walkable_dir)
    lock = prepare.take_lock(spec)
    with pytest.raises(SandboxError) as refused:
        prepare.take_lock(spec)
    assert refused.value.reason == "sandbox_running"

    os.close(lock)

    os.close(prepare.take_lock(spec))


def test_a_state_directory_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "atlas").write_text("a file where the directory should be")

    with pytest.raises(SandboxError) as refused:
        prepare.take_lock(local_spec(tmp_path))

    assert refused.value.reason == "state_directory"


@pytest.mark.parametrize(
    ("mode", "owner", "group", "wanted", "answer"),
    [
        (0o700, 1, 1, 1, False),
        (0o711, 1, 1, 1, True),
        (0o711, 1, 1, 5, False),
        (0o755, 1, 1, 5, True),
        (0o700, 7, 1, 5, True),
        (0o077, 7, 1, 1, False),
        (0o750, 1, 7, 5, True),
        (0o705, 1, 7, 5, False),
    ],
)
def test_who_may_pass(mode: int, owner: int, group: int, wanted: int, answer: bool) -> None:
    found = os.stat_result((stat.S_IFDIR | mode, 0, 0, 1, owner, group, 0, 0, 0, 0))

    assert prepare.may(found, 7, wanted) is answer
