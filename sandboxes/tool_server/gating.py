"""What the command gate says of a command that a tool would run: it can make a verdict stricter, never looser."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agents.gate import Judgement, judge
from agents.gate.rules import Rules
from sandboxes.tool_server import deciding
from sandboxes.tool_server.catalogue import Tool
from sandboxes.tool_server.deciding import Rule, Thing, Verdict
from sandboxes.tool_server.tiers import Tier

_TIERS = {"allow": Tier.ALLOW, "ask": Tier.ASK, "block": Tier.BLOCK}


def decide(tool: Tool, about: Sequence[Thing], rules: Iterable[Rule], gate: Rules | None = None) -> Verdict:
    """The verdict of the rules and of the gate on one call: what decides a call, and a draft of rules tried on it."""
    return gated(deciding.decide(tool, about, rules), judged(about, gate))


def judged(about: Iterable[Thing], gate: Rules | None = None) -> Judgement | None:
    """The gate's judgement under its rules for the agent (None: the shipped ones); None for a call that runs no command."""
    return next((judge(thing.value, gate) for thing in about if thing.kind == "command"), None)


def gated(verdict: Verdict, said: Judgement | None) -> Verdict:
    """The verdict with the gate's word, for the same reason it gives."""
    if said is None or said.verdict == "allow":
        return verdict
    sentences = " ".join(finding.sentence for finding in said.findings[:3])
    return verdict.raised(_TIERS[said.verdict], f"The command gate: {sentences or 'it cannot be read'}"[:400], "gate")


def findings(said: Judgement | None) -> tuple[dict[str, str], ...]:
    """What it found, as an approval shows it."""
    if said is None:
        return ()
    return tuple(
        {"rule": each.rule, "severity": str(each.severity), "sentence": each.sentence} for each in said.findings
    )
