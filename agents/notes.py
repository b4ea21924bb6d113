"""Write the notes of an agent: the agent for itself, and people who manage it; 2,200 characters in all."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.db.models import QuerySet

from agents import audit, permissions, secrets
from agents.agent_secrets import known_values
from agents.editing import editing
from agents.errors import Invalid, NotFound
from agents.invisible import first_hidden
from agents.models import Agent, AgentNote, User

MOST_CHARS, MOST_NOTES = 2_200, 100


def of(agent_id: str) -> QuerySet[AgentNote]:
    """The notes of this agent, the oldest first."""
    return AgentNote.objects.filter(agent=agent_id).select_related("written_by").order_by("pk")


def room(notes: Iterable[AgentNote]) -> int:
    """How many characters are left."""
    return MOST_CHARS - sum(len(note.text) for note in notes)


@transaction.atomic
def remember(agent_id: str, text: str, run_id: str = "") -> AgentNote:
    """What the agent keeps by itself; what stands there already is that note. Raises NotFound, Invalid."""
    agent = _locked(agent_id)
    text = secrets.redact(clean(text), secrets.forms(known_values(agent)))
    if (known := of(agent_id).filter(text=text).first()) is not None:
        return known
    _check_room(agent, text)
    return AgentNote.objects.create(agent=agent, text=text, run_id=run_id[:40])


def recall(agent_id: str, query: str = "") -> list[AgentNote]:
    """Those that hold every word of ``query``; all without one."""
    words = query.casefold().split()
    return [note for note in of(agent_id) if all(word in note.text.casefold() for word in words)]


def forget(agent_id: str, note_id: str) -> None:
    """The agent does without this note of its own. NotFound also for those people wrote: they take them away."""
    if not of(agent_id).filter(pk=note_id[:40], is_own=True).delete()[0]:
        raise NotFound("A note of yours with this id")


@transaction.atomic
def write(user: User, agent: Agent, text: str) -> AgentNote:
    """A note of a person for the agent. Raises NotFound, Invalid."""
    permissions.require(user, "note.edit", agent)
    now, text = _locked(agent.pk), clean(text)
    _check_room(now, text)
    made = AgentNote.objects.create(agent=now, text=text, is_own=False, written_by=user)
    audit.note("note_written", actor=user, about=agent)
    return made


def change(user: User, agent_id: str, note_id: str, text: str, version: int | None) -> AgentNote:
    """Other words for a note; it is that person's from now on, so that the agent cannot drop it. Raises NotFound, Invalid, Stale."""
    with editing(user, "note.edit", AgentNote.objects.filter(agent=agent_id), note_id, version) as note:
        text = clean(text)
        if text != note.text:
            _check_room(_locked(agent_id), text, instead_of=note)
            note.text, note.is_own, note.written_by, note.run_id = text, False, user, ""
            note.save()
            audit.note("note_changed", actor=user, about=note.agent)
    return note


def remove(user: User, agent_id: str, note_id: str) -> None:
    """Take a note away. NotFound for who may not."""
    with editing(user, "note.edit", AgentNote.objects.filter(agent=agent_id), note_id, None) as note:
        note.delete()
        audit.note("note_removed", actor=user, about=note.agent)


def copy(source: Agent, agent: Agent) -> None:
    """Give ``agent`` the notes of ``source``."""
    for note in of(source.pk):
        AgentNote.objects.create(agent=agent, text=note.text, is_own=note.is_own, written_by=note.written_by)


def clean(text: str) -> str:
    """The words of a note. Raises Invalid."""
    text = text.replace("\r\n", "\n").strip()
    if not text or len(text) > MOST_CHARS:
        raise Invalid(f"A note has 1 to {MOST_CHARS:,} characters.", field="text")
    if "\x00" in text or first_hidden(text.replace("\n", " ")) is not None:
        raise Invalid("A note holds visible characters only.", field="text")
    return text


def _locked(agent_id: str) -> Agent:
    """The agent, so that two notes at once do not share the same room."""
    agent = Agent.objects.select_for_update(of=("self",)).alive().filter(pk=agent_id).first()
    if agent is None:
        raise NotFound("Agent")
    return agent


def _check_room(agent: Agent, text: str, instead_of: AgentNote | None = None) -> None:
    others = [note for note in of(agent.pk) if instead_of is None or note.pk != instead_of.pk]
    if len(others) >= MOST_NOTES:
        raise Invalid(f"There are {MOST_NOTES} notes.", field="text", reason="full", action="Take one away first.")
    if len(text) > (left := room(others)):
        raise Invalid(
            f"All notes together have {MOST_CHARS:,} characters, and {max(0, left):,} are left.",
            field="text",
            reason="full",
            action="Say it shorter, or take a note away first.",
        )
