"""The kinds of approvals as data: how long one waits, what may be answered, who may, and what a decision does.

A room that has a kind of its own says so in its ``AppConfig.ready``::

    approvals.register("registration", permission="user.manage", on_decided=let_in)

``on_decided(approval)`` runs inside the decision's transaction, also for one that expired or was withdrawn; when it
raises, nothing was decided. ``on_rule_ended(rule)`` is told when a rule is ended by hand or with its run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.db.models import Q

from agents.gate import judge
from agents.models import User
from runs.models import Approval, ApprovalKind, ApprovalRule, Choice
from runs.stamp import canonical

Subject = dict[str, Any]

DAY_S = 86_400
EVERY = (Choice.ONCE, Choice.RUN, Choice.RULE, Choice.DENY)
YES_OR_NO = (Choice.ONCE, Choice.DENY)
WORDS = (Choice.ANSWER, Choice.DENY)


@dataclass(frozen=True, slots=True)
class KindSpec:
    """``permission``: the action whose role decides, in place of the tier's. ``concerns(user)`` narrows what they may
    decide. ``key(subject)`` is the same for all that one rule covers, and ``covers(subject)`` says so in words;
    ``in_run`` says how far "this run" goes, and ``caution`` what whoever allows it should know."""

    kind: str
    label: str
    lifetime_s: Callable[[], int]
    choices: tuple[str, ...] = YES_OR_NO
    permission: str = ""
    concerns: Callable[[User], Q] | None = None
    on_decided: Callable[[Approval], None] | None = None
    on_rule_ended: Callable[[ApprovalRule], None] | None = None
    key: Callable[[Subject], str] | None = None
    covers: Callable[[Subject], str] | None = None
    in_run: str = "in this run"
    caution: str = ""

    def key_of(self, subject: Subject) -> str:
        """What rules and earlier decisions are found by."""
        found = self.key(subject) if self.key else hashlib.sha256(canonical(subject)).hexdigest()
        return found[:64]

    def covered(self, subject: Subject) -> str:
        """What a rule made of this would allow, in words."""
        if self.covers:
            return self.covers(subject)
        return f"exactly this {self.label.lower()}"


def _command() -> int:
    return int(settings.LOGOS_APPROVAL_TIMEOUT_S)


def _access() -> int:
    return int(settings.LOGOS_ACCESS_TIMEOUT_S)


def _days(days: int) -> Callable[[], int]:
    return lambda: days * DAY_S


def _spec(kind: ApprovalKind, lifetime_s: Callable[[], int], choices: tuple[str, ...] = YES_OR_NO) -> KindSpec:
    return KindSpec(str(kind), str(kind.label), lifetime_s, tuple(map(str, choices)))


KINDS: dict[str, KindSpec] = {
    spec.kind: spec
    for spec in (
        replace(
            _spec(ApprovalKind.COMMAND, _command, EVERY),
            key=lambda subject: judge(str(subject.get("command", ""))).key,
            covers=lambda subject: f"exactly this command: {subject.get('command', '')}",
        ),
        _spec(ApprovalKind.EGRESS, _access, EVERY),
        _spec(ApprovalKind.TOOL_CALL, _command, EVERY),
        _spec(ApprovalKind.MCP_ACCESS, _access, EVERY),
        # An application waits until somebody decides: a year is for ever.
        replace(_spec(ApprovalKind.REGISTRATION, _days(365)), permission="user.manage"),
        _spec(ApprovalKind.POLICY_PROPOSAL, _days(14)),
        _spec(ApprovalKind.QUESTION, _command, WORDS),
    )
}


def register(
    kind: str,
    *,
    on_decided: Callable[[Approval], None] | None = None,
    on_rule_ended: Callable[[ApprovalRule], None] | None = None,
    lifetime_s: int | Callable[[], int] | None = None,
    permission: str = "",
    choices: tuple[str, ...] = (),
    concerns: Callable[[User], Q] | None = None,
    key: Callable[[Subject], str] | None = None,
    covers: Callable[[Subject], str] | None = None,
    in_run: str = "",
    caution: str = "",
) -> KindSpec:
    """Say what a kind means; what is left out stays as it was. KeyError for a kind there is not."""
    known = KINDS[str(kind)]
    lifetime = known.lifetime_s
    if lifetime_s is not None:
        lifetime = lifetime_s if callable(lifetime_s) else (lambda seconds=lifetime_s: int(seconds))  # type: ignore[misc]
    KINDS[known.kind] = replace(
        known,
        lifetime_s=lifetime,
        on_decided=on_decided or known.on_decided,
        on_rule_ended=on_rule_ended or known.on_rule_ended,
        permission=permission or known.permission,
        choices=tuple(map(str, choices)) or known.choices,
        concerns=concerns or known.concerns,
        key=key or known.key,
        covers=covers or known.covers,
        in_run=in_run or known.in_run,
        caution=caution or known.caution,
    )
    return KINDS[known.kind]
