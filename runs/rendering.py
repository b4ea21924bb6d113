"""Draw runs: items and turns as HTML, and the frames by which a live page follows them.

These functions are called inside the event loop that serves streams, so neither they nor the templates
of items may touch the database: they get plain values only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.template.loader import render_to_string

from runs import words
from runs.events import Event
from runs.items import Call, Egress, Item, Text, Thinking
from runs.models import ACTIVE, Run, Status
from runs.timeline import Timeline

VIEWS = ("chat", "run")

# What a page shows of a tool's output; the rest is one click away.
SHOWN_OUTPUT_CHARS = {"chat": 2_000, "run": 4_000}


# The state a run is in after an event, for the line under a live turn.
STATES_BEGUN: dict[str, str] = {
    "sandbox.progress": Status.PROVISIONING,
    "run.started": Status.RUNNING,
    "approval.requested": Status.WAITING,
    "approval.decided": Status.RUNNING,
}


@dataclass(frozen=True, slots=True)
class RunRef:
    """What items need to know of their run."""

    id: str
    conversation_id: str
    agent_name: str
    started_at: datetime | None = None
    is_scripted: bool = False

    @classmethod
    def of(cls, run: Run) -> RunRef:
        is_scripted = (run.stamp.get("model") or {}).get("kind") == "rehearsal"
        return cls(run.pk, run.conversation_id, run.agent.name, run.created_at, is_scripted)


@dataclass(frozen=True, slots=True)
class RunFigures:
    """How a run stands and what it used. ``cost`` None is unknown, which is not free."""

    status: str
    model_calls: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = None
    cost_is_partial: bool = False
    duration_ms: float | None = None

    @classmethod
    def of(cls, run: Run) -> RunFigures:
        return cls(
            status=run.status,
            model_calls=run.model_calls,
            tool_calls=run.tool_calls,
            input_tokens=run.input_tokens,
            output_tokens=run.output_tokens,
            cost=run.cost,
            cost_is_partial=run.cost_is_partial,
            duration_ms=run.duration_ms,
        )

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def is_live(self) -> bool:
        return self.status in ACTIVE


def item_html(run: RunRef, item: Item, view: str, csrf_token: str = "") -> str:
    """One item of a timeline; "" for what this view does not show.

    ``csrf_token`` is given by pages, so that the forms inside work without scripts too.
    """
    # A chat shows what was refused, because somebody can do something about it.
    if view == "chat" and (isinstance(item, Call) or (isinstance(item, Egress) and item.allowed)):
        return ""
    context: dict[str, Any] = {"run": run, "item": item, "view": view, "csrf_token": csrf_token}
    context["shown_chars"] = SHOWN_OUTPUT_CHARS[view]
    if view == "run" and run.started_at:
        context["offset_ms"] = (item.at - run.started_at).total_seconds() * 1000
    if item.kind == "end":
        context["sentence"], context["action"] = _ending(item)
    return render_to_string(item.template, context).strip()


def turn_html(run: RunRef, figures: RunFigures, timeline: Timeline, view: str, csrf_token: str = "") -> str:
    """The agent's whole turn (view "chat") or the run's whole timeline (view "run"), live or finished."""
    drawn = (item_html(run, item, view, csrf_token) for item in timeline.items)
    context = {
        "run": run,
        "figures": figures,
        "items": [html for html in drawn if html],
        "seq": timeline.seq,
        "has_text": any(isinstance(item, Text) for item in timeline.items),
        "end": timeline.end,
        "view": view,
    }
    return render_to_string(f"runs/_turn_{view}.html", context).strip()


def frames(
    run: RunRef,
    timeline: Timeline,
    event: Event,
    changed: Iterable[Item],
    view: str,
    figures: RunFigures | None = None,
) -> bytes:
    """What one event changes, as server-sent events; b"" when this view shows nothing of it.

    ``timeline`` has the event applied and ``changed`` is what that returned. ``figures`` is needed with the
    event that ends the run. The last frame carries the event's number, so a reader that lost the line in
    between gets the whole event again: every frame but ``append`` may be repeated, and an event never makes
    an ``append`` and something else.
    """
    if timeline.end is not None and timeline.end.seq == event.seq:
        figures = figures or RunFigures(status=timeline.end.outcome)
        body = {"html": turn_html(run, figures, timeline, view), "status": figures.status}
        return _frame("end", body, event.seq)
    parts = [part for item in changed if (part := _part(run, timeline, item, event, view))]
    if event.kind in STATES_BEGUN:
        figures = RunFigures(status=STATES_BEGUN[event.kind])
        parts.append(("item", {"id": f"foot-{run.id}", "html": _foot(run, figures)}))
    last = len(parts) - 1
    return b"".join(_frame(name, body, event.seq if n == last else None) for n, (name, body) in enumerate(parts))


def _part(run: RunRef, timeline: Timeline, item: Item, event: Event, view: str) -> tuple[str, dict[str, str]] | None:
    element = f"{run.id}-{item.id}"
    if isinstance(item, Text | Thinking) and item.live and item.seq < event.seq:
        return "append", {"id": element, "text": event.data["text"]}
    html = item_html(run, item, view)
    if not html:
        return None
    body = {"id": element, "html": html}
    if item.seq == event.seq and item is not timeline.items[-1]:
        # A model call is drawn before the text that is still growing.
        body["before"] = f"{run.id}-{timeline.items[timeline.items.index(item) + 1].id}"
    return "item", body


def _foot(run: RunRef, figures: RunFigures) -> str:
    return render_to_string("runs/_foot.html", {"run": run, "figures": figures}).strip()


def _frame(name: str, body: dict[str, str], seq: int | None) -> bytes:
    number = "" if seq is None else f"id: {seq}\n"
    # JSON never holds a raw line end, so one data line is enough.
    return f"{number}event: {name}\ndata: {json.dumps(body, ensure_ascii=False)}\n\n".encode()


def _ending(item: Any) -> tuple[str, str]:
    """The sentence and the way forward under a run that did not simply complete."""
    if item.outcome == "cancelled":
        return f"Stopped by {item.by}." if item.by else "Stopped.", ""
    if item.outcome == "interrupted":
        sentence = item.message or "Logos stopped while this run was going on; what it had said is kept."
        return sentence, item.action or "Send the message again to start over."
    if item.outcome == "failed":
        return words.describe(item.code, item.message, item.action)
    return "", ""
