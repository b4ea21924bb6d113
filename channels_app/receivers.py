"""What happens in runs and has to be told to people: a question that waits."""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_migrate
from django_q.tasks import async_task

from channels_app import schedules
from runs import approvals
from runs.models import Approval


def connect(sender: Any) -> None:
    """Listen; ``sender`` is the app whose migrations make the schedules."""
    approvals.approval_asked.connect(_when_asked)
    post_migrate.connect(schedules.make, sender=sender)


def _when_asked(approval: Approval, **rest: Any) -> None:
    async_task("channels_app.tasks.tell", approval.pk, group="notices")
