"""The gate never fails, wrapping never lowers its verdict, and its key means one command only."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.gate import judge
from agents.gate.normal import normalised
from agents.gate.rules import SEVERITIES, shipped

TOKENS = st.sampled_from(
    ["rm", "-rf", "/", " ", " ", "\n", ";", "|", "&&", "&", "$(", ")", "`", "'", '"', "<<A", "A\n", "{", "}", "(", "((",
     "))", "[[", "${", "$", "$'", "case", "esac", "if", "then", "fi", "for", "do", "done", "#", "\\", "<(", ">", "=",
     "*", "~", "sh", "-c", "sudo", "xargs", "eval", "find", "-exec", "echo", "x", "\x00", "\ud800", "é", "\t", "f()",
     "base64", "-d", "python3", "env", "A=b", ":", "!", "<<<"]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=200), st.lists(TOKENS, max_size=40).map("".join), st.lists(TOKENS).map(" ".join))
ORDER = {"allow": 0, "ask": 1, "block": 2}
# All that nobody may approve, and two examples of every other rule.
DANGEROUS = sorted(
    {
        text
        for rule in shipped().all
        for text in rule.fires[: None if rule.hardline else 2]
        if "\n" not in text and "'" not in text
    }
)
WRAPPERS = [
    "sudo {}", "env A=b nohup {}", "nice -n 5 {}", "timeout 5 {}", "command {}",
]  # fmt: skip
AROUND = [
    "bash -c '{}'", "sh -lc '{}'", "true && {}", "false || {}; true", "( {} )", "{{ {}; }}", "if true; then {}; fi",
    "echo $( {} )", "while read x; do {}; done", "wrapped() {{ {}; }}; wrapped", "bash <<'END'\n{}\nEND", "eval '{}'", "! {}",
    "ssh host '{}'", "x=$( {} )", "cat <({})", "echo \"a $( {} ) b\"", "ls\n{}\nls", "trap '{}' EXIT", "time {}",
    "case x in x) {};; esac", "su -c '{}'", "find . -exec sh -c '{}' \\;", "nohup sh -c '{}' &", "sudo -u x bash -xc '{}'",
]  # fmt: skip


@given(TEXTS)
@settings(max_examples=150, deadline=None)
def test_any_text_gets_a_verdict(text: str) -> None:
    judgement = judge(text)

    assert judgement.verdict in ORDER
    assert not any(finding.sentence.startswith("The gate failed") for finding in judgement.findings)


@given(TEXTS)
@settings(max_examples=150, deadline=None)
def test_writing_a_command_in_its_one_form_twice_changes_nothing(text: str) -> None:
    once = normalised(text)

    assert normalised(once) == once


@given(TEXTS)
@settings(max_examples=150, deadline=None)
def test_the_one_form_of_a_command_is_judged_as_the_command_is(text: str) -> None:
    one = judge(normalised(text))

    assert (one.verdict, {f.rule for f in one.findings}) == (
        judge(text).verdict,
        {f.rule for f in judge(text).findings},
    )


def _cannot_stand(text: str, around: str) -> bool:
    """Behind a wrapper stands only the first of several commands; quotes end quotes; find fills in its own {}."""
    if around in WRAPPERS:
        return any(mark in text for mark in ";|&(){}<>$=\\")
    return ('"' in around and '"' in text) or ("-exec" in around and "{}" in text)


@pytest.mark.parametrize("around", [*WRAPPERS, *AROUND])
def test_wrapping_a_dangerous_command_never_lowers_the_verdict(around: str) -> None:
    for text in DANGEROUS:
        if _cannot_stand(text, around):
            continue
        bare, wrapped = judge(text), judge(around.format(text))
        assert ORDER[wrapped.verdict] >= ORDER[bare.verdict], (around, text)
        assert SEVERITIES.index(wrapped.severity) >= SEVERITIES.index(bare.severity), (around, text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("rm -rf build", "rm -fr build"),
        ("rm -rf build", "rm -r -f build"),
        ("rm -rf build", "rm --force --recursive build"),
        ("rm -rf build", "  rm   -rf\t'build'  "),
        ("rm -rf build", "rm build -rf"),
        ("rm -r a && rm -r b", "rm -r a&&rm --recursive b"),
        ("rm -r a | sort", "rm -r 'a'|sort"),
    ],
)
def test_the_same_command_written_differently_has_the_same_key(one: str, other: str) -> None:
    assert judge(one).key == judge(other).key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("rm -rf build", "rm -rf dist"),
        ("rm -rf a b", "rm -rf 'a b'"),
        ("rm -rf $X", "rm -rf '$X'"),
        ("rm -rf *", "rm -rf '*'"),
        ("rm -rf ~", "rm -rf '~'"),
        ("rm -rf build", "sudo rm -rf build"),
        ("rm -rf build", "bash -c 'rm -rf build'"),
        ("tar -C a -f b", "tar -f a -C b"),
        ("rm -rf -- -x", "rm -rf -x"),
        ("A=b rm -r x", "'A=b' rm -r x"),
        ("rm -r x > y", "rm -r x '>' y"),
        ("rm -r x 2>y", "rm -r x 2 >y"),
        ("rm -r x; y", "rm -r 'x;' y"),
        ("rm -r x # y", "rm -r x '#' y"),
        ("rm -r a\nrm -r b", "rm -r a rm -r b"),
        ("rm -r a & b", "rm -r a && b"),
        ("rm -r {a,b}", "rm -r '{a,b}'"),
        ("rm $X -f a", "rm -f $X a"),
    ],
)
def test_a_yes_to_one_command_is_no_yes_to_another(one: str, other: str) -> None:
    assert judge(one).key != judge(other).key


@pytest.mark.parametrize(
    "text",
    ["$(" * 30_000, "(" * 60_000, "a b;" * 16_000, '"' * 64_000, "`" * 64_000, "cat <<A\n" * 8_000, "${a:-" * 10_000,
     "sh -c '" * 9_000, "a|" * 30_000, "a=$a$a$a$a;" * 5_000, "f(){ f|f& };" * 5_000, "eval " * 10_000 + "rm -rf /",
     "sudo " * 10_000 + "rm -rf /", "for i in 1 2 3 4 5 6 7 8; do " * 20 + "x;" + "done;" * 20, ")" * 60_000,
     "xargs " * 10_000, "".join(f"f{i}(){{ f{i + 1};f{i + 1}; }};" for i in range(40)) + "f0",
     "".join(f'alias a{i}="a{i + 1};a{i + 1}";' for i in range(40)) + "a0", "x" * 1_000_000, "{a,b}" * 12_000],
)  # fmt: skip
def test_no_text_takes_the_gate_long(text: str) -> None:
    started = time.thread_time()

    judgement = judge(text)

    # Of this thread's own time, so that a busy machine does not matter; a quadratic reader takes minutes here.
    assert time.thread_time() - started < 20
    assert judgement.verdict in ORDER


def test_what_is_hidden_behind_the_limits_is_not_let_through() -> None:
    assert judge("sudo " * 10_000 + "rm -rf /").verdict != "allow"
    assert judge("eval " * 10_000 + "rm -rf /").verdict != "allow"
    assert judge("ls;" * 30_000 + "rm -rf /").verdict != "allow"
    assert judge("$(" * 500 + "rm -rf /" + ")" * 500).verdict != "allow"
    assert judge("ls;" * 15_000 + "rm -rf /").verdict == "block"


def test_a_program_that_breaks_the_reader_has_a_person_look(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("agents.gate.judging.acts", broken)

    judgement = judge("ls")

    assert judgement.verdict == "ask"
    assert judgement.severity == "high"
