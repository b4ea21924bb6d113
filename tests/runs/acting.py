"""Play runs for page tests: write the events an engine would, and end them."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

from agents.models import Agent, User
from runs import dispatch, events
from runs.models import ACTIVE, Conversation, Message, Run, Speaker, Status

Step = tuple[str, dict[str, Any]]

ONE_COMMAND: list[Step] = [
    ("run.started", {}),
    ("reasoning.delta", {"text": "Let me see."}),
    ("text.delta", {"text": "I will **look**."}),
    ("tool.started", {"call_id": "c1", "tool": "terminal", "args": {"command": "id -u"}}),
    ("tool.completed", {"call_id": "c1", "ok": True, "duration_ms": 1200}),
    ("tool.result", {"call_id": "c1", "result": json.dumps({"output": "1000", "exit_code": 0})}),
    ("model.call", {"model": "rehearsal-1", "ttft_ms": 3, "input_tokens": 10, "output_tokens": 5, "cost": "0"}),
]


def ask(person: User, agent: Agent, text: str = "Hello", conversation: Conversation | None = None) -> Run:
    """A queued run."""
    return dispatch.start(person, text, agent=agent, conversation=conversation).run


def play(run: Run, steps: list[Step], status: str = Status.RUNNING, **fields: Any) -> Run:
    """Write ``steps`` a tenth of a second apart, and put the row into ``status``."""
    seq = events.last_seq(run.pk)
    for number, (kind, data) in enumerate(steps, start=1):
        at = run.created_at + timedelta(milliseconds=100 * number)
        events.store([events.Event(run.pk, seq + number, kind, data, at)], {})
    reply = fields.pop("reply", "")
    if reply:
        run.reply = Message.objects.create(conversation=run.conversation, speaker=Speaker.AGENT, text=reply)
    if status not in ACTIVE:
        run.finished_at = run.created_at + timedelta(seconds=41)
    for name, value in fields.items():
        setattr(run, name, value)
    run.status = status
    run.save()
    return run


def finished(person: User, agent: Agent, text: str = "Hello", conversation: Conversation | None = None) -> Run:
    """A run that went well, with one command in it."""
    end: Step = ("run.completed", {"text": "It is 1000."})
    steps = [*ONE_COMMAND, ("text.delta", {"text": "It is 1000."}), end]
    figures = {"model_calls": 1, "tool_calls": 1, "input_tokens": 17_000, "output_tokens": 1_212}
    run = ask(person, agent, text, conversation)
    return play(run, steps, Status.COMPLETED, reply="It is 1000.", cost=Decimal("0.0061"), **figures)
