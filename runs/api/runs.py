"""/api/runs: list and read runs and their events, stop one, send its message again."""

from __future__ import annotations

from typing import Any, Literal

from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import permissions
from agents.api.asking import asker
from agents.api.shapes import PageQuery, Text, page
from runs import dispatch, leavings, withheld
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


class ComparedQuery(Schema):
    """With which run to compare."""

    other: Text = Field("", alias="with", description="Another run of the agent; empty is the run before it.")


class ChangedFile(Schema):
    """A file that differs; sizes are null where it was not there."""

    path: str
    kind: Literal["added", "removed", "changed"]
    size_before: int | None
    size_after: int | None
    sha256_before: str = Field(description="Empty where it was not there, or not read.")
    sha256_after: str


class ChangedFiles(Schema):
    """What differs in the workspace between the ends of two runs. ``problem`` says why nothing can be told."""

    before: str = Field(description="The run compared with; empty when there is none, or none you may see.")
    items: list[ChangedFile]
    more: int = Field(description="How many others differ.")
    is_cut: bool = Field(description="The workspace is larger than what is listed.")
    problem: str

    model_config = {
        "json_schema_extra": {
            "example": {
                "before": "run_01jd9z6w3v8f4k2m7q5t0x1y9c",
                "items": [
                    {
                        "path": "notes/report.md",
                        "kind": "changed",
                        "size_before": 120,
                        "size_after": 148,
                        "sha256_before": "a" * 64,
                        "sha256_after": "b" * 64,
                    }
                ],
                "more": 0,
                "is_cut": False,
                "problem": "",
            }
        }
    }


@router.get(
    "/{run_id}/files", response=ChangedFiles, operation_id="list_changed_files", summary="What differs in the workspace"
)
def list_changed_files(request: HttpRequest, run_id: Text, query: Query[ComparedQuery]) -> dict[str, Any]:
    """Compared with the end of the run before, or of `with`. Uploads, and other runs meanwhile, count too."""
    user = asker(request)
    run = permissions.fetch(user, "run.view", Run.objects.select_related("agent").defer("stamp"), pk=run_id)
    found = leavings.compared(user, run, query.other)
    items = [
        {
            "path": row.change.path,
            "kind": row.change.kind,
            "size_before": row.change.sizes[0],
            "size_after": row.change.sizes[1],
            "sha256_before": row.change.digests[0],
            "sha256_after": row.change.digests[1],
        }
        for row in found.rows
    ]
    rest = {"before": found.before, "more": found.more, "is_cut": found.is_cut, "problem": found.problem}
    return {"items": items, **rest}


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
