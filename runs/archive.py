"""What an archive of a person's data holds of their chats and runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Q

from agents.composed import HIDDEN_MODEL
from agents.exporting import Part, Rows, values
from agents.models import User
from runs.budgets.nano import usd
from runs.models import (
    Approval,
    ApprovalRule,
    Budget,
    Charge,
    Conversation,
    Message,
    ReviewerOpinion,
    ReviewerReversal,
    Run,
    RunEvent,
)
from runs.withheld import Reader
from sandboxes.models import ToolCall


def _conversations(person: User) -> Rows:
    names = ("id", "title", "agent_id", "agent__name", "origin", "created_at", "last_at")
    return values(Conversation.objects.filter(owner=person).order_by("pk"), *names)


def _messages(person: User) -> Rows:
    names = ("id", "conversation_id", "speaker", "text", "created_at")
    return values(Message.objects.filter(conversation__owner=person).order_by("pk"), *names)


def _figures(person: User) -> Rows:
    names = ("id", "conversation_id", "agent_id", "status", "error_code", "model_calls", "tool_calls", "input_tokens")
    more = ("output_tokens", "cost", "cost_is_partial", "fingerprint", "created_at", "started_at", "finished_at")
    return values(Run.objects.filter(conversation__owner=person).order_by("pk"), *names, *more)


def _stamps(person: User) -> Rows:
    reader = Reader(person)
    for row in values(Run.objects.filter(conversation__owner=person).order_by("pk"), "id", "stamp", "error_message"):
        yield {**row, "stamp": reader.stamp(row["stamp"])}


def _events(person: User) -> Iterator[dict[str, Any]]:
    names = ("run_id", "seq", "kind", "at", "data", "previous", "digest", "erased")
    reader = Reader(person)
    mine = RunEvent.objects.filter(run__conversation__owner=person).order_by("run_id", "seq")
    for row in values(mine, *names, "run__agent_id"):
        told = reader.sight(row.pop("run__agent_id")).told(row["kind"], row["data"])
        yield {**row, "data": told}


def _approvals(person: User) -> Rows:
    names = (
        "id",
        "kind",
        "run_id",
        "title",
        "subject",
        "state",
        "choice",
        "answer",
        "note",
        "decided_at",
        "created_at",
    )
    return values(Approval.objects.filter(asked_for=person).order_by("pk"), *names)


def _opinions(person: User) -> Rows:
    names = (
        "approval_id",
        "outcome",
        "why",
        "verdict",
        "confidence",
        "reason",
        "asked_at",
        "answered_at",
        "reversed_at",
    )
    return values(ReviewerOpinion.objects.filter(approval__asked_for=person).order_by("pk"), *names)


def _reversals(person: User) -> Rows:
    names = ("agent_id", "kind", "words", "note", "created_at", "undone_at")
    return values(ReviewerReversal.objects.filter(made_by=person).order_by("pk"), *names)


def _rules(person: User) -> Rows:
    names = ("id", "kind", "agent_id", "scope", "words", "created_at", "expires_at", "revoked_at", "used")
    return values(ApprovalRule.objects.filter(made_by=person).order_by("pk"), *names)


def _charges(person: User) -> Iterator[dict[str, Any]]:
    names = ("id", "run_id", "conversation_id", "agent_id", "route_id", "model", "state", "amount", "is_priced")
    more = ("basis", "input_tokens", "output_tokens", "cached_tokens", "opened_at", "settled_at")
    reader = Reader(person)
    for row in values(Charge.objects.filter(person=person).order_by("opened_at", "pk"), *names, *more):
        amount, route_id = row.pop("amount"), row.pop("route_id")
        named = row["model"] if reader.sight(row["agent_id"] or "").names(route_id) else HIDDEN_MODEL
        # An unknown price is not nothing.
        yield {**row, "model": named, "cost": str(usd(amount)) if row.pop("is_priced") else None}


def _budgets(person: User) -> Rows:
    names = ("id", "name", "scope", "window", "zone", "amount", "on_limit", "is_active", "created_at", "updated_at")
    return values(Budget.objects.filter(person=person).order_by("pk"), *names)


def _tool_calls(person: User) -> Rows:
    names = ("id", "run_id", "agent_id", "door", "tool", "arguments", "tier", "reason", "state", "is_error", "error")
    mine = Q(caller=person) | Q(run_id__in=Run.objects.filter(conversation__owner=person).values("pk"))
    return values(ToolCall.objects.filter(mine).order_by("at", "pk"), *names, "duration_ms", "at", "ended_at")


PARTS: list[Part] = [
    ("conversations.json", "Your chats.", True, _conversations),
    ("messages.json", "What you and the agents said.", True, _messages),
    ("runs.json", "Every run: state, times, tokens, cost.", False, _figures),
    ("stamps.json", "What the agent was made of in each run, and what went wrong.", True, _stamps),
    (
        "events.json",
        "Everything recorded in those runs but the names of models you may not see, with the digests that chain it.",
        True,
        _events,
    ),
    ("charges.json", "What each model call of yours cost, or is reserved for it.", False, _charges),
    ("budgets.json", "What you may spend.", False, _budgets),
    ("tool_calls.json", "Calls of tools that you or your runs made, with what was asked.", True, _tool_calls),
    ("approvals.json", "What runs asked you for, and what you decided.", True, _approvals),
    ("reviewer-opinions.json", "What the reviewer, a model, said of what runs asked you for.", True, _opinions),
    ("reviewer-reversals.json", "Where you said that the reviewer was wrong.", True, _reversals),
    ("approval-rules.json", "The rules you made by which agents do things unasked.", True, _rules),
]
