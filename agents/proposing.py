"""The smallest rules for connections that were recorded: they allow those and nothing else, in as few rules as found. Pure.

A rule is hosts × ports × programs, so a set of connections is covered by such boxes. Each connection begins as a box
of its own; boxes that agree in two of the three are joined, which never covers anything new; the order of joining
that needs the fewest rules wins. No wildcard is ever made up: a name below another may belong to somebody else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import permutations, product
from typing import Any

from agents import hosts
from agents.errors import Invalid
from agents.reach import MAX_PER_RULE, Reach, Rule, default_name, one


@dataclass(frozen=True, slots=True, order=True)
class Asked:
    """A connection somebody's program asked for."""

    host: str
    port: int
    binary: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One that no rule is proposed for, and why."""

    asked: Asked
    why: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """The rules, and what they do not cover though it was asked for."""

    rules: tuple[Rule, ...]
    left_out: tuple[LeftOut, ...] = ()


# Hosts, ports, programs.
Box = tuple[frozenset[Any], frozenset[Any], frozenset[Any]]


def propose(asked: Iterable[Asked], reach: Reach, taken: Iterable[str] = ()) -> Proposal:
    """The rules that let through what ``reach`` does not yet. No rule gets a name that is ``taken``."""
    wanted, left_out = set[Asked](), list[LeftOut]()
    for each in sorted(set(asked)):
        verdict = reach.decide(each.host, each.port, each.binary)
        if verdict.allowed:
            continue
        if why := _obstacle(each) or (verdict.reason if verdict.rule or reach.closed else ""):
            left_out.append(LeftOut(each, why))
        else:
            wanted.add(each)
    return Proposal(_rules(boxes(wanted), list(taken)), tuple(left_out))


def boxes(wanted: Iterable[Asked]) -> list[Box]:
    """Few boxes whose union is exactly ``wanted``; the same whatever the order."""
    single: set[Box] = {(frozenset({w.host}), frozenset({w.port}), frozenset({w.binary})) for w in wanted}
    found: list[set[Box]] = [_joined(single, order) for order in permutations(range(3))]
    fewest: set[Box] = min(found, key=len)
    return sorted(fewest, key=lambda box: tuple(sorted(map(str, box[axis])) for axis in range(3)))


def _joined(found: set[Box], order: Iterable[int]) -> set[Box]:
    order = tuple(order)
    while True:
        before = len(found)
        for axis in order:
            groups: dict[tuple[frozenset[Any], ...], set[Any]] = defaultdict(set)
            for box in found:
                groups[tuple(each for number, each in enumerate(box) if number != axis)] |= box[axis]
            found = {_with(rest, axis, frozenset(values)) for rest, values in groups.items()}
        if len(found) == before:
            return found


def _with(rest: tuple[frozenset[Any], ...], axis: int, values: frozenset[Any]) -> Box:
    parts = [*rest[:axis], values, *rest[axis:]]
    return parts[0], parts[1], parts[2]


def _obstacle(asked: Asked) -> str:
    """Why no rule could allow exactly this; "" when one can."""
    if not asked.binary:
        return "Which program asked could not be told; a rule would let through every program."
    try:
        is_same = hosts.pattern(asked.host) == asked.host
        one({"hosts": [asked.host], "ports": [asked.port], "binaries": [asked.binary]})
    except Invalid as error:
        return error.message
    # A path that ends so would stand for a whole directory.
    return "" if is_same and not asked.binary.endswith("*") else "No rule can name exactly this."


def _rules(found: list[Box], taken: list[str]) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    for box in found:
        for parts in product(*(_pieces(sorted(values)) for values in box)):
            named, ports, binaries = parts
            name = default_name(str(named[0]), taken)
            taken.append(name)
            rules.append(Rule(name, named, ports, binaries))
    return tuple(rules)


def _pieces(values: list[Any]) -> list[tuple[Any, ...]]:
    """No rule is longer than a rule may be."""
    return [tuple(values[start : start + MAX_PER_RULE]) for start in range(0, len(values), MAX_PER_RULE)]
