"""What the command gate says of a command that a tool would run: it can make a verdict stricter, never looser."""

from __future__ import annotations

from typing import Any

from agents.gate import Judgement, judge
from sandboxes.tool_server import processes
from sandboxes.tool_server.catalogue import Tool
from sandboxes.tool_server.deciding import Verdict
from sandboxes.tool_server.tiers import Tier

_TIERS = {"allow": Tier.ALLOW, "ask": Tier.ASK, "block": Tier.BLOCK}


def judged(tool: Tool, given: dict[str, Any]) -> Judgement | None:
    """The gate's judgement; None for a tool that runs no command."""
    return judge(processes.command_of(given)) if tool.name == "process.run" else None


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
