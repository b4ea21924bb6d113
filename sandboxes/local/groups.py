"""Control groups of one sandbox: find where this process may make some, set the limits, enter, count, remove.

Version 2 where a delegated subtree is writable, version 1 where its hierarchies are; nothing where neither is, and
``guard`` then watches instead. Groups are made below our own, so no limit somebody has put on us is left.
Part of the keeper: standard library only.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

RESOURCES = {"memory": "memory", "pids": "processes", "cpu": "cpu"}  # controller -> what it limits
SPARE_PROCESSES = 8  # bubblewrap and PID 1 are not the agent's
PERIOD_US = 100_000
LEAF = "main"  # where a delegated group's own processes go: version 2 wants none beside subgroups


class Wanted(TypedDict):
    memory_mb: int
    processes: int
    cpu_percent: int
    disk_mb: int


@dataclass(frozen=True)
class Place:
    """Where groups of one controller may be made."""

    version: int
    directory: Path


@dataclass(frozen=True)
class Group:
    """One group of the sandbox and what of it is limited there."""

    version: int
    directory: Path
    resources: tuple[str, ...]

    def count(self, resource: str) -> int:
        """How often this limit was hit: processes ended for memory, forks refused."""
        names = {("memory", 1): "memory.oom_control", ("memory", 2): "memory.events"}
        name, key = names.get((resource, self.version), "pids.events"), "oom_kill" if resource == "memory" else "max"
        try:
            lines = (self.directory / name).read_text().splitlines()
        except OSError:
            return 0
        return next((int(line.split()[1]) for line in lines if line.split()[:1] == [key]), 0)


def places(cgroup: str | None = None, mounts: str | None = None) -> dict[str, Place]:
    """By controller. The two texts are those of ``/proc/self/cgroup`` and ``/proc/self/mountinfo``."""
    cgroup = Path("/proc/self/cgroup").read_text() if cgroup is None else cgroup
    mounts = Path("/proc/self/mountinfo").read_text() if mounts is None else mounts
    found: dict[str, Place] = {}
    unified, hierarchies = _mounted(mounts)
    for line in cgroup.splitlines():
        number, names, own = line.split(":", 2)
        if number == "0" and unified is not None:
            found.update(_delegated(unified, own))
        for name in names.split(","):
            if name in RESOURCES and name in hierarchies:
                place = _own_directory(hierarchies[name], own)
                if place is not None and os.access(place, os.W_OK):
                    found[name] = Place(1, place)
    return found


Mounted = tuple[str, str]  # where it is mounted, and which group is its top there


def _mounted(mounts: str) -> tuple[Mounted | None, dict[str, Mounted]]:
    unified, hierarchies = None, {}
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = [*after.split(" ", 2), "", ""][:3]
        fields = before.split(" ")
        if kind == "cgroup2":
            unified = (fields[4], fields[3])
        elif kind == "cgroup":
            hierarchies.update(dict.fromkeys(options.split(","), (fields[4], fields[3])))
    return unified, hierarchies


def _own_directory(mounted: Mounted, own: str) -> Path | None:
    where, top = mounted
    if top != "/" and own != top and not own.startswith(top + "/"):
        return None  # a group outside of what this container is shown
    return Path(where + (own if top == "/" else own[len(top) :]))


def _delegated(unified: Mounted, own: str) -> dict[str, Place]:
    """Version 2: our own group if it was given to us, or the one above the leaf we have moved to, or as root on the
    bare machine the top, as container engines do."""
    directory = _own_directory(unified, own)
    if directory is None:
        return {}
    top = Path(unified[0])
    candidates = [directory.parent] if directory.name == LEAF and directory != top else []
    candidates.append(directory)
    if os.geteuid() == 0 and not (top / "cgroup.type").exists():
        candidates.append(top)
    for candidate in candidates:
        if (candidate == top or _is_ours(candidate)) and (controllers := _offered(candidate)):
            return {name: Place(2, candidate) for name in controllers}
    return {}


def _is_ours(directory: Path) -> bool:
    """systemd marks what it delegates, and gives it to the user of an unprivileged service."""
    for name in ("user.delegate", "trusted.delegate"):
        try:
            if os.getxattr(directory, name) == b"1":
                return True
        except OSError:
            continue
    try:
        return os.geteuid() != 0 and directory.stat().st_uid == os.geteuid()
    except OSError:
        return False


def _offered(directory: Path) -> list[str]:
    """The controllers that subgroups of ``directory`` have; switched on if need be."""
    try:
        if not os.access(directory / "cgroup.procs", os.W_OK):
            return []
        offered = set((directory / "cgroup.controllers").read_text().split()) & RESOURCES.keys()
        control = directory / "cgroup.subtree_control"
        missing = offered - set(control.read_text().split())
        if missing:
            _enable(directory, control, missing)
        return sorted(offered & set(control.read_text().split()))
    except OSError:
        return []


def _enable(directory: Path, control: Path, names: set[str]) -> None:
    words = " ".join(f"+{name}" for name in sorted(names))
    try:
        control.write_text(words)
    except OSError as problem:
        if problem.errno != errno.EBUSY:
            raise
        leaf = directory / LEAF
        leaf.mkdir(exist_ok=True)
        for pid in (directory / "cgroup.procs").read_text().split():
            (leaf / "cgroup.procs").write_text(pid)
        control.write_text(words)


def make(engine: str, wanted: Wanted, found: dict[str, Place] | None = None) -> list[Group]:
    """Groups for the sandbox kept in ``engine``, with their limits set; those that cannot be made are left out."""
    name = f"logos-{hashlib.sha256(engine.encode()).hexdigest()[:16]}"
    by_directory: dict[Path, tuple[int, list[str]]] = {}
    for controller, place in (places() if found is None else found).items():
        directory = place.directory / name
        try:
            directory.mkdir(exist_ok=True)
            _limit(directory, place.version, controller, wanted)
        except OSError:
            continue
        by_directory.setdefault(directory, (place.version, []))[1].append(RESOURCES[controller])
    return [Group(version, path, tuple(resources)) for path, (version, resources) in by_directory.items()]


def _limit(directory: Path, version: int, controller: str, wanted: Wanted) -> None:
    size, quota = str(wanted["memory_mb"] << 20), wanted["cpu_percent"] * PERIOD_US // 100
    if controller == "pids":
        _write(directory / "pids.max", str(wanted["processes"] + SPARE_PROCESSES))
    elif controller == "memory" and version == 2:
        _write(directory / "memory.max", size)
        _write_if_there(directory / "memory.swap.max", "0")
    elif controller == "memory":
        # A group that is used again: the two limits may only be moved in the order that keeps one below the other.
        with_swap = directory / "memory.memsw.limit_in_bytes"
        _write_if_there(with_swap, "-1")
        _write(directory / "memory.limit_in_bytes", size)
        _write_if_there(with_swap, size)
    elif version == 2:
        _write(directory / "cpu.max", f"{quota or 'max'} {PERIOD_US}")
        _write_if_there(directory / "cpu.weight", "100")  # all of it together weighs as much as one service
    else:
        _write(directory / "cpu.cfs_period_us", str(PERIOD_US))
        _write(directory / "cpu.cfs_quota_us", str(quota or -1))
        _write_if_there(directory / "cpu.shares", "1024")  # as much as one process: less, and a busy host starves it


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)  # never makes a file, should this be no control group
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _write_if_there(path: Path, text: str) -> None:
    try:
        _write(path, text)
    except OSError:
        pass


def enter(groups: list[Group]) -> None:
    """Put this process into them, and so all that it starts."""
    for group in groups:
        _write(group.directory / "cgroup.procs", "0")


def remove(directories: list[str], patience_s: float = 1.0) -> None:
    """Once nothing runs in them; what has ended may be counted for another moment."""
    deadline = time.monotonic() + patience_s
    for directory in directories:
        while True:
            try:
                os.rmdir(directory)
            except FileNotFoundError:
                pass
            except OSError:
                if time.monotonic() < deadline:
                    time.sleep(0.01)
                    continue
            break
