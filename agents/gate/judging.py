"""Judge one command before it runs: may it, must a person be asked, or may nobody allow it. Pure.

The sandbox is the wall; this is the bell. It never raises, and what it cannot read it has a person look at.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from dataclasses import dataclass
from typing import Literal

from agents.gate.acts import Act
from agents.gate.normal import normalised
from agents.gate.rules import SEVERITIES, Rule, Rules, shipped
from agents.gate.unwrapping import acts

logger = logging.getLogger(__name__)

Verdict = Literal["allow", "ask", "block"]
MOST = 40  # findings of one command
# Control characters but tab and newline, what turns the direction of writing, what has no width, and what is no text.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ud800-\udfff\U000e0000-\U000e0fff]"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason to look twice: the rule, how bad it is, a sentence for a person, and the part it is about."""

    rule: str
    severity: str
    sentence: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the gate says about one command."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    normalised: str
    key: str
    is_hardline: bool = False
    is_for_operators: bool = False  # whoever the agent works for may not allow it alone

    @property
    def severity(self) -> str:
        """That of the worst finding; "" when there is none."""
        worst = max((SEVERITIES.index(finding.severity) for finding in self.findings), default=-1)
        return SEVERITIES[worst] if worst >= 0 else ""


def judge(command: str, rules: Rules | None = None) -> Judgement:
    """The verdict about ``command``, under the shipped rules unless others are given."""
    try:
        return _judge(command, rules or shipped())
    except Exception:
        # No text may stop the gate: what breaks it is looked at by a person, and by us.
        logger.exception("A command could not be judged.")
        finding = Finding("unreadable", "high", "The gate failed on this command, so it was not judged.", command[:160])
        return Judgement("ask", (finding,), command, key_of(command, ["unreadable"]))


def key_of(text: str, rules: list[str]) -> str:
    """What approvals are bound to: the command in its one form, and the rules it falls under."""
    document = json.dumps([text, sorted(rules)])
    return hashlib.sha256(document.encode()).hexdigest()


def _judge(command: str, rules: Rules) -> Judgement:
    found: dict[str, tuple[Rule, Finding]] = {}
    for act in _read(command):
        for rule in rules.fired_by(act):
            if rule.id not in found:
                found[rule.id] = (rule, _finding(rule, act))
    hardline = any(rule.hardline for rule, _ in found.values())
    ordered = sorted(found.values(), key=lambda each: (not each[0].hardline, -SEVERITIES.index(each[0].severity)))
    text = normalised(command)
    verdict: Verdict = "block" if hardline else "ask" if found else "allow"
    findings = tuple(finding for _, finding in ordered[:MOST])
    operators = any(rule.operators for rule, _ in found.values())
    return Judgement(verdict, findings, text, key_of(text, list(found)), hardline, operators)


def _read(command: str) -> list[Act]:
    read = acts(command.replace("\x00", ""))
    if _HIDDEN.search(command):
        read.append(Act("", traits=frozenset({"hidden"})))
    return read


def _finding(rule: Rule, act: Act) -> Finding:
    return Finding(rule.id, rule.severity, rule.sentence, act.shown().strip())
