"""Requests that wait, for tests of the inbox: of any kind, by any agent, old or new."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from agents.models import Agent, User
from runs import approvals
from runs.models import Approval
from tests.runs.acting import ONE_COMMAND, ask, play


def waiting(who: User, agent: Agent, command: str = "rm -rf build", **more: Any) -> Approval:
    """A command of a run of ``who`` that waits."""
    run = play(ask(who, agent, more.pop("text", "Tidy up, please.")), ONE_COMMAND[:3])
    given = {
        "kind": "command",
        "subject": {"command": command},
        "title": f"{agent.name} wants to run a command",
        **more,
    }
    return approvals.ask(run_id=run.pk, **given)


def aged(asked: Approval, minutes: float) -> Approval:
    """The same, asked so long ago, with an hour in all."""
    began = timezone.now() - timedelta(minutes=minutes)
    Approval.objects.filter(pk=asked.pk).update(created_at=began, expires_at=began + timedelta(hours=1))
    asked.refresh_from_db()
    return asked
