"""What an agent may reach: every verdict has a reason, denials win, and what is not exactly right is no rule."""

from __future__ import annotations

import random
from typing import Any

import pytest

from agents import hosts
from agents.errors import Invalid
from agents.reach import Reach, Rule, parse

GIT, CURL = "/usr/bin/git", "/usr/bin/curl"


def reach(*entries: dict[str, Any]) -> Reach:
    return Reach(parse([{"name": f"rule {number}", **entry} for number, entry in enumerate(entries)], "lab"))


def test_nothing_is_allowed_without_a_rule() -> None:
    verdict = Reach(()).decide("example.org", 443, GIT)

    assert (verdict.allowed, verdict.rule, verdict.reason) == (False, "", "No rule names example.org.")


def test_a_rule_allows_its_host_on_its_port_and_says_so() -> None:
    verdict = reach({"hosts": ["example.org"]}).decide("Example.org.", 443)

    assert (verdict.allowed, verdict.rule, verdict.reason) == (True, "lab/rule 0", "The rule rule 0 allows it.")


@pytest.mark.parametrize(
    ("host", "port", "binary", "reason"),
    [
        ("example.org", 80, GIT, "example.org is allowed on port 443, 8443 only, not on 80."),
        ("example.org", 443, CURL, "example.org is allowed for other programs, not for /usr/bin/curl."),
        ("example.org", 443, "", "example.org is allowed for some programs, and which one asked could not be told."),
        ("www.example.org", 443, GIT, "No rule names www.example.org."),
        ("127.0.0.1", 443, GIT, "127.0.0.1 is not a host name."),
    ],
)
def test_a_denial_names_the_nearest_miss(host: str, port: int, binary: str, reason: str) -> None:
    rules = reach({"hosts": ["example.org"], "ports": [443, 8443], "binaries": [GIT]})

    verdict = rules.decide(host, port, binary)

    assert (verdict.allowed, verdict.reason) == (False, reason)


def test_a_denial_wins_wherever_it_stands() -> None:
    rules = reach({"hosts": ["*.example.org"]}, {"hosts": ["secret.example.org"], "effect": "deny"})

    assert rules.decide("www.example.org", 443)
    assert rules.decide("secret.example.org", 443).reason == "The rule rule 1 denies secret.example.org."


def test_a_wildcard_denial_wins_over_an_exact_allowance() -> None:
    rules = reach({"hosts": ["a.example.org"]}, {"hosts": ["*.example.org"], "effect": "deny"})

    assert not rules.decide("a.example.org", 443)


def test_a_denial_for_one_program_leaves_the_others() -> None:
    rules = reach({"hosts": ["example.org"]}, {"hosts": ["example.org"], "effect": "deny", "binaries": [CURL]})

    assert rules.decide("example.org", 443, GIT)
    assert not rules.decide("example.org", 443, CURL)


def test_what_cannot_be_told_is_denied_what_any_program_is() -> None:
    rules = reach({"hosts": ["example.org"]}, {"hosts": ["example.org"], "effect": "deny", "binaries": [CURL]})

    assert not rules.decide("example.org", 443, "")


def test_what_is_closed_lets_nothing_through_and_says_why() -> None:
    shut = Reach(parse([{"hosts": ["example.org"]}]), closed="A policy cannot be read.")

    assert (shut.decide("example.org", 443).allowed, shut.decide("example.org", 443).reason) == (
        False,
        "A policy cannot be read.",
    )


def test_a_directory_of_programs_ends_at_its_slash() -> None:
    rules = reach({"hosts": ["example.org"], "binaries": ["/usr/lib/git-core/*"]})

    assert rules.decide("example.org", 443, "/usr/lib/git-core/git-remote-https")
    assert not rules.decide("example.org", 443, "/usr/lib/git-core-evil/git")


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"hosts": ["10.0.0.1"]}, "is not a host name"),
        ({"hosts": ["localhost"]}, "agents never reach"),
        ({"hosts": ["*.co.uk"]}, "Anybody may own"),
        ({"hosts": []}, "names no host"),
        ({}, "hosts is a list of texts"),
        ({"hosts": "example.org"}, "hosts is a list of texts"),
        ({"hosts": ["example.org", "EXAMPLE.org"]}, "named twice"),
        ({"hosts": ["example.org"], "ports": [0]}, "0 is no port"),
        ({"hosts": ["example.org"], "ports": [True]}, "True is no port"),
        ({"hosts": ["example.org"], "ports": ["443"]}, "'443' is no port"),
        ({"hosts": ["example.org"], "ports": [65_536]}, "is no port"),
        ({"hosts": ["example.org"], "ports": []}, "ports is a list"),
        ({"hosts": ["example.org"], "ports": [443, 443]}, "A port is named twice"),
        ({"hosts": ["example.org"], "binaries": ["git"]}, "no absolute path"),
        ({"hosts": ["example.org"], "binaries": ["/usr/bin/../git"]}, "no absolute path"),
        ({"hosts": ["example.org"], "binaries": ["/usr/*/git"]}, "no absolute path"),
        ({"hosts": ["example.org"], "binaries": ["/*"]}, "no absolute path"),
        ({"hosts": ["example.org"], "binaries": ["/usr/bin/a b"]}, "no absolute path"),
        ({"hosts": ["example.org"], "effect": "audit"}, "allow or deny"),
        ({"hosts": ["example.org"], "host": "x"}, "'host' means nothing here"),
        ({"hosts": ["example.org"], "name": ""}, "needs a name"),
        ({"hosts": ["example.org"], "name": "a\nb"}, "needs a name"),
    ],
)
def test_what_is_not_exactly_right_is_refused_with_the_rule_named(entry: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Invalid, match=sentence) as refused:
        parse([{"name": "web", **entry}])

    assert refused.value.message.startswith("Rule ")
    assert refused.value.field


@pytest.mark.parametrize("document", [None, {}, "x", [1], [None], [[]]])
def test_what_is_no_list_of_rules_is_refused(document: Any) -> None:
    with pytest.raises(Invalid):
        parse(document)


def test_two_rules_of_one_name_are_refused() -> None:
    with pytest.raises(Invalid, match="Two rules are called 'web'"):
        parse([{"name": "web", "hosts": ["a.example"]}, {"name": "web", "hosts": ["b.example"]}])


def slow_verdict(rules: tuple[Rule, ...], host: str, port: int, binary: str) -> bool:
    """The meaning of the rules, without any index."""
    about = [rule for rule in rules if port in rule.ports and rule.is_about(binary)]
    fitting = [rule for rule in about if any(hosts.covers(each, host) for each in rule.hosts)]
    return bool(fitting) and all(rule.allows for rule in fitting)


@pytest.mark.parametrize("seed", range(20))
def test_the_index_agrees_with_the_meaning_of_the_rules(seed: int) -> None:
    dice = random.Random(seed)
    names = ["a.example", "b.a.example", "c.b.a.example", "d.example", "e.org"]
    rules = tuple(
        Rule(
            name=str(number),
            hosts=tuple(dice.sample([*names, *(f"*.{name}" for name in names)], 2)),
            ports=tuple(dice.sample([80, 443], dice.randint(1, 2))),
            binaries=tuple(dice.sample([GIT, CURL], dice.randint(0, 2))),
            allows=dice.random() < 0.7,
        )
        for number in range(8)
    )
    both = Reach(rules)

    for host in names:
        for port in (80, 443):
            for binary in ("", GIT, CURL):
                assert bool(both.decide(host, port, binary)) == slow_verdict(rules, host, port, binary)
