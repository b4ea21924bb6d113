"""Proposed rules allow exactly what was recorded: over random connections, and in as few rules as one would write."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import rule_lines
from agents.proposing import Asked, boxes, propose
from agents.reach import Reach, Rule, parse
from tests.rules import rules

HOSTS = [f"{name}.example" for name in ("a", "b", "c", "d.a")]
PORTS = [80, 443, 8443]
PROGRAMS = ["/usr/bin/git", "/usr/bin/curl", "/usr/lib/apt/methods/https"]
EVERYTHING = [Asked(*each) for each in product(HOSTS, PORTS, PROGRAMS)]

recorded = st.sets(st.sampled_from(EVERYTHING), max_size=20)


@settings(max_examples=150, deadline=None)
@given(recorded)
def test_the_rules_allow_what_was_recorded_and_nothing_else(asked: set[Asked]) -> None:
    found = propose(asked, Reach(()))

    reach = Reach(found.rules)
    allowed = {each for each in EVERYTHING if reach.decide(each.host, each.port, each.binary)}
    assert allowed == asked
    assert not any(reach.decide(f"x.{host}", 443, PROGRAMS[0]) for host in HOSTS[:3])
    assert not any(reach.decide(each.host, each.port, "") for each in EVERYTHING), "no rule for any program"
    assert not found.left_out
    assert len(found.rules) <= len(asked)


@settings(max_examples=60, deadline=None)
@given(recorded, recorded)
def test_what_rules_allow_already_is_not_proposed_again(asked: set[Asked], held: set[Asked]) -> None:
    before = propose(held, Reach(())).rules

    added = propose(asked, Reach(before), [rule.name for rule in before]).rules

    names = [rule.name for rule in (*before, *added)]
    assert len(set(names)) == len(names)
    together = Reach((*before, *added))
    assert {each for each in EVERYTHING if together.decide(each.host, each.port, each.binary)} == asked | held
    assert not propose(asked, together).rules, "a second proposal has nothing to add"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(EVERYTHING), max_size=20), st.randoms())
def test_the_order_of_records_does_not_matter_and_rules_can_be_written(asked: list[Asked], chance: object) -> None:
    first = propose(asked, Reach(())).rules
    chance.shuffle(asked)  # type: ignore[attr-defined]

    assert propose(asked, Reach(())).rules == first
    stored = [rule.as_json() for rule in first]
    assert parse(stored) == first
    assert [rule.as_json() for rule in rule_lines.read(rule_lines.write(stored))] == stored


@pytest.mark.parametrize(("asked", "most"), [
    (list(product(HOSTS, PORTS, PROGRAMS)), 1),
    ([("a.example", 443, PROGRAMS[0]), ("b.example", 443, PROGRAMS[0]), ("c.example", 443, PROGRAMS[0])], 1),
    ([("a.example", 80, PROGRAMS[0]), ("a.example", 443, PROGRAMS[0]), ("a.example", 443, PROGRAMS[1])], 2),
    ([("a.example", 443, PROGRAMS[0]), ("b.example", 80, PROGRAMS[1])], 2),
    ([], 0),
])  # fmt: skip
def test_it_takes_as_few_rules_as_a_person_would_write(asked: list[tuple[str, int, str]], most: int) -> None:
    assert len(propose([Asked(*each) for each in asked], Reach(())).rules) == most


def test_what_no_rule_can_say_is_left_out_with_the_reason() -> None:
    odd = [
        Asked("a.example", 443, ""),
        Asked("localhost", 443, "/usr/bin/curl"),
        Asked("10.0.0.1", 443, "/usr/bin/curl"),
        Asked("a.example", 443, "/opt/a b/run"),
        Asked("a.example", 443, "/opt/*"),
        Asked("bad.example", 443, "/usr/bin/curl"),
    ]
    denying = Reach(parse(rules("deny bad.example")))

    found = propose(odd, denying)

    assert not found.rules
    why = {each.asked: each.why for each in found.left_out}
    assert set(why) == set(odd)
    assert "every program" in why[odd[0]]
    assert "denies bad.example" in why[odd[5]]
    assert all(why.values())


def test_no_rule_is_longer_than_a_rule_may_be() -> None:
    asked = [Asked(f"h{number}.example", 443, "/usr/bin/curl") for number in range(250)]

    found = propose(asked, Reach(())).rules

    assert [len(rule.hosts) for rule in found] == [100, 100, 50]
    assert len(boxes(asked)) == 1
    assert isinstance(found[0], Rule)
    assert parse([rule.as_json() for rule in found]) == found
