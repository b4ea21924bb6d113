"""Approvals: what somebody asks a person for, of every kind; decided once, by the right person, about what was shown.

``ask`` writes a request down, ``decide`` takes the decision, ``open_for`` lists what somebody may decide. Rooms that
have kinds of their own tell ``register`` what a decision does.
"""

from runs.approvals.asking import HIDDEN, ask, outcome, request, shown
from runs.approvals.canaries import canaries, canary, result
from runs.approvals.deciding import decide, decide_for_reviewer
from runs.approvals.ending import expire, freeze, settle, thaw, withdraw
from runs.approvals.kinds import KINDS, KindSpec, register
from runs.approvals.lists import (
    by_id,
    count_for,
    deciders,
    find,
    is_open,
    open_for,
    open_of,
    seen_by,
    similar,
    undecided,
    waiting_for,
)
from runs.approvals.quality import DEFAULT_DAYS, MOST_DAYS, Figure, figures, own
from runs.approvals.rules import RuleWish, living, make, revoke, rules_seen_by
from runs.approvals.signals import approval_asked, approval_decided

__all__ = [
    "DEFAULT_DAYS",
    "HIDDEN",
    "KINDS",
    "MOST_DAYS",
    "Figure",
    "KindSpec",
    "RuleWish",
    "approval_asked",
    "approval_decided",
    "ask",
    "by_id",
    "canaries",
    "canary",
    "count_for",
    "decide",
    "decide_for_reviewer",
    "deciders",
    "expire",
    "figures",
    "find",
    "freeze",
    "is_open",
    "living",
    "make",
    "open_for",
    "open_of",
    "outcome",
    "own",
    "register",
    "request",
    "result",
    "revoke",
    "rules_seen_by",
    "seen_by",
    "settle",
    "shown",
    "similar",
    "thaw",
    "undecided",
    "waiting_for",
    "withdraw",
]
