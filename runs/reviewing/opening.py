"""Write a request down and, in the same transaction, that the reviewer is asked about it; or why it is not."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone

from agents.gate.tirith import Opinion
from runs import approvals, events, work
from runs.approvals.asking import HIDDEN
from runs.models import Approval, ApprovalState, ReviewedAgent, ReviewerOpinion, ReviewerSettings, ReviewOutcome, Run
from runs.reviewing import limits, reversing
from runs.reviewing.limits import DEADLINE_S
from runs.reviewing.prompting import Material, TooLong, body, told
from sandboxes.inference.calls import RouteTarget
from sandboxes.inference.wires import of_kind

logger = logging.getLogger(__name__)

STAMPED = "reviewer"


@dataclass(frozen=True, slots=True)
class Brief:
    """What the engine needs to ask the reviewer, as values."""

    approval_id: str
    target: RouteTarget
    body: bytes = field(repr=False)
    until: datetime


@dataclass(frozen=True, slots=True)
class Begun:
    """A request that was written down: ``brief`` when the reviewer is asked, ``why`` when it would be and is not."""

    asked: Approval
    brief: Brief | None = None
    why: str = ""


def request(run_id: str, command: str, description: str, known: events.Known, opinion: Opinion, holder: str) -> Begun:
    """The same as ``approvals.request``, and the reviewer's row beside it. What goes wrong with the latter leaves the
    request to a person."""
    with transaction.atomic():
        asked = approvals.request(run_id, command, description, known, opinion)
        try:
            with transaction.atomic():
                return _begin(asked, holder, known)
        except Exception:
            logger.exception("The reviewer could not be asked about %s", asked.pk)
            return Begun(asked)


def is_stamped(stamp: dict[str, Any]) -> bool:
    """Was the reviewer part of what the agent was when the run began?"""
    permissions = stamp.get("permissions")
    return isinstance(permissions, dict) and str(permissions.get("approvals", "")).startswith(STAMPED)


def is_on(agent_id: str | None) -> ReviewerSettings | None:
    """The settings by which the reviewer answers for this agent now; None when it does not."""
    site = ReviewerSettings.objects.select_related("route__provider").filter(pk=1, is_on=True).first()
    if site is None or not ReviewedAgent.objects.filter(agent=agent_id, is_on=True).exists():
        return None
    return site


def _begin(asked: Approval, holder: str, known: events.Known) -> Begun:
    if asked.state != ApprovalState.PENDING or asked.run_id is None or (site := is_on(asked.agent_id)) is None:
        return Begun(asked)
    run = Run.objects.select_related("conversation", "message").get(pk=asked.run_id)
    if not is_stamped(run.stamp):  # switched on since: from the next message on
        return Begun(asked)
    why = limits.outside(asked, run.conversation.origin, site.most)
    if not why and reversing.covers(asked):
        why = "reversed"
    text = ""
    if not why and (site.route is None or site.route.is_rehearsal):
        why = "no_model"
    if not why:
        try:
            text = told(_material(asked, run), partial(events.plain, known=known))
        except TooLong:
            why = "too_long"
    now = timezone.now()
    row = ReviewerOpinion(approval=asked, route=site.route, model=site.route.model if site.route else "")
    if why or site.route is None:
        row.outcome, row.why = ReviewOutcome.LEFT, why
        row.save(force_insert=True)
        return Begun(asked, why=why)
    row.holder, row.asked_at, row.deadline_at = holder, now, now + timedelta(seconds=DEADLINE_S)
    row.save(force_insert=True)
    target = work.target_of(site.route)
    return Begun(asked, Brief(asked.pk, target, body(of_kind(target.kind).name, target.model, text), row.deadline_at))


def _material(asked: Approval, run: Run) -> Material:
    return Material(
        command=str(asked.subject.get("command", "")),
        title=asked.title.removeprefix(HIDDEN).strip(),
        findings=tuple((each.get("severity", ""), each.get("sentence", "")) for each in asked.findings),
        message=run.message.text,
        purpose=asked.purpose,
    )
