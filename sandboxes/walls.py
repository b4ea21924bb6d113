"""What the layers of a sandbox mean to a person: which walls are up around it, which are not, one sentence each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wall:
    """One wall; ``is_up`` False says that something weaker stands in its place, or nothing."""

    name: str
    is_up: bool
    sentence: str


_NAMESPACES = ("userns", "mnt", "pid", "net", "ipc", "uts")
_LANDLOCK = {6: "files, signals and abstract sockets", 5: "files and devices", 1: "files"}
_LIMITS = {
    "memory": ("Memory", "guard", "A guard looks at it from outside and ends the largest process when it is too much."),
    "processes": ("Processes", "rlimit", "Bounded for its user by the kernel."),
    "cpu": ("Processor time", "nice", "Not bounded; the host's own work comes first."),
    "disk": ("Files on disk", "guard", "A guard measures them from outside and ends what writes too much."),
}


def explained(layers: Iterable[str]) -> list[Wall]:
    """Every wall there could be, in the order of their weight. Empty for a sandbox that never ran."""
    known = list(layers)
    if not known:
        return []
    named = dict(layer.partition(":")[::2] for layer in known)
    return [
        _namespaces(known),
        _plain(known, "seccomp", "System calls", "Calls with a history of holes are refused.", "No filter."),
        _landlock(named.get("landlock")),
        _plain(
            known, "uid", "Own user", "It runs as a host user of its own.",
            "It runs as Logos's own user, like every sandbox here. Start Logos as root to give each its own.",
        ),
        *(_limit(resource, named.get(resource, "")) for resource in _LIMITS),
    ]  # fmt: skip


def _namespaces(known: list[str]) -> Wall:
    missing = [name for name in _NAMESPACES if name not in known]
    if missing:
        return Wall("Namespaces", False, f"Missing: {', '.join(missing)}.")
    return Wall("Namespaces", True, "Its own files, processes, network, users, shared memory and host name.")


def _plain(known: list[str], layer: str, name: str, yes: str, no: str) -> Wall:
    return Wall(name, layer in known, yes if layer in known else no)


def _landlock(version: str | None) -> Wall:
    if not version or not version.isdigit():
        return Wall("Landlock", False, "Not in this kernel; the other walls stand without it.")
    guards = next(words for least, words in _LANDLOCK.items() if int(version) >= least)
    return Wall("Landlock", True, f"A second wall around {guards} (ABI {version}).")


def _limit(resource: str, by: str) -> Wall:
    name, weaker, sentence = _LIMITS[resource]
    if by.startswith("cgroup"):
        return Wall(name, True, f"Bounded for the whole sandbox by the kernel (control groups, version {by[6:]}).")
    if by == weaker:
        return Wall(name, resource in ("disk", "processes"), sentence)
    return Wall(name, False, "It was started by an older version and is not bounded. Restart it.")
