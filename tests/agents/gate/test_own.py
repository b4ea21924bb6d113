"""Rules that operators write add reasons and raise them; nothing they say weakens what comes with Logos."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest

from agents.errors import Invalid
from agents.gate import drafts, judge, own
from agents.gate.own import Own, extended, weakens
from agents.gate.rules import rank, shipped

ORDER = {"allow": 0, "ask": 1, "block": 2}


def rule(
    when: Any, *, severity: str = "high", answer: str = "person", name: str = "mine", sentence: str = "Mine."
) -> Own:
    return Own(name, severity, answer, sentence, own.checked(when))  # type: ignore[arg-type]


def fired(when: Any, command: str, **more: str) -> bool:
    return "own:mine" in {each.rule for each in judge(command, extended((rule(when, **more),))).findings}


@pytest.mark.parametrize(
    ("when", "fires", "spares"),
    [
        (
            {"program": ["terraform"], "first": ["apply", "destroy"]},
            "sudo terraform apply -auto-approve",
            "terraform plan",
        ),
        ({"program": "kube*", "word": "*prod*"}, "sh -c 'kubectl -n prod-1 get pods'", "kubectl -n test get pods"),
        ({"program": ["*"], "word": ["*.internal*"]}, "ping db.internal", "ping db.example"),
        ({"program": ["*"], "first": ["deploy"]}, "./run deploy now", "./run test deploy"),
        ({"writes": "/srv/*"}, "echo x > /srv/www/a", "echo x > /tmp/a"),
        ({"assigned": "DATABASE_URL"}, "DATABASE_URL=x ./run", "OTHER=x ./run"),
        ({"program": "make", "flags": "--always-make"}, "make --always-make", "make"),
        ({"program": "psql", "line": "* production *"}, "psql -h production -c 'select 1'", "psql -h staging -c 'x'"),
        ([{"program": "a"}, {"program": "b"}], "true && b", "c"),
        ({"program": "curl", "under": ["sudo"]}, "sudo curl x", "curl x"),
        ({"program": "deploy", "argument": True}, "deploy x", "deploy"),
    ],
)
def test_it_is_found_out_of_what_it_is_wrapped_in_and_nothing_else_is(when: Any, fires: str, spares: str) -> None:
    assert fired(when, fires)
    assert not fired(when, spares)


def test_who_may_allow_it_is_in_the_verdict() -> None:
    when = {"program": "deploy"}

    person = judge("deploy", extended((rule(when),)))
    operators = judge("deploy", extended((rule(when, answer="operators"),)))
    nobody = judge("deploy", extended((rule(when, answer="nobody"),)))

    assert (person.verdict, person.is_for_operators, person.severity) == ("ask", False, "high")
    assert (operators.verdict, operators.is_for_operators) == ("ask", True)
    assert (nobody.verdict, nobody.is_hardline, nobody.findings[0].sentence) == ("block", True, "Mine.")


def test_shipped_rules_are_raised_one_by_one_or_from_a_severity_up() -> None:
    one = extended((rule({"rule": ["force-push"]}, severity="critical", answer="operators", sentence=""),))
    many = extended((rule({"at_least": "high"}, answer="nobody", sentence="Not here."),))

    pushed = judge("git push --force", one)
    assert (pushed.severity, pushed.is_for_operators) == ("critical", True)
    assert pushed.findings[0].sentence == judge("git push --force").findings[0].sentence
    assert pushed.key == judge("git push --force").key
    assert judge("git push --force", many).verdict == "block"
    assert judge("git reset --hard", many).verdict == "ask"


def test_whatever_is_written_no_verdict_is_weaker_than_without_it() -> None:
    chance = random.Random(3)
    commands = [text for each in shipped().all for text in each.fires[:2]]
    ids = [each.id for each in shipped().all]
    for _ in range(60):
        written = tuple(
            Own(f"r{number}", chance.choice(["low", "critical"]), chance.choice(own.ANSWERS), "X.", own.checked(chance.choice(
                [{"rule": [chance.choice(ids)]}, {"at_least": chance.choice(["low", "high"])}, {"program": "*"},
                 {"program": ["rm", "git"], "word": "*a*"}]
            )))
            for number in range(chance.randint(1, 4))
        )  # fmt: skip
        for command in chance.sample(commands, 15):
            bare, with_own = judge(command), judge(command, extended(written))
            assert ORDER[with_own.verdict] >= ORDER[bare.verdict]
            assert rank(with_own.severity) >= rank(bare.severity)
            assert {each.rule for each in bare.findings} <= {each.rule for each in with_own.findings}


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ({}, "What to look for is a table"),
        (None, "What to look for is a table"),
        ("terraform", "What to look for is a table"),
        ([], "1 to 10 conditions"),
        ([{"program": "a"}] * 11, "1 to 10 conditions"),
        ({"word": "*"}, "Say which program"),
        ({"programme": "a"}, "No condition is called 'programme'"),
        ({"sql": "drop"}, "No condition is called 'sql'"),
        ({"program": []}, "1 to 50 words"),
        ({"program": [1]}, "1 to 50 words"),
        ({"program": "a\u202eb"}, "visible characters"),
        ({"program": "x" * 201}, "visible characters"),
        ({"program": "a", "argument": False}, "argument is true"),
        ({"at_least": "awful"}, "at_least is one of"),
        ({"rule": ["force-push"], "program": "git"}, "stands alone"),
        ({"rule": ["no-such"]}, "No rule that comes with Logos"),
        ([{"rule": ["force-push"]}, {"program": "a"}], "has one condition"),
        ({1: 2}, "No condition is called '1'"),
    ],
)
def test_what_no_rule_may_say_is_refused_with_what_it_may(when: Any, said: str) -> None:
    with pytest.raises(Invalid, match=said) as refused:
        own.checked(when)

    assert refused.value.action


def test_no_pattern_of_an_operator_takes_the_gate_long() -> None:
    worst = rule([{"program": "*", "word": "*a" * 99, "line": "*a" * 99}] * 10)
    began = time.thread_time()

    judge("x " + "a" * 60_000, extended((worst,)))

    assert time.thread_time() - began < 20  # of this thread's own time; what looks back takes hours here


def test_weaker_is_less_severe_more_people_another_matter_or_gone() -> None:
    held = rule({"program": "a"}, answer="operators")

    assert weakens(held, None)
    assert weakens(held, rule({"program": "b"}, answer="operators"))
    assert weakens(held, rule({"program": "a"}, answer="person"))
    assert weakens(held, rule({"program": "a"}, answer="operators", severity="low"))
    assert not weakens(held, rule({"program": "a"}, answer="nobody", severity="critical", sentence="Other."))


def test_a_draft_is_read_back_as_it_was_written() -> None:
    text = '- name: a\n  severity: low\n  sentence: "Ä: b"\n  when: {program: ["*"], word: ["*x"]}\n- {name: b, severity: high, when: {rule: force-push}}'
    entries = drafts.read(text)

    class Row:
        answer = "person"

        def __init__(self, entry: dict[str, Any]) -> None:
            self.name, self.severity, self.when = (
                entry["name"],
                entry["severity"],
                json.loads(own.checked(entry["when"])),
            )
            self.sentence = entry.get("sentence", "")

    again = drafts.read(drafts.write(map(Row, entries)))

    assert [each["when"] for each in again] == [json.loads(own.checked(each["when"])) for each in entries]
    assert again[0]["sentence"] == "Ä: b"
    assert drafts.read("") == []


@pytest.mark.parametrize(
    "text",
    ["a: [", "[1]", "{}", "- {name: a}", "- {name: a, severity: low, when: {}, x: 1}", "- {name: 1, severity: low, when: {}}",
     "- &a [*a]", "- {name: a, severity: low, when: {word: *x}}", "\x00", "a: " * 50_000, "[" * 5_000],
)  # fmt: skip
def test_a_draft_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        drafts.read(text)
