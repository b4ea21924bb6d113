"""/api/runs: list and read runs and their events, stop one, send its message again."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import permissions
from agents.api.asking import asker
from agents.api.shapes import PageQuery, Text, page
from runs import dispatch, withheld
from runs.api.conversations import accepted
from runs.api.shapes import Accepted, EventOut, EventPage, RunOut, RunPage, RunWithStamp
from runs.models import Run, RunEvent, Status

router = Router(tags=["Runs"])

# The same address streams when asked for an event stream (channels_app.streams, before Django).
STREAM_DOC: dict[str, Any] = {
    "responses": {
        200: {
            "content": {
                "text/event-stream": {
                    "schema": {"type": "string"},
                    "example": 'id: 7\nevent: tool.started\ndata: {"seq": 7, "kind": "tool.started", "at": '
                    '"2026-11-20T09:15:03.120456+00:00", "data": {"call_id": "call_8", "tool": "terminal"}}\n\n',
                }
            }
        }
    },
    "parameters": [
        {
            "in": "header",
            "name": "Last-Event-ID",
            "schema": {"type": "integer"},
            "description": "For the stream: continue after this event. It wins over `after`.",
        }
    ],
}


class RunQuery(PageQuery):
    """Which runs."""

    status: Status | None = Field(None, description="Only runs in this state.")
    agent: Text = Field("", description="Only runs of this agent (its id).")
    conversation: Text = Field("", description="Only runs of this conversation (its id).")


class EventQuery(Schema):
    """Which events."""

    after: int = Field(0, ge=0, le=2**31 - 1, description="Only events with a higher `seq`.")
    limit: int = Field(500, ge=1, le=1000, description="How many at most.")


def rows() -> QuerySet[Run]:
    """Runs with everything an answer shows, in one query; the STAMP stays in the database."""
    return Run.objects.select_related("agent", "message", "reply").defer("stamp")


@router.get("", response=RunPage, operation_id="list_runs", summary="List runs")
def list_runs(request: HttpRequest, query: Query[RunQuery]) -> dict:
    """Your runs, and for operators those of agents they manage."""
    wanted = {"status": query.status, "agent_id": query.agent, "conversation_id": query.conversation}
    seen = permissions.visible(asker(request), rows())
    return page(seen.filter(**{key: value for key, value in wanted.items() if value}), query)


@router.get("/{run_id}", response=RunWithStamp, operation_id="get_run", summary="Read a run")
def get_run(request: HttpRequest, run_id: Text) -> Run:
    """One run with its STAMP: what it was asked, how it ended, what it used."""
    user = asker(request)
    run = permissions.fetch(user, "run.view", rows().defer(None), pk=run_id)
    run.stamp = withheld.told(user, run.stamp)
    return run


@router.get(
    "/{run_id}/events",
    response=EventPage,
    operation_id="list_events",
    summary="Read or follow a run's events",
    openapi_extra=STREAM_DOC,
)
def list_events(request: HttpRequest, run_id: Text, query: Query[EventQuery]) -> EventPage:
    """The stored events after `after`, in order.

    With `Accept: text/event-stream` the same address streams them as server-sent events: first what is stored
    after `Last-Event-ID` (or `after`), then live, until the run has ended. Each event's `id` is its `seq`, so a
    reader that reconnects goes on without a gap or a double."""
    user = asker(request)
    run = permissions.fetch(user, "run.view", Run.objects.only("id", "status", "agent_id"), pk=run_id)
    sight = withheld.sight(user, run)
    found = list(RunEvent.objects.filter(run=run, seq__gt=query.after).order_by("seq")[: query.limit + 1])
    items = [EventOut.of(event, sight) for event in found[: query.limit]]
    more = len(found) > query.limit
    return EventPage(items=items, next=items[-1].seq if more else None, ended=run.has_finished and not more)


@router.post("/{run_id}/cancel", response={202: RunOut}, operation_id="cancel_run", summary="Stop a run")
def cancel_run(request: HttpRequest, run_id: Text) -> Run:
    """Ask the run to stop; it ends as `cancelled` within about two seconds. 409 when it has already ended."""
    user = asker(request)
    return dispatch.cancel(user, permissions.fetch(user, "run.cancel", rows(), pk=run_id))


@router.post("/{run_id}/clone", response={202: Accepted}, operation_id="clone_run", summary="Send it again")
def clone_run(request: HttpRequest, run_id: Text) -> dict:
    """The run's message in a new conversation with the same agent, as the agent is now."""
    user = asker(request)
    runs = Run.objects.select_related("message", "agent__soul", "agent__route__provider")
    return accepted(dispatch.clone(user, permissions.fetch(user, "run.clone", runs, pk=run_id)))
