"""/api/sandboxes/{id}/shells: the terminals people had open in a sandbox, and what each showed."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import permissions
from agents.api.asking import asker
from agents.api.shapes import NEXT, PageQuery, PersonRef, Text
from agents.errors import Invalid
from sandboxes import transcripts
from sandboxes.models import Sandbox

router = Router(tags=["Sandboxes"])

_AFTER = re.compile(r"[0-9a-z_]{0,40}")


EXAMPLE: dict[str, Any] = {
    "id": "event_01jd9zb4p2r4t6v8x0z2b4d6f8",
    "person": {"username": "alice", "name": "Alice"},
    "door": "the page",
    "opened_at": "2026-11-20T09:15:02.655Z",
    "seconds": 312.4,
    "bytes": 20480,
    "code": 0,
    "how": "ended with exit code 0",
    "name": "20261120-091502-01JD9ZB4P2R4T6V8X0Z2B4D6F8.txt",
}


class ShellOut(Schema):
    """One terminal. `seconds` is null while it is open; `name` is empty when what it showed is not kept."""

    id: str
    person: PersonRef | None
    door: str
    opened_at: datetime
    seconds: float | None
    bytes: int = Field(description="How much it showed.")
    code: int | None
    how: str = Field(description="How it ended, for people.")
    name: str

    model_config = {"json_schema_extra": {"example": EXAMPLE}}


class ShellPage(Schema):
    """A page of them, the newest first."""

    items: list[ShellOut]
    next: str | None = NEXT


class TranscriptOut(ShellOut):
    """One terminal and what it showed."""

    text: str = Field(description="Without escape sequences, and without the agent's secrets.")

    model_config = {"json_schema_extra": {"example": {**EXAMPLE, "text": "$ ls\n"}}}


@router.get("/{sandbox_id}/shells", response=ShellPage, operation_id="list_shells", summary="List its terminals")
def list_shells(request: HttpRequest, sandbox_id: Text, query: Query[PageQuery]) -> dict[str, Any]:
    """Who opened a terminal in it, when, through which door and for how long, for whoever may open one."""
    if not _AFTER.fullmatch(query.after):
        raise Invalid("This is not the `next` of a page.", field="after")
    items, following = transcripts.sessions(asker(request), _row(request, sandbox_id), query.after, query.limit)
    return {"items": items, "next": following or None}


@router.get(
    "/{sandbox_id}/shells/{name}",
    response=TranscriptOut,
    operation_id="get_shell_transcript",
    summary="Read what a terminal showed",
)
def get_shell_transcript(request: HttpRequest, sandbox_id: Text, name: Text) -> dict[str, Any]:
    """The first 256 KB of it, of the last terminals."""
    row = _row(request, sandbox_id)
    session = transcripts.session(asker(request), row, name)
    told = {field: getattr(session, field) for field in ShellOut.model_fields}
    return {**told, "text": transcripts.text(row, name)}


def _row(request: HttpRequest, sandbox_or_agent_id: str) -> Sandbox:
    rows = Sandbox.objects.select_related("agent").filter(agent__deleted_at=None)
    either = rows.filter(Q(pk=sandbox_or_agent_id) | Q(agent_id=sandbox_or_agent_id))
    return permissions.fetch(asker(request), "sandbox.shell", either)
