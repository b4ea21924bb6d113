"""What agents did unasked under a rule that says "tell": calls of tools that ran, for the people they concern."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from agents import permissions
from agents.models import Agent, User
from runs.models import Run
from sandboxes.tool_server.models import CallState, ToolCall
from sandboxes.tool_server.tiers import Tier

# Beside what waits stand the newest of a day; the list goes back a month.
DAYS = 30
SHOWN = 5


def seen_by(user: User, days: int = DAYS) -> QuerySet[ToolCall]:
    """Those of the agents one manages and of the runs one may see, the newest first."""
    told = ToolCall.objects.filter(tier=Tier.NOTIFY, at__gte=timezone.now() - timedelta(days=days))
    managed = permissions.visible(user, ToolCall.objects.order_by(), "tool.view").values("pk")
    runs = permissions.visible(user, Run.objects.order_by(), "run.view").values("pk")
    ran = told.exclude(state__in=(CallState.REFUSED, CallState.RUNNING))
    return ran.filter(Q(pk__in=managed) | Q(run_id__in=runs)).select_related("agent").order_by("-id")


def lately(user: User) -> list[ToolCall]:
    """The newest of the last day."""
    return list(seen_by(user, 1)[:SHOWN])


def concerned(agent_id: str, run_id: str) -> QuerySet[User]:
    """Who is told of a call: who owns the agent, and whose run it was."""
    owner = Q(pk__in=Agent.objects.filter(pk=agent_id).values("owner"))
    asked = Q(pk__in=Run.objects.filter(pk=run_id).values("conversation__owner")) if run_id else Q(pk__in=())
    return User.objects.filter(owner | asked, is_active=True)
