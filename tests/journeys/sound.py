"""What must be true of every run, however it ended and whatever happened to Logos meanwhile."""

from __future__ import annotations

from typing import Any

from runs import events
from runs.events import ENDS
from runs.models import ApprovalState, Message, Speaker


def assert_sound(run: Any) -> list[events.Event]:
    """Chain whole, numbers rising, one end and it is the last, at most one reply, nothing left open. Its events."""
    assert run.has_finished, f"{run.pk} is {run.status}"
    assert events.verify(run) == ""
    story = events.replay(run.pk)
    assert [event.seq for event in story] == sorted({event.seq for event in story})
    ends = [event.kind for event in story if event.kind in ENDS]
    assert ends == [f"run.{run.status}"]
    assert story[-1].kind == ends[0]
    _no_tool_twice(story)
    said = Message.objects.filter(conversation_id=run.conversation_id, pk__gt=run.message_id)
    replies = said.filter(speaker=Speaker.AGENT, answered_run=run).count()
    assert replies == (1 if run.reply_id else 0)
    assert not run.lease_owner
    assert not run.approvals.filter(state=ApprovalState.PENDING).exists()
    _figures_match(run, story)
    return story


def text_of(story: list[events.Event]) -> str:
    """All the text that was streamed."""
    return "".join(event.data["text"] for event in story if event.kind == "text.delta")


def kinds_of(story: list[events.Event]) -> list[str]:
    return [event.kind for event in story]


def _no_tool_twice(story: list[events.Event]) -> None:
    for kind in ("tool.started", "tool.completed"):
        ids = [event.data["call_id"] for event in story if event.kind == kind]
        assert len(ids) == len(set(ids)), f"{kind} twice: {ids}"


def _figures_match(run: Any, story: list[events.Event]) -> None:
    """What the run says it used is what its model calls used: nothing is counted twice or lost."""
    calls = [event.data for event in story if event.kind == "model.call"]
    assert run.model_calls == len(calls)
    assert run.input_tokens == sum(call["input_tokens"] or 0 for call in calls)
    assert run.output_tokens == sum(call["output_tokens"] or 0 for call in calls)
    assert len({call["call_id"] for call in calls}) == len(calls)
