"""/api/agents/{id}/notes: what an agent keeps for later, for those who manage it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from agents import notes, permissions
from agents.api.asking import asker
from agents.api.shapes import NEXT, PageQuery, PersonRef, Text, Version, page
from agents.models import Agent, AgentNote

router = Router(tags=["Agents"])

EXAMPLE: dict[str, Any] = {
    "id": "note_01jd9z7c3f5h7k9n1q3s5v7x9z",
    "text": "The backups lie on the second disk.",
    "is_own": True,
    "written_by": None,
    "run_id": "run_01jd9zb4m0c2e6h8k1n3q5s7v9",
    "version": 1,
    "created_at": "2026-11-20T09:14:02.512Z",
    "updated_at": "2026-11-20T09:14:02.512Z",
}


class AgentNoteOut(Schema):
    """A note, who wrote it, and in which run."""

    id: str
    text: str
    is_own: bool = Field(description="The agent wrote it; it can forget only such ones.")
    written_by: PersonRef | None
    run_id: str
    version: int
    created_at: datetime
    updated_at: datetime

    model_config = {"json_schema_extra": {"example": EXAMPLE}}


class AgentNotePage(Schema):
    """Notes, the newest first."""

    items: list[AgentNoteOut]
    next: str | None = NEXT

    model_config = {"json_schema_extra": {"example": {"items": [EXAMPLE], "next": None}}}


class AgentNoteIn(Schema):
    """A note for the agent."""

    text: Text = Field(max_length=notes.MOST_CHARS, description="2,200 characters for all notes together.")

    model_config = {"json_schema_extra": {"example": {"text": EXAMPLE["text"]}}}


class AgentNotePatch(AgentNoteIn):
    """Other words for it."""

    version: Version

    model_config = {"json_schema_extra": {"example": {"text": EXAMPLE["text"], "version": 1}}}


@router.get("/{agent_id}/notes", response=AgentNotePage, operation_id="list_notes", summary="List an agent's notes")
def list_notes(request: HttpRequest, agent_id: Text, query: Query[PageQuery]) -> dict[str, Any]:
    """For whoever manages the agent."""
    agent = permissions.fetch(asker(request), "note.view", Agent.objects.alive(), pk=agent_id)
    return page(notes.of(agent.pk), query)


@router.post(
    "/{agent_id}/notes", response={201: AgentNoteOut}, operation_id="write_note", summary="Write a note for it"
)
def write_note(request: HttpRequest, agent_id: Text, body: AgentNoteIn) -> Status[AgentNote]:
    """The agent finds it when it recalls, and cannot forget it."""
    user = asker(request)
    agent = permissions.fetch(user, "note.edit", Agent.objects.alive(), pk=agent_id)
    return Status(201, notes.write(user, agent, body.text))


@router.patch("/{agent_id}/notes/{note_id}", response=AgentNoteOut, operation_id="change_note", summary="Change a note")
def change_note(request: HttpRequest, agent_id: Text, note_id: Text, body: AgentNotePatch) -> AgentNote:
    """It is yours from now on."""
    return notes.change(asker(request), agent_id, note_id, body.text, body.version)


@router.delete(
    "/{agent_id}/notes/{note_id}", response={204: None}, operation_id="remove_note", summary="Take a note away"
)
def remove_note(request: HttpRequest, agent_id: Text, note_id: Text) -> None:
    """For good: no version of it is kept."""
    notes.remove(asker(request), agent_id, note_id)
