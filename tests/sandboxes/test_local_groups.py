"""Finding where control groups may be made, from what different machines say of themselves; setting their limits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandboxes.local import groups
from sandboxes.local.groups import Place, Wanted

WANTED: Wanted = {"memory_mb": 512, "processes": 100, "cpu_percent": 150, "disk_mb": 0}


def mountinfo(*mounts: tuple[str, str, str, str]) -> str:
    return "\n".join(
        f"30 24 0:26 {top} {where} rw - {kind} cgroup rw,{options}" for kind, top, where, options in mounts
    )


def version_2(directory: Path, controllers: str = "cpu memory pids", enabled: str = "cpu memory pids") -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in {
        "cgroup.type": "domain", "cgroup.procs": "", "cgroup.controllers": controllers, "cgroup.subtree_control": enabled,
    }.items():  # fmt: skip
        (directory / name).write_text(text)
    return directory


def test_version_1_groups_are_made_below_our_own_of_each_controller(tmp_path: Path) -> None:
    for name in ("memory/ours", "pids"):
        (tmp_path / name).mkdir(parents=True)
    mounts = mountinfo(
        ("cgroup", "/", f"{tmp_path}/memory", "memory"),
        ("cgroup", "/", f"{tmp_path}/pids", "pids"),
        ("cgroup", "/", f"{tmp_path}/devices", "devices"),
    )

    found = groups.places("5:devices:/\n4:memory:/ours\n3:pids:/\n", mounts)

    assert found == {"memory": Place(1, tmp_path / "memory/ours"), "pids": Place(1, tmp_path / "pids")}


def test_a_container_shows_only_the_part_of_a_hierarchy_below_its_own_group(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    mounts = mountinfo(("cgroup", "/docker/abc", str(tmp_path), "memory"))

    assert groups.places("4:memory:/docker/abc/inner", mounts) == {"memory": Place(1, tmp_path / "inner")}
    assert groups.places("4:memory:/somewhere/else", mounts) == {}


def test_version_2_is_used_where_the_group_was_given_to_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = version_2(tmp_path / "user.slice/logos.service")
    mounts = mountinfo(("cgroup2", "/", str(tmp_path), ""))
    monkeypatch.setattr(os, "geteuid", lambda: own.stat().st_uid or 1000)
    monkeypatch.setattr(groups, "_is_ours", lambda directory: directory == own)

    found = groups.places("0::/user.slice/logos.service", mounts)

    assert found == {name: Place(2, own) for name in ("memory", "pids", "cpu")}
    # serve has moved to the leaf meanwhile: what it starts finds the same place.
    version_2(own / "main", enabled="")
    assert groups.places("0::/user.slice/logos.service/main", mounts) == found


def test_version_2_that_was_given_to_nobody_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version_2(tmp_path / "system.slice/logos.service")
    version_2(tmp_path)
    monkeypatch.setattr(groups, "_is_ours", lambda directory: False)

    found = groups.places("0::/system.slice/logos.service", mountinfo(("cgroup2", "/", str(tmp_path), "")))

    assert found == {}


def test_controllers_that_are_not_offered_are_not_used(tmp_path: Path) -> None:
    version_2(tmp_path, controllers="cpuset pids", enabled="cpuset pids")

    assert groups.places("0::/", mountinfo(("cgroup2", "/", str(tmp_path), ""))) == {"pids": Place(2, tmp_path)}


def test_an_unmounted_or_unwritable_hierarchy_is_none(tmp_path: Path) -> None:
    assert groups.places("4:memory:/\n0::/", "") == {}
    assert groups.places("4:memory:/", mountinfo(("cgroup", "/", f"{tmp_path}/nothing", "memory"))) == {}


def test_a_group_whose_limits_cannot_be_set_is_not_counted_as_one(tmp_path: Path) -> None:
    """An ordinary directory has no limit files: nothing is written, and the guard has to do it."""
    made = groups.make("/engine", WANTED, {"memory": Place(2, tmp_path), "pids": Place(1, tmp_path)})

    assert made == []
    assert [path.name for directory in tmp_path.iterdir() for path in directory.iterdir()] == []


@pytest.mark.parametrize(
    ("version", "limits"),
    [
        (2, {"memory.max": "536870912", "memory.swap.max": "0", "pids.max": "108", "cpu.max": "150000 100000",
             "cpu.weight": "100"}),
        (1, {"memory.limit_in_bytes": "536870912", "pids.max": "108", "cpu.cfs_quota_us": "150000",
             "cpu.cfs_period_us": "100000", "cpu.shares": "1024"}),
    ],
)  # fmt: skip
def test_the_limits_are_written_as_the_kernel_reads_them(tmp_path: Path, version: int, limits: dict[str, str]) -> None:
    place = Place(version, tmp_path)
    groups.make("/engine", WANTED, {"memory": place})
    [directory] = tmp_path.iterdir()
    for name in limits:
        (directory / name).write_text("")

    [group] = groups.make("/engine", WANTED, dict.fromkeys(("memory", "pids", "cpu"), place))

    assert {name: (directory / name).read_text() for name in limits} == limits
    assert group.resources == ("memory", "processes", "cpu")


def test_hits_are_read_from_the_counters_of_either_version(tmp_path: Path) -> None:
    (tmp_path / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    (tmp_path / "memory.events").write_text("low 0\noom 9\noom_kill 4\n")
    (tmp_path / "pids.events").write_text("max 7\n")

    assert groups.Group(1, tmp_path, ("memory",)).count("memory") == 3
    assert groups.Group(2, tmp_path, ("memory",)).count("memory") == 4
    assert groups.Group(2, tmp_path, ("processes",)).count("processes") == 7
    assert groups.Group(2, tmp_path / "gone", ("processes",)).count("processes") == 0
