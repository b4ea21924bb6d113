"""Rules become an OpenShell document that means the same, or less with a sentence about it; never more."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import rule_lines
from agents.errors import Invalid
from agents.reach import Reach, Rule, parse
from sandboxes.openshell import boxes, policy, schema
from sandboxes.openshell.boxes import Box
from tests.sandboxes.openshell.reading import allows, read

WALLS = policy.Walls(("/usr", "/etc"), ("/workspace", "/tmp"))

NAMES = ["a.example", "b.a.example", "c.b.a.example", "d.c.b.a.example", "other.example", "x.other.example"]
PATTERNS = [*NAMES, "*.a.example", "*.b.a.example", "*.c.b.a.example", "*.other.example"]
PROGRAMS = ["/usr/bin/git", "/usr/bin/curl", "/usr/lib/git-core/git-remote", "/opt/git", "/usr/bin/x/y"]
PROGRAM_PATTERNS = [*PROGRAMS, "/usr/*", "/usr/bin/*", "/usr/lib/git-core/*", "/opt/odd[1]/*"]
ASKING = [*PROGRAMS, "/opt/odd[1]/z", "/opt/odd1/z"]
PORTS = [80, 443, 8443]


def some(values: list, least: int) -> st.SearchStrategy[list]:
    return st.lists(st.sampled_from(values), min_size=least, max_size=4, unique=True)


entries = st.fixed_dictionaries(
    {
        "hosts": some(PATTERNS, 1),
        "ports": some(PORTS, 1),
        "binaries": some(PROGRAM_PATTERNS, 0),
        "effect": st.sampled_from(["allow", "allow", "deny"]),
    }
)
# Whatever a rule may be called: the name is a text in the file and a part of a comment.
names = st.text(min_size=1, max_size=12).filter(lambda name: name.isprintable() and bool(name.strip()))
rule_sets = st.lists(st.tuples(names, entries), max_size=7, unique_by=lambda pair: pair[0].strip()).map(
    lambda found: parse([{"name": name, **entry} for name, entry in found], "lab")
)


def lines(*texts: str) -> tuple[Rule, ...]:
    return rule_lines.parse_lines(texts)


def compiled(*texts: str) -> policy.Compiled:
    return policy.compiled(lines(*texts), WALLS)


def left_out(made: policy.Compiled) -> list[str]:
    return [f"{note.sentence} {note.action}" for note in made.notes if note.kind == "left out"]


def is_told(made: policy.Compiled, host: str, port: int, binary: str) -> bool:
    """Does a note say that this is left out?"""
    return any(
        port in box.ports
        and any(boxes.Denial(Rule("", (each,), (port,)))._covers_host(host) for each in box.hosts)
        and any(each == binary or (each.endswith("/*") and binary.startswith(each[:-1])) for each in box.binaries)
        for note in made.notes
        for box in note.boxes
    )


@settings(max_examples=300, deadline=None)
@given(rule_sets)
def test_every_policy_we_accept_is_a_valid_document_that_gives_the_same_verdicts_or_says_where_not(
    rules: tuple[Rule, ...],
) -> None:
    made, reach = policy.compiled(rules, WALLS), Reach(rules)

    document = read(made.as_yaml("Any"))

    assert document == made.document
    assert schema.problems(document) == []
    for host in NAMES:
        for port in PORTS:
            for binary in ASKING:
                ours, theirs = bool(reach.decide(host, port, binary)), allows(document, host, port, binary)
                assert ours or not theirs, "the document lets through more"
                assert theirs or not ours or is_told(made, host, port, binary), "something is left out silently"
    assert not allows(document, "a.example", 443, "")
    assert made.is_whole == (not left_out(made))


def test_a_rule_is_an_entry_with_its_name_endpoints_and_programs() -> None:
    made = compiled("pypi.org, *.pythonhosted.org : 443, 8443 by /usr/bin/pip, /opt/tools/* as packages", "git.example")

    assert made.is_whole
    assert made.document["network_policies"] == {
        "packages": {
            "name": "packages",
            "endpoints": [
                {"host": "pypi.org", "ports": [443, 8443], "enforcement": "enforce"},
                {"host": "**.pythonhosted.org", "ports": [443, 8443], "enforcement": "enforce"},
            ],
            "binaries": [{"path": "/usr/bin/pip"}, {"path": "/opt/tools/**"}],
        },
        "git_example": {
            "name": "git.example",
            "endpoints": [{"host": "git.example", "port": 443, "enforcement": "enforce"}],
            "binaries": [{"path": "/**"}],
        },
    }


def test_the_static_part_closes_what_it_does_not_name_and_starts_nothing_open() -> None:
    document = compiled().document

    assert document == {
        "version": 1,
        "filesystem_policy": {
            "include_workdir": False, "read_only": ["/usr", "/etc"], "read_write": ["/workspace", "/tmp"],
        },
        "landlock": {"compatibility": "hard_requirement"},
        "process": {"run_as_user": "sandbox", "run_as_group": "sandbox"},
        "network_policies": {},
    }  # fmt: skip


HOSTS, BOTH, PAIR = ("a.example", "b.example"), (443, 80), ("/x/git", "/x/curl")


@pytest.mark.parametrize(
    ("denied", "gone"),
    [
        ("deny a.example", {("a.example", 443, program) for program in PAIR}),
        ("deny a.example, b.example : 80", {(host, 80, program) for host in HOSTS for program in PAIR}),
        ("deny b.example : 443, 80 by /x/git", {("b.example", port, "/x/git") for port in BOTH}),
        ("deny a.example, b.example : 443, 80 by /x/*", {*product(HOSTS, BOTH, PAIR)}),
        ("deny other.example", set()),
    ],
)
def test_a_denial_that_takes_whole_hosts_ports_or_programs_is_taken_out_exactly(denied: str, gone: set) -> None:
    made = compiled("a.example, b.example : 443, 80 by /x/git, /x/curl as web", denied)

    assert made.is_whole
    assert {each for each in product(HOSTS, BOTH, PAIR) if not allows(made.document, *each)} == gone


@pytest.mark.parametrize(
    ("allowed", "denied", "said", "advice"),
    [
        ("*.corp.example", "deny secret.corp.example", "*.corp.example on port 443 is left out: secret.corp.example denies a part of it", "instead of the wildcard"),
        ("*.corp.example", "deny *.hr.corp.example : 443, 80 as people", "people denies a part of it", "instead of the wildcard"),
        ("git.example", "deny git.example by /usr/bin/curl", "git.example denies a part of it", "Name the programs that may."),
        ("git.example by /usr/bin/*", "deny git.example by /usr/bin/curl", "git.example denies a part of it", "Name the programs that may."),
    ],
)  # fmt: skip
def test_a_denial_that_takes_a_part_leaves_the_whole_out_and_says_so(
    allowed: str, denied: str, said: str, advice: str
) -> None:
    made = policy.compiled((*lines(allowed), *lines(denied)), WALLS)

    assert made.document["network_policies"] == {}
    assert not made.is_whole
    (told,) = left_out(made)
    assert said in told
    assert advice in told


def test_what_a_denial_does_not_touch_of_a_rule_stays_in() -> None:
    made = compiled("*.corp.example, pypi.org : 443, 80", "deny secret.corp.example")

    assert allows(made.document, "pypi.org", 443, "/x")
    assert allows(made.document, "www.corp.example", 80, "/x")
    assert not allows(made.document, "www.corp.example", 443, "/x")


def test_a_directory_whose_name_would_be_read_as_a_pattern_is_left_out() -> None:
    made = compiled("pypi.org by /opt/a[b]/*, /usr/bin/pip")

    assert made.document["network_policies"]["pypi_org"]["binaries"] == [{"path": "/usr/bin/pip"}]
    assert "reads a part of this path as a pattern" in left_out(made)[0]


def test_a_wildcard_of_two_labels_is_left_out() -> None:
    # No policy of ours holds one; what a capability grants is not read by the same rules.
    made = policy.compiled([Rule("wide", ("*.example", "a.example"))], WALLS)

    assert [each["host"] for each in made.document["network_policies"]["wide"]["endpoints"]] == ["a.example"]
    assert "three labels" in left_out(made)[0]


def test_an_address_that_is_a_secret_is_not_shown() -> None:
    made = policy.compiled([Rule("$HASS_URL", ("$HASS_URL",), (), policy="capability:home")], WALLS)

    assert made.document["network_policies"] == {}
    assert left_out(made) == ["Where HASS_URL leads is a secret, so it is not shown here. The sandbox itself is told."]


def test_a_policy_that_cannot_be_read_lets_nothing_through() -> None:
    made = policy.compiled(lines("pypi.org"), WALLS, closed="A policy cannot be read.")

    assert made.document["network_policies"] == {}
    assert left_out(made) == ["A policy cannot be read. Mend that policy first."]


def test_keys_are_plain_and_never_a_providers_or_anothers() -> None:
    names = ["Was ist?", "was ist!", "_provider_x", "日本", "___", "x" * 80]
    made = policy.compiled([Rule(name, ("pypi.org",)) for name in names], WALLS)

    keys = list(made.document["network_policies"])
    assert keys == ["was_ist", "was_ist_2", "provider_x", "rule", "rule_2", "x" * 60]
    assert read(made.as_yaml())["network_policies"].keys() == set(keys)


def test_where_openshell_differs_is_said_whenever_it_matters() -> None:
    def differs(*texts: str) -> str:
        return " ".join(note.sentence for note in compiled(*texts).notes if note.kind == "differs")

    assert differs() == differs("deny pypi.org") == ""
    assert "private address" in differs("pypi.org")
    assert "starts" not in differs("pypi.org")
    assert "cannot be told" in differs("pypi.org")
    assert "starts" in differs("pypi.org by /usr/bin/pip")
    assert "cannot be told" not in differs("pypi.org by /usr/bin/pip")


def test_limits_have_their_place_elsewhere() -> None:
    made = policy.compiled((), WALLS, {"Memory": "4,096 MiB"})

    assert made.is_whole
    assert "memory 4,096 MiB" in made.notes[-1].sentence


def test_the_file_says_above_it_what_it_does_not_say() -> None:
    text = compiled("*.corp.example, pypi.org", "deny secret.corp.example").as_yaml("Odd\n  name: x")

    head = text.partition("\n\n")[0]
    assert all(line.startswith("# ") for line in head.splitlines())
    assert "is left out" in head
    assert set(read(text)) == {"version", "filesystem_policy", "landlock", "process", "network_policies"}


def test_the_same_value_is_written_out_each_time_it_stands() -> None:
    shared = ("a.example", "b.example")
    text = policy.compiled([Rule("one", shared, (1, 2)), Rule("two", shared, (1, 2))], WALLS).as_yaml()

    assert not re.search(r"[&*]id\d", text)


def test_more_denials_than_can_be_taken_out_leave_the_rule_out_rather_than_take_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(boxes, "MOST_CUTS", 5)
    denials = [Rule(f"d{number}", (f"h{number}.example",), allows=False) for number in range(10)]
    hosts = tuple(f"h{number}.example" for number in range(20))

    made = policy.compiled([Rule("wide", hosts, (443, 80)), *denials, Rule("free", ("pypi.org",))], WALLS)

    assert list(made.document["network_policies"]) == ["free"]
    assert "more denials cut into it" in left_out(made)[0]


def test_a_document_that_openshell_would_find_too_large_is_refused_with_a_way_forward() -> None:
    hosts = tuple(f"{'h' * 60}.{number}x.{'a' * 60}.{'b' * 60}.example" for number in range(20_000))

    with pytest.raises(Invalid, match="more than 4 MiB") as refused:
        policy.compiled([Rule("wide", hosts)], WALLS).as_yaml()
    assert "wildcards" in refused.value.action

    with pytest.raises(Invalid, match="more than 4 MiB"):
        policy.compiled([Rule("wide", tuple(f"h{number}.example" for number in range(90_000)))], WALLS)


def test_a_box_without_anything_is_nothing() -> None:
    assert not Box((), (1,), ("/x",))
    assert Box(("a.example",), (1,), ("/x",))
