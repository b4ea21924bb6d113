"""Random runs for tests that must hold for every run: plausible stories, and mere noise."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from runs.events import ENDS, Event

AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
KINDS = (
    "run.queued", "run.started", "sandbox.progress", "text.delta", "text.delta", "text.delta", "reasoning.delta",
    "reasoning.delta", "model.call", "tool.started", "tool.completed", "tool.result", "approval.requested",
    "approval.decided", "note", "egress", "budget.warning", "some.future.kind", "finish", "end",
)  # fmt: skip
TEXTS = ("", "\n", "\n\n", "a", "Hello ", "two\nlines", "<b>&amp;", "é🔑", " ")
RESULTS = ('{"output": "hi", "exit_code": 0}', '{"output": "", "exit_code": 2}', "plain", "")


def random_events(chance: random.Random, length: int, *, run_id: str = "run_1", ends: bool = True) -> list[Event]:
    """Events in order, of any kind, about a few calls and questions; some numbers are skipped."""
    seq, at, story = 0, AT, []
    for _ in range(length):
        seq += 1 if chance.random() < 0.95 else 10_000
        at += timedelta(milliseconds=chance.randrange(400))
        kind = chance.choice(KINDS)
        story.append(Event(run_id, seq, kind, random_data(chance, kind), at))
    if ends:
        kind = chance.choice(list(ENDS))
        story.append(Event(run_id, seq + 1, kind, random_data(chance, kind), at))
    return story


def random_data(chance: random.Random, kind: str) -> dict[str, Any]:
    call_id, question = f"c{chance.randrange(4)}", f"q{chance.randrange(3)}"
    return {
        "sandbox.progress": {"sentence": chance.choice(("Preparing", "Starting the runtime"))},
        "text.delta": {"text": chance.choice(TEXTS)},
        "reasoning.delta": {"text": chance.choice(TEXTS)},
        "model.call": {"model": "m", "duration_ms": chance.choice((None, 12.5)), "cost": chance.choice((None, "0.1"))},
        "tool.started": {
            "call_id": call_id,
            "tool": chance.choice(("terminal", "read_file", "delegate_task")),
            "args": chance.choice(({"command": "ls"}, {}, None, [1, 2], "… cut")),
            **chance.choice(({}, {"parent": "c0"})),
        },
        "tool.completed": {"call_id": call_id, "ok": chance.random() < 0.7, "duration_ms": chance.choice((None, 3.0))},
        "tool.result": {"call_id": call_id, "result": chance.choice(RESULTS)},
        "approval.requested": {"id": question, "command": "rm -rf /", "description": "deletes"},
        "approval.decided": {"id": question, "choice": chance.choice(("once", "deny", "expired")), "by": "alice"},
        "note": {"text": "Logos was restarted."},
        "egress": {
            "host": chance.choice(("a.example", "b.example")),
            "port": 443,
            "binary": chance.choice(("/usr/bin/curl", "")),
            "decision": chance.choice(("allowed", "denied")),
            "reason": "a rule allows it",
            **chance.choice(({}, {"count": 7})),
        },
        "run.completed": {"text": "Done", "usage": {}},
        "run.failed": {"code": "unknown", "message": "It broke.", "action": "Try again."},
        "run.cancelled": {"by": "alice"},
        "run.interrupted": {"reason": "The sandbox ended.", "action": ""},
    }.get(kind, {})
