"""What the gate says about a command that the agent runtime asks for, as an approval needs it.

The runtime found the command dangerous, so that the gate finds nothing does not allow it: rules of people and people
do. What nobody may approve is denied without asking; so is what the second opinion blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

from agents.gate import Finding, Judgement, judge
from agents.gate.judging import key_of
from agents.gate.rules import Rules, rank
from agents.gate.tirith import NO_OPINION, Opinion

REFUSED = "Nobody may approve this. {why} Do it another way."


@dataclass(frozen=True, slots=True)
class Gated:
    """``refused`` is why it is denied unasked, "" when a person may decide; ``key`` is what rules go by."""

    findings: tuple[Finding, ...]
    severity: str
    key: str
    refused: str
    by_rules: bool  # may a rule of a person allow it unasked?
    is_for_operators: bool = False


def gated(command: str, opinion: Opinion = NO_OPINION, rules: Rules | None = None) -> Gated:
    """The judgement about ``command`` under these rules (None: the shipped ones) and the second opinion, as one."""
    judgement = judge(command, rules)
    findings = (*judgement.findings, *opinion.findings)
    return Gated(
        findings=findings,
        severity=max((each.severity for each in findings), key=rank, default=""),
        key=key_of(judgement.normalised, [finding.rule for finding in findings]) if opinion.findings else judgement.key,
        refused=_refusal(judgement, opinion),
        by_rules=opinion.verdict != "failed",
        is_for_operators=judgement.is_for_operators,
    )


def _refusal(judgement: Judgement, opinion: Opinion) -> str:
    if judgement.is_hardline:
        return REFUSED.format(why=judgement.findings[0].sentence)
    if opinion.verdict == "block":
        why = opinion.findings[0].sentence if opinion.findings else "The second opinion blocks it."
        return REFUSED.format(why=why)
    return ""
