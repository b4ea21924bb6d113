"""What comes again by itself: calls nobody can finish any more are settled, old ones are forgotten."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db.models import Count
from django.utils import timezone

from agents.errors import LogosError
from sandboxes.tool_server import asking, records
from sandboxes.tool_server.models import CallState, ToolCall

SWEPT = 5_000
# An agent that calls all day must not fill the disk.
MOST_PER_AGENT = 500_000


def sweep() -> None:
    """Called every minute."""
    records.settle_dead()
    _settle_waiting()
    _forget()


def _settle_waiting() -> None:
    """A call whose question is denied or expired waits for nothing any more, whether or not it is made again."""
    states = {"denied": CallState.DENIED, "expired": CallState.EXPIRED}
    for row in ToolCall.objects.filter(state=CallState.WAITING).order_by("pk")[:SWEPT]:
        try:
            word = asking.desk().look(row.approval_id)
        except LogosError:
            return
        if word.state in states:
            records.end(row.pk, states[word.state], word.note or "Nobody decided in time.")


def _forget() -> None:
    """As long as connections are kept, and no more of one agent than it may have."""
    ended = ToolCall.objects.exclude(state__in=(CallState.WAITING, CallState.RUNNING))
    old = ended.filter(at__lt=timezone.now() - timedelta(days=settings.LOGOS_EGRESS_DAYS))
    _delete(list(old.order_by("at").values_list("pk", flat=True)[:SWEPT]))
    counted = ended.order_by().values_list("agent").annotate(count=Count("pk")).filter(count__gt=MOST_PER_AGENT)
    for agent_id, count in counted:
        beyond = min(count - MOST_PER_AGENT, SWEPT)
        _delete(list(ended.filter(agent=agent_id).order_by("pk").values_list("pk", flat=True)[:beyond]))


def _delete(keys: list[str]) -> None:
    ToolCall.objects.filter(pk__in=keys).delete()
