"""Rules as lines: what is written is read back the same, and what is no rule is refused by its line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import rule_lines
from agents.errors import Invalid
from agents.reach import parse

HOSTS = st.sampled_from(["pypi.org", "*.pythonhosted.org", "a.example", "b.example", "xn--bcher-kva.example"])
PATHS = st.sampled_from(["/usr/bin/git", "/usr/lib/git-core/*", "/opt/a:b"])
NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), min_size=1, max_size=30)
RULES = st.fixed_dictionaries(
    {
        "name": NAMES,
        "hosts": st.lists(HOSTS, min_size=1, max_size=3, unique=True),
        "ports": st.lists(st.integers(1, 65_535), min_size=1, max_size=3, unique=True),
        "binaries": st.lists(PATHS, max_size=2, unique=True),
        "effect": st.sampled_from(["allow", "deny"]),
    }
)


@given(st.lists(RULES, max_size=5))
def test_what_is_written_reads_back_the_same(document: list[dict[str, Any]]) -> None:
    try:
        rules = parse(document)
    except Invalid:
        return
    stored = [rule.as_json() for rule in rules]

    assert rule_lines.read(rule_lines.write(stored)) == rules


def test_a_line_says_hosts_ports_programs_and_a_name() -> None:
    (rule,) = rule_lines.read(" deny  PyPI.org ,*.a.example:443,80   by /usr/bin/git , /usr/lib/x/*  as the name ")

    assert (rule.hosts, rule.ports) == (("pypi.org", "*.a.example"), (443, 80))
    assert (rule.binaries, rule.name, rule.allows) == (("/usr/bin/git", "/usr/lib/x/*"), "the name", False)


def test_rules_of_one_host_get_names_of_their_own() -> None:
    rules = rule_lines.read("a.example\na.example : 80\ndeny a.example by /usr/bin/git")

    assert [rule.name for rule in rules] == ["a.example", "a.example 2", "a.example 3"]


@pytest.mark.parametrize(
    "line",
    ["10.0.0.1", "169.254.169.254 : 80", "localhost", "*.co.uk", "a.example : 0", "a.example : 65536", "a.example :",
     "a.example by git", "a.example b.example", "by /usr/bin/git", "deny", "https://a.example/", "a.example : 443, 443",
     "metadata.google.internal", "*", "*.*.example.org", "a.example as \u202e", "\x00", "[::1]:443"],
)  # fmt: skip
def test_what_is_no_rule_is_refused_by_its_line(line: str) -> None:
    with pytest.raises(Invalid) as refused:
        rule_lines.parse_lines(["b.example", line] if line != "a.example : 443, 443" else ["b.example", line + ","])

    assert refused.value.message.startswith("Line 2: ")


def test_json_with_a_key_written_twice_is_refused() -> None:
    with pytest.raises(Invalid, match="'hosts' is written twice"):
        rule_lines.read('[{"hosts": ["a.example"], "hosts": ["b.example"]}]')


def test_what_is_no_list_of_rules_is_shown_as_it_is() -> None:
    assert rule_lines.write([{"odd": 1}]) == '[\n {\n  "odd": 1\n }\n]'
