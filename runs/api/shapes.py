"""How runs, their events, messages and conversations look to programs: the API and the ``--json`` of commands."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ninja import Field, Schema

from agents.api.shapes import NEXT, AgentRef, Money
from runs.events import Event
from runs.models import Message, Run, RunEvent, Speaker, Status
from runs.withheld import Sight
from runs.words import describe

RUN_EXAMPLE: dict[str, Any] = {
    "id": "run_01jd9zb4m0c2e6h8k1n3q5s7v9",
    "conversation_id": "conv_01jd9zb4kzt4w6y8a0c2e4g6j8",
    "agent": {"id": "agent_01jd9z6w3v8f4k2m7q5t0x1y9c", "name": "atlas"},
    "status": "completed",
    "text": "run: echo hello && id",
    "reply": "The command printed `hello` and runs as uid 200001.",
    "error": None,
    "fingerprint": "9f2c0a6d1b7e4c8f5a3d2e1b0c9f8a7d6e5c4b3a2f1e0d9c8b7a6f5e4d3c2b1a",
    "usage": {"model_calls": 2, "tool_calls": 1, "input_tokens": 5210, "output_tokens": 148},
    "cost": "0.00128700",
    "cost_is_partial": False,
    "duration_ms": 2841.5,
    "created_at": "2026-11-20T09:15:02.410Z",
    "started_at": "2026-11-20T09:15:02.655Z",
    "finished_at": "2026-11-20T09:15:05.251Z",
}

STAMP_EXAMPLE: dict[str, Any] = {
    "version": 1,
    "agent_id": "agent_01jd9z6w3v8f4k2m7q5t0x1y9c",
    "agent_name": "atlas",
    "soul": {"id": "soul_01jd9z6w2ecn6p8r4s1v7w3x5z", "name": "Steady hand", "revision": 3, "sha256": "5b1e…"},
    "tools": {"toolsets": ["file", "terminal"]},
    "runtime": {"name": "hermes", "version": "0.19.0"},
    "model": {
        "route_id": "route_01jd9z6w1b7n5p3r8s2v4w6x0y",
        "provider": "OpenRouter",
        "kind": "openai-compatible",
        "model": "qwen/qwen3-coder",
        "context_length": 262144,
    },
    "permissions": {"driver": "local", "hosts": ["pypi.org"], "approvals": "manual"},
}

EVENT_EXAMPLE: dict[str, Any] = {
    "seq": 7,
    "kind": "tool.started",
    "at": "2026-11-20T09:15:03.120456+00:00",
    "data": {"call_id": "call_8", "tool": "terminal", "args": {"command": "echo hello && id"}},
}


class Usage(Schema):
    """What a run used."""

    model_calls: int
    tool_calls: int
    input_tokens: int
    output_tokens: int


class RunError(Schema):
    """Why a run failed or was interrupted: a stable code, a sentence, and what to do."""

    code: str
    message: str
    action: str


class RunOut(Schema):
    """One message carried out."""

    id: str
    conversation_id: str
    agent: AgentRef
    status: Status
    text: str = Field(alias="message.text", description="What the person asked for.")
    reply: str | None = Field(description="What the agent said in the end; null while there is none.")
    error: RunError | None
    fingerprint: str = Field(description="SHA-256 over the five dimensions of the STAMP.")
    usage: Usage
    cost: Money | None = Field(description="USD; null when unknown.")
    cost_is_partial: bool = Field(description="Some calls had no known price: read the cost as 'at least'.")
    duration_ms: float | None = Field(description="From the message to the end; null while it goes on.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    model_config = {"json_schema_extra": {"example": RUN_EXAMPLE}}

    @staticmethod
    def resolve_reply(run: Run) -> str | None:
        return run.reply.text if run.reply else None

    @staticmethod
    def resolve_error(run: Run) -> RunError | None:
        if run.status not in (Status.FAILED, Status.INTERRUPTED):
            return None
        message, action = describe(run.error_code, run.error_message, run.error_action)
        return RunError(code=run.error_code or str(run.status), message=message, action=action)

    @staticmethod
    def resolve_usage(run: Run) -> Usage:
        return Usage(
            model_calls=run.model_calls,
            tool_calls=run.tool_calls,
            input_tokens=run.input_tokens,
            output_tokens=run.output_tokens,
        )


class RunWithStamp(RunOut):
    """A run with the STAMP that was frozen when it started."""

    stamp: dict[str, Any] = Field(
        description="Without the names of souls, models, hosts and secrets you may not see: `withheld` says which."
    )

    model_config = {"json_schema_extra": {"example": {**RUN_EXAMPLE, "stamp": STAMP_EXAMPLE}}}


class RunPage(Schema):
    """Runs, the newest first."""

    items: list[RunOut]
    next: str | None = NEXT


class Accepted(Schema):
    """A message was taken; its run is on its way. ``repeated``: this idempotency key had been used before,
    and this is the run it made then."""

    run: RunOut
    repeated: bool

    model_config = {
        "json_schema_extra": {
            "example": {
                "run": {**RUN_EXAMPLE, "status": "queued", "reply": None, "cost": None, "duration_ms": None}
                | {"started_at": None, "finished_at": None},
                "repeated": False,
            }
        }
    }


class EventOut(Schema):
    """One thing that happened in a run; its ``seq`` rises by one from event to event."""

    seq: int
    kind: str
    at: str = Field(json_schema_extra={"format": "date-time"}, description="To the microsecond, as the digest has it.")
    data: dict[str, Any] = Field(description="Of a model you may not see `model.call` leaves out the name: `withheld`.")

    model_config = {"json_schema_extra": {"example": EVENT_EXAMPLE}}

    @classmethod
    def of(cls, event: Event | RunEvent, sight: Sight) -> EventOut:
        """As somebody with this sight may read it."""
        told = sight.told(event.kind, event.data)
        return cls(seq=event.seq, kind=event.kind, at=event.at.isoformat(), data=told)


class EventPage(Schema):
    """Stored events in order. ``next`` is null when this is all there is yet; ``ended`` says that no more will come."""

    items: list[EventOut]
    next: int | None = Field(description="Send it as `after` for what follows; null when nothing more is stored.")
    ended: bool


class MessageOut(Schema):
    """What the person or the agent said."""

    id: str
    speaker: Speaker
    text: str
    run_id: str | None = Field(description="The run this message started, or which it answers.")
    created_at: datetime

    model_config = {
        "json_schema_extra": {
            "example": {
                "id": "msg_01jd9zb4m1f3h5k7n9q1s3v5x7",
                "speaker": "person",
                "text": "run: echo hello && id",
                "run_id": "run_01jd9zb4m0c2e6h8k1n3q5s7v9",
                "created_at": "2026-11-20T09:15:02.410Z",
            }
        }
    }

    @staticmethod
    def resolve_run_id(message: Message) -> str | None:
        # A reverse one-to-one that select_related found empty raises when it is asked for.
        for side in ("run", "answered_run"):
            if run := getattr(message, side, None):
                return run.pk
        return None


class MessagePage(Schema):
    """Messages, the oldest first."""

    items: list[MessageOut]
    next: str | None = NEXT


class ConversationOut(Schema):
    """A talk of one person with one agent."""

    id: str
    title: str
    agent: AgentRef
    owner: str = Field(alias="owner.username")
    origin: str
    is_busy: bool = Field(description="The agent is still answering; a new message would be refused with 409.")
    is_unread: bool = Field(description="The agent wrote unasked since its owner opened the chat's page.")
    created_at: datetime
    last_at: datetime

    model_config = {
        "json_schema_extra": {
            "example": {
                "id": "conv_01jd9zb4kzt4w6y8a0c2e4g6j8",
                "title": "run: echo hello && id",
                "agent": {"id": "agent_01jd9z6w3v8f4k2m7q5t0x1y9c", "name": "atlas"},
                "owner": "alice",
                "origin": "api",
                "is_busy": False,
                "is_unread": False,
                "created_at": "2026-11-20T09:15:02.410Z",
                "last_at": "2026-11-20T09:15:05.251Z",
            }
        }
    }


class ConversationPage(Schema):
    """Conversations, the newest first."""

    items: list[ConversationOut]
    next: str | None = NEXT
