"""What an archive of a person's data holds of their chats and runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agents.exporting import Part, Rows, values
from agents.models import User
from runs.models import Approval, ApprovalRule, Conversation, Message, Run, RunEvent
from runs.withheld import Reader


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


def _rules(person: User) -> Rows:
    names = ("id", "kind", "agent_id", "scope", "words", "created_at", "expires_at", "revoked_at", "used")
    return values(ApprovalRule.objects.filter(made_by=person).order_by("pk"), *names)


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
    ("approvals.json", "What runs asked you for, and what you decided.", True, _approvals),
    ("approval-rules.json", "The rules you made by which agents do things unasked.", True, _rules),
]
