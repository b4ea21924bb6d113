"""Every rule fires on its own examples and on none of those it must spare."""

from __future__ import annotations

import pytest

from agents.gate import judge
from agents.gate.rules import SEVERITIES, Rule, compiled, shipped

RULES = shipped().all
FIRING = [
    pytest.param(rule, text, id=f"{rule.id}-{number}") for rule in RULES for number, text in enumerate(rule.fires)
]
SPARED = [
    pytest.param(rule, text, id=f"{rule.id}-{number}") for rule in RULES for number, text in enumerate(rule.spares)
]


@pytest.mark.parametrize(("rule", "text"), FIRING)
def test_a_rule_fires_on_what_it_is_about(rule: Rule, text: str) -> None:
    judgement = judge(text)

    assert rule.id in {finding.rule for finding in judgement.findings}
    assert judgement.verdict == ("block" if judgement.is_hardline else "ask")
    assert judgement.is_hardline or not rule.hardline
    assert SEVERITIES.index(judgement.severity) >= SEVERITIES.index(rule.severity)


@pytest.mark.parametrize(("rule", "text"), SPARED)
def test_a_rule_spares_what_only_looks_like_it(rule: Rule, text: str) -> None:
    assert rule.id not in {finding.rule for finding in judge(text).findings}


def test_every_rule_has_a_name_of_its_own_a_sentence_and_examples_of_both_kinds() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.fires, rule.id
        assert rule.spares, rule.id
        assert rule.sentence == rule.sentence[0].upper() + rule.sentence[1:].rstrip(".") + ".", rule.id


@pytest.mark.parametrize(
    "entry",
    [
        {"id": "x", "severity": "terrible", "sentence": "X.", "when": {"program": ["x"]}},
        {"id": "x", "severity": "low", "sentence": "X.", "when": {"programme": ["x"]}},
    ],
)
def test_a_rule_that_says_what_no_rule_may_say_is_refused(entry: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="x: no"):
        compiled(entry, {})


@pytest.mark.parametrize(
    "text",
    ["ls -la", "git status", "python3 manage.py test", "grep -rn 'rm -rf' docs", "echo 'rm -rf /' > notes.txt",
     "cat README.md | head -5", "mkdir -p a/b && cd a/b", "for f in *.py; do wc -l \"$f\"; done", "npm run build",
     "make test 2>&1 | tee build.log", "[ -f x ] && cat x", "export PATH=$PATH:/opt/x/bin", "cat > a.py <<'E'\nprint(1)\nE",
     "curl -s https://example.org | jq .", "test $(wc -l < f) -gt 3", "", "   ", "# rm -rf /", "sed -n 1,5p f"],
)  # fmt: skip
def test_everyday_commands_pass_without_a_word(text: str) -> None:
    judgement = judge(text)

    assert (judgement.verdict, judgement.findings, judgement.severity) == ("allow", (), "")
