"""An agent asks a person something and gets the answer in words; nobody answering in time is an outcome of its own.

The runtime's own way of asking is not there when a program drives it, so the agent calls a tool of Logos. A question
is an approval of the kind "question", put to the person of the run or, outside of runs, to who owns the agent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from agents import secrets
from agents.agent_secrets import known_values
from agents.invisible import first_hidden
from agents.models import Agent
from runs import approvals
from runs.models import Approval, ApprovalKind, ApprovalState, Run

MAX_QUESTION, MAX_CHOICES, MAX_CHOICE = 2_000, 6, 120
# So many questions of one agent wait at once, and so long a refusal to answer stands.
MAX_OPEN = 5
COOL_DOWN_S = 600


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a question: "answered", "pending", "declined", "unanswered", "withdrawn" or "refused"; a sentence for
    the model, and the person's words."""

    status: str
    sentence: str
    request_id: str = ""
    answer: str = ""


@transaction.atomic
def ask(agent_id: str, question: str, choices: Sequence[str] = (), run_id: str = "") -> Reply:
    """Put it to the person. The same question of the same run, while it waits or was refused lately, is one."""
    agent = Agent.objects.select_for_update(of=("self",)).alive().select_related("owner").filter(pk=agent_id).first()
    if agent is None:
        return Reply("refused", "There is nobody to ask.")
    question, choices = question.strip(), [" ".join(each.split()) for each in choices]
    if refusal := _refusal(question, choices):
        return Reply("refused", refusal)
    run = Run.objects.filter(pk=run_id, agent=agent).first() if run_id else None
    asked_for = None if run else agent.owner
    if run is None and asked_for is None:
        return Reply("refused", "There is nobody to ask.")
    mine = Approval.objects.filter(agent=agent, kind=ApprovalKind.QUESTION)
    subject: dict[str, Any] = {"question": question, **({"choices": choices} if choices else {})}
    for same in mine.filter(run=run, key=_key(subject)).order_by("-created_at")[:1]:
        lately = (same.decided_at or same.created_at) > timezone.now() - timedelta(seconds=COOL_DOWN_S)
        if (said := _said(same)).status == "pending" or (said.status == "declined" and lately):
            return said
    if approvals.undecided(mine).count() >= MAX_OPEN:
        return Reply("refused", f"{MAX_OPEN} of your questions wait already; wait until they are answered.")
    asked = approvals.ask(
        ApprovalKind.QUESTION,
        subject=subject,
        title=f"{agent.name} asks you",
        agent=agent,
        run_id=run.pk if run else "",
        asked_for=asked_for,
        key=_key(subject),
        known=secrets.forms(known_values(agent)),
    )
    return _said(asked)


def look(agent_id: str, request_id: str) -> Reply:
    """What became of a question of this agent."""
    row = Approval.objects.filter(pk=request_id[:40], agent=agent_id, kind=ApprovalKind.QUESTION).first()
    return _said(row) if row is not None else Reply("refused", "There is no question of yours with this id.")


def _refusal(question: str, choices: Sequence[str]) -> str:
    if not question or len(question) > MAX_QUESTION:
        return f"Ask in 1 to {MAX_QUESTION:,} characters."
    if len(choices) > MAX_CHOICES or len(set(choices)) != len(choices):
        return f"Offer at most {MAX_CHOICES} different answers."
    if any(not each or len(each) > MAX_CHOICE for each in choices):
        return f"An answer that you offer has 1 to {MAX_CHOICE} characters."
    if any(first_hidden(each) is not None for each in (question.replace("\n", " "), *choices)):
        return "Use visible characters only: a person reads this."
    return ""


def _key(subject: dict[str, Any]) -> str:
    return approvals.KINDS[ApprovalKind.QUESTION].key_of(subject)


def _said(row: Approval) -> Reply:
    if row.state == ApprovalState.ALLOWED:
        who = row.decided_by.display_name if row.decided_by else "A person"
        return Reply("answered", f"{who} answered.", row.pk, row.answer)
    if row.state == ApprovalState.DENIED:
        note = f" {row.note}" if row.note else ""
        return Reply("declined", f"They will not answer this.{note} Do without, and do not ask it again now.", row.pk)
    if row.state == ApprovalState.WITHDRAWN:
        return Reply("withdrawn", "The run ended before anybody answered.", row.pk)
    if row.state == ApprovalState.PENDING and (row.frozen_at or row.expires_at > timezone.now()):
        sentence = f"A person was asked ({row.pk}). Go on with something else, and look again with person_answer."
        return Reply("pending", sentence, row.pk)
    sentence = "Nobody answered in time. That is no answer: choose what harms least and say what you assumed."
    return Reply("unanswered", sentence, row.pk)
