"""The bounds of the reviewer as data and pure functions: what it is asked about, and which of its answers count."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from agents.gate.rules import rank
from runs.models import Approval, ApprovalKind, Most, ReviewOutcome, Tier, Verdict

DEADLINE_S = 30.0
ENOUGH = Decimal("0.75")
MOST_CHARS = 12_000  # of what it is told about a request, secrets masked
REASON_CHARS = 500
MOST_TOKENS = 1_000
AT_ONCE = 4  # of one engine

# Calls of tools are held because a rule of people says so, hosts are for operators: no model stands in for those.
KINDS = frozenset({ApprovalKind.COMMAND})
# How chats begin that a person has opened. What a schedule begins is not among them, nor what we do not know.
ATTENDED = frozenset({"web", "api", "cli", "clone"})

# Findings of the gate that say that it does not know what would run, whatever severity they have.
BLIND = frozenset({"unreadable", "unknown-program"})

# What operators have written into the gate themselves asks for people: no model stands in for them.
OWN = "own:"

# Why a request is left to a person: for lists, then in a sentence.
WHY: dict[str, tuple[str, str]] = {
    "unsupported": ("another kind", "The reviewer is asked about commands only."),
    "severity": ("too severe", "It is more severe than what the reviewer is asked about."),
    "unjudged": ("not judged", "The command gate cannot say how severe it is, so the reviewer is not asked."),
    "reversed": ("reversed before", "Somebody said that the reviewer was wrong about the like."),
    "own_rule": ("a rule of yours", "A rule that operators wrote for the command gate asks for a person."),
    "unattended": ("nobody there", "No person began this chat, so no model allows anything in it."),
    "operators": ("for operators", "It needs operators or several people."),
    "no_model": ("no model", "The reviewer has no model to ask."),
    "too_long": ("too long", "It is too long for the reviewer to see whole."),
    "busy": ("too many", "The reviewer was busy with other requests until its time was over."),
    "timeout": ("too slow", "The reviewer did not answer in time."),
    "error": ("error", "The reviewer could not be asked."),
    "malformed": ("malformed", "The reviewer did not answer in the form it must."),
    "unsure": ("unsure", "The reviewer is not sure."),
    "confidence": ("not confident", "The reviewer is not confident enough."),
    "hidden": ("not all shown", "The reviewer would allow it and did not see all of it."),
    "budget": ("over budget", "A budget leaves nothing for asking the reviewer."),
    "halted": ("halted", "Work was halted meanwhile."),
    "person": ("a person was first", "A person decided first."),
    "ended": ("over meanwhile", "The request was over before the reviewer answered."),
    "off": ("switched off", "The reviewer was switched off meanwhile."),
    "interrupted": ("interrupted", "Logos was restarted while the reviewer was asked."),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the reviewer said, well-formed."""

    verdict: str
    confidence: Decimal
    reason: str


def outside(asked: Approval, origin: str, most: str) -> str:
    """Why the reviewer is not asked about this; "" when it may be."""
    if asked.kind not in KINDS or not asked.by_runtime:
        return "unsupported"
    if asked.tier != Tier.USER or asked.needed > 1 or asked.team_name or asked.is_canary:
        return "operators"
    if any(str(each.get("rule", "")).startswith(OWN) for each in asked.findings):
        return "own_rule"
    if origin not in ATTENDED:
        return "unattended"
    if rank(asked.severity) < 0 or any(each.get("rule") in BLIND for each in asked.findings):
        return "unjudged"
    if rank(asked.severity) > min(rank(most), rank(Most.MEDIUM)):
        return "severity"
    return ""


def weighed(answer: Answer, *, saw_all: bool) -> tuple[str, str]:
    """What an answer comes to: an outcome, and why when it is left to a person."""
    if answer.verdict == Verdict.UNSURE:
        return ReviewOutcome.LEFT, "unsure"
    if answer.confidence < ENOUGH:
        return ReviewOutcome.LEFT, "confidence"
    if answer.verdict == Verdict.DENY:
        return ReviewOutcome.DENIED, ""
    return (ReviewOutcome.ALLOWED, "") if saw_all else (ReviewOutcome.LEFT, "hidden")


def sentence(why: str) -> str:
    """The reason as people read it."""
    return WHY[why][1] if why in WHY else ""
