"""What the rules say of a call: layers only tighten, the specific goes before the general, rates raise."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandboxes.tool_server import catalogue, deciding
from sandboxes.tool_server.catalogue import Rates
from sandboxes.tool_server.deciding import AGENT, SITE, Rule, Thing, decide
from sandboxes.tool_server.tiers import Tier, strictness

READ, MOVE, RUN = (catalogue.find(name) for name in ("filesystem.read", "filesystem.move", "process.run"))
_ids = itertools.count()


def rule(tool: str, tier: str, layer: str = SITE, condition: str = "", pattern: str = "", **more: Any) -> Rule:
    return Rule(str(next(_ids)), layer, tool, tier, condition, pattern, is_own=layer == AGENT, **more)


def path(value: str) -> list[Thing]:
    return [Thing("path", value)]


def test_without_a_rule_the_tools_own_default_holds() -> None:
    assert decide(READ, path("a"), []).tier == Tier.ALLOW
    assert decide(RUN, [Thing("command", "ls")], []).tier == Tier.ASK


def test_an_agents_rule_only_tightens() -> None:
    assert decide(RUN, [], [rule("process.run", "allow", AGENT)]).tier == Tier.ASK
    assert decide(READ, [], [rule("filesystem.*", "block", AGENT)]).tier == Tier.BLOCK
    assert decide(RUN, [], [rule("process.run", "allow")]).tier == Tier.ALLOW


def test_a_site_may_loosen_for_one_agent() -> None:
    rules = [rule("process.run", "block"), Rule("own", SITE, "process.run", "allow", is_own=True)]

    assert decide(RUN, [], rules).tier == Tier.ALLOW


def test_a_condition_goes_before_a_tool_and_equals_are_strict() -> None:
    rules = [
        rule("filesystem.*", "block", condition="path", pattern="secrets"),
        rule("filesystem.read", "allow"),
        rule("filesystem.*", "ask", condition="path", pattern="secrets/open"),
    ]

    assert decide(READ, path("secrets/key"), rules).tier == Tier.BLOCK
    assert decide(READ, path("secrets/open/x"), rules).tier == Tier.BLOCK
    assert decide(READ, path("notes"), rules).tier == Tier.ALLOW


def test_every_path_of_a_call_counts() -> None:
    rules = [rule("filesystem.*", "block", condition="path", pattern="/workspace/secrets")]

    for pair in (("a", "secrets/x"), ("secrets", "b"), ("secrets/x", "b")):
        assert decide(MOVE, [Thing("tree", each) for each in pair], rules).tier == Tier.BLOCK


def test_the_directory_above_is_no_way_round() -> None:
    rules = [rule("*", "block", condition="path", pattern="home/secrets")]

    assert decide(MOVE, [Thing("tree", "home"), Thing("tree", "x")], rules).tier == Tier.BLOCK
    assert decide(MOVE, [Thing("tree", "x"), Thing("tree", "y")], rules).tier == Tier.ALLOW


def test_a_looser_rule_for_a_part_of_a_tree_loosens_nothing() -> None:
    rules = [rule("filesystem.*", "block"), rule("filesystem.*", "allow", condition="path", pattern="home/open")]

    assert decide(MOVE, [Thing("tree", "home"), Thing("tree", "home/open/x")], rules).tier == Tier.BLOCK
    assert decide(MOVE, [Thing("tree", "home/open/y"), Thing("tree", "home/open/x")], rules).tier == Tier.ALLOW


def test_a_shells_line_is_not_loosened_by_how_it_looks() -> None:
    rules = [rule("process.run", "allow", condition="command", pattern="git *")]
    strict = [rule("process.run", "allow"), rule("process.run", "block", condition="command", pattern="*rm *")]

    assert decide(RUN, [Thing("command", "git status")], rules).tier == Tier.ALLOW
    assert decide(RUN, [Thing("command", "git status; rm -rf /", is_shell=True)], rules).tier == Tier.ASK
    assert decide(RUN, [Thing("command", "git status; rm -rf /", is_shell=True)], strict).tier == Tier.BLOCK


def test_rates_raise_and_an_agents_own_are_only_lower() -> None:
    allowed = decide(READ, [], [])
    rates = Rates(10, 100)

    assert deciding.with_rates(allowed, rates, 10, 100).tier == Tier.ALLOW
    assert deciding.with_rates(allowed, rates, 11, 11).tier == Tier.ASK
    assert deciding.with_rates(allowed, rates, 5, 101).tier == Tier.ASK
    assert deciding.with_rates(allowed, rates, 41, 41).tier == Tier.BLOCK
    rules = [rule("*", "allow", per_minute=500), rule("filesystem.read", "allow", AGENT, per_minute=900, per_hour=7)]
    assert deciding.rates_of(READ, rules) == Rates(500, 7)


TIERS = st.sampled_from(list(Tier))
TOOLS = st.sampled_from(["*", "filesystem.*", "filesystem.read", "filesystem.move", "process.run"])
PATHS = st.sampled_from(["", "a", "a/b", "a/b/c", "z", "a/z"])
PATTERNS = st.sampled_from(["a", "a/b", "**/z", "**/b", "a/*"])
RULES = st.lists(
    st.builds(
        lambda tool, tier, layer, pattern: rule(tool, tier, layer, "path" if pattern else "", pattern or ""),
        TOOLS,
        TIERS,
        st.sampled_from([SITE, AGENT]),
        st.none() | PATTERNS,
    ),
    max_size=6,
)


# A busy machine is no reason to fail.
patiently = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@patiently
@given(rules=RULES, more=RULES, tool=st.sampled_from([READ, MOVE]), values=st.lists(PATHS, min_size=1, max_size=2))
def test_no_rule_of_an_agent_ever_loosens(rules: list[Rule], more: list[Rule], tool: Any, values: list[str]) -> None:
    things = [Thing("path" if tool is READ else "tree", value) for value in values]
    of_site = [each for each in (*rules, *more) if each.layer == SITE]

    site = decide(tool, things, of_site).tier
    both = decide(tool, things, [*rules, *more]).tier

    assert strictness(both) >= strictness(site)


@patiently
@given(rules=RULES, values=st.lists(PATHS, min_size=1, max_size=3))
def test_a_call_about_more_is_never_looser(rules: list[Rule], values: list[str]) -> None:
    things = [Thing("tree", value) for value in values]

    whole = decide(MOVE, things, rules).tier

    assert strictness(whole) == max(strictness(decide(MOVE, [thing], rules).tier) for thing in things)
