"""Rules as boxes of hosts × ports × programs, and denials cut out of them, because OpenShell has no denials. Pure.

What a denial covers whole is simply not allowed any more. Where it takes a part of a wildcard or of a directory, what
is left has no name in OpenShell: that piece is handed back as lost, so that nobody is given more than the rules give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from agents.reach import Rule

# Every program: a directory pattern like others, because every program's path begins so.
ANY_PROGRAM = "/*"
# So many cuts are made for one document; rules that need more are lost and say so. Nobody writes that many by hand.
MOST_CUTS = 4_000


@dataclass(frozen=True, slots=True)
class Box:
    """Every one of ``hosts`` on every one of ``ports`` by every one of ``binaries``, as patterns of rules."""

    hosts: tuple[str, ...]
    ports: tuple[int, ...]
    binaries: tuple[str, ...]

    @classmethod
    def of(cls, rule: Rule) -> Box:
        """A rule without programs is about all of them."""
        return cls(rule.hosts, rule.ports, rule.binaries or (ANY_PROGRAM,))

    def __bool__(self) -> bool:
        return bool(self.hosts and self.ports and self.binaries)


class Denial:
    """One rule that denies, ready to be cut out of many boxes."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._ports = frozenset(rule.ports)
        self._binaries = rule.binaries or (ANY_PROGRAM,)
        self._exact = frozenset(host for host in rule.hosts if not host.startswith("*."))
        self._below = frozenset(host[2:] for host in rule.hosts if host.startswith("*."))
        self.parents = frozenset(parent for name in (*self._exact, *self._below) for parent in _parents(name))

    def cut(self, box: Box) -> tuple[list[Box], list[Box]]:
        """What is left of ``box``, and the pieces of which something is left that cannot be said."""
        ports = tuple(port for port in box.ports if port in self._ports)
        if not ports:
            return [box], []
        whole, partly, free = _sorted_out(box.hosts, self._covers_host, self._touches_host)
        all_of, some_of, none_of = _sorted_out(box.binaries, self._covers_binary, self._touches_binary)
        touched = whole + partly
        left = [
            Box(free, box.ports, box.binaries),
            Box(touched, tuple(port for port in box.ports if port not in self._ports), box.binaries),
            Box(touched, ports, none_of),
        ]
        lost = [Box(partly, ports, all_of + some_of), Box(whole, ports, some_of)]
        return [each for each in left if each], [each for each in lost if each]

    def _covers_host(self, host: str) -> bool:
        name = host.removeprefix("*.")
        if host == name and name in self._exact:
            return True
        return (host != name and name in self._below) or any(parent in self._below for parent in _parents(name))

    def _touches_host(self, host: str) -> bool:
        return host.startswith("*.") and host[2:] in self.parents

    def _covers_binary(self, binary: str) -> bool:
        return any(_lies_in(binary, own) for own in self._binaries)

    def _touches_binary(self, binary: str) -> bool:
        return any(_lies_in(own, binary) for own in self._binaries)


class Denials:
    """All denials of a policy, found by the hosts they are about."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._left = MOST_CUTS
        self._all = [Denial(rule) for rule in rules]
        self._by_host: dict[str, list[int]] = {}
        self._by_parent: dict[str, list[int]] = {}
        for number, denial in enumerate(self._all):
            for host in denial.rule.hosts:
                self._by_host.setdefault(host, []).append(number)
            for parent in denial.parents:
                self._by_parent.setdefault(parent, []).append(number)

    def cut_out_of(self, box: Box) -> tuple[list[Box], list[tuple[Box, Denial | None]]]:
        """What is left of ``box``, and what is lost to which denial; None: to how many there are."""
        left, lost = [box], list[tuple[Box, Denial | None]]()
        for denial in self._about(box.hosts):
            if (cuts := len(left)) > self._left:
                return [], [(box, None)]
            self._left -= cuts
            left, now = _cut_all(left, denial)
            lost += [(each, denial) for each in now]
        return left, lost

    def _about(self, hosts: Sequence[str]) -> list[Denial]:
        found = {number for host in hosts for key in _names_of(host) for number in self._by_host.get(key, ())}
        wild = (host[2:] for host in hosts if host.startswith("*."))
        found |= {number for name in wild for number in self._by_parent.get(name, ())}
        return [self._all[number] for number in sorted(found)]


def _cut_all(boxes: list[Box], denial: Denial) -> tuple[list[Box], list[Box]]:
    pairs = [denial.cut(box) for box in boxes]
    return [each for left, _ in pairs for each in left], [each for _, lost in pairs for each in lost]


def joined(boxes: Iterable[Box]) -> list[Box]:
    """The same with those that differ in their hosts alone as one."""
    hosts: dict[tuple[tuple[int, ...], tuple[str, ...]], list[str]] = {}
    for box in boxes:
        hosts.setdefault((box.ports, box.binaries), []).extend(box.hosts)
    return [Box(tuple(dict.fromkeys(named)), *rest) for rest, named in hosts.items()]


def _sorted_out(
    values: tuple[str, ...], covers: Callable[[str], bool], touches: Callable[[str], bool]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Those that are covered whole, those that are touched, the others."""
    found: tuple[list[str], list[str], list[str]] = ([], [], [])
    for each in values:
        found[0 if covers(each) else 1 if touches(each) else 2].append(each)
    return tuple(found[0]), tuple(found[1]), tuple(found[2])


def _lies_in(inner: str, outer: str) -> bool:
    """Is everything that the pattern ``inner`` means meant by ``outer``?"""
    return inner == outer or (outer.endswith("/*") and inner.startswith(outer[:-1]))


def _parents(name: str) -> Iterator[str]:
    while "." in name:
        name = name.partition(".")[2]
        yield name


def _names_of(host: str) -> Iterator[str]:
    """The hosts of rules that cover ``host``."""
    yield host
    yield from (f"*.{parent}" for parent in _parents(host.removeprefix("*.")))
