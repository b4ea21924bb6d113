"""What happens in runs and has to be told to people: a question that waits, a budget that is nearly used up."""

from __future__ import annotations

from typing import Any

from django.core.cache import cache
from django.db.models.signals import post_migrate
from django_q.tasks import async_task

from channels_app import schedules
from runs import approvals, unasked
from runs.budgets.concerned import threshold_reached
from runs.models import Approval, Conversation
from sandboxes.tool_server.models import ToolCall
from sandboxes.tool_server.telling import tool_noticed

NOTICED_EVERY_S = 60


def connect(sender: Any) -> None:
    """Listen; ``sender`` is the app whose migrations make the schedules."""
    approvals.approval_asked.connect(_when_asked)
    tool_noticed.connect(_when_noticed)
    unasked.agent_wrote.connect(_when_wrote)
    threshold_reached.connect(_when_reached)
    post_migrate.connect(schedules.make, sender=sender)


def _when_noticed(call: ToolCall, **rest: Any) -> None:
    """Once in a minute for each agent, however much it does."""
    if cache.add(f"noticed:{call.agent_id}", True, timeout=NOTICED_EVERY_S):
        async_task("channels_app.tasks.tell_noticed", call.agent_id, call.run_id, group="notices")


def _when_wrote(conversation: Conversation, **rest: Any) -> None:
    """Once in a minute for each chat, however much the agent writes."""
    if cache.add(f"wrote:{conversation.pk}", True, timeout=NOTICED_EVERY_S):
        async_task("channels_app.tasks.tell_wrote", conversation.pk, group="notices")


def _when_asked(approval: Approval, **rest: Any) -> None:
    async_task("channels_app.tasks.tell", approval.pk, group="notices")


def _when_reached(warnings: list[int], **rest: Any) -> None:
    for warning in warnings:
        async_task("channels_app.tasks.tell_budget", warning, group="notices")
