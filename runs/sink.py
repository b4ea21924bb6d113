"""What the inference router tells about one run, turned into its events and figures."""

from __future__ import annotations

import time
from typing import Any

from runs.merge import Merger, Step
from runs.recorder import Recorder
from runs.settling import Figures
from sandboxes.inference.calls import CallRecord

MOST_STEPS = 6_000  # of tools, per run: three for each call


class RunSink:
    """Receives one run's model traffic; see ``sandboxes.inference.calls.CallSink``. Never blocks, never raises."""

    def __init__(self, recorder: Recorder, merger: Merger, figures: Figures) -> None:
        self.recorder, self.merger, self.figures = recorder, merger, figures
        self.last_error: CallRecord | None = None
        self.heard_at = time.monotonic()
        self.steps = 0
        self.is_full = False

    def reasoning(self, text: str, *, conversation: str) -> None:
        self.heard_at = time.monotonic()
        if not conversation:
            self.recorder.grow("reasoning.delta", text)

    def tool_proposed(self, call_id: str, name: str, *, conversation: str) -> None:
        self.heard_at = time.monotonic()

    def tool_requested(self, call_id: str, name: str, args: dict[str, Any], *, conversation: str) -> None:
        if self._has_room():
            self.record(self.merger.requested(call_id, name, args, conversation))

    def tool_result(self, call_id: str, name: str, result: str, *, conversation: str) -> None:
        if self._has_room():
            self.record(self.merger.result(call_id, name, result, conversation))

    def call_finished(self, record: CallRecord) -> None:
        self.heard_at = time.monotonic()
        self.figures.add(record)
        # An error followed by a call that went well was a retry that helped.
        self.last_error = record if record.error_code else None
        self.recorder.emit("model.call", call_data(record))

    def _has_room(self) -> bool:
        """Model requests come from the agent's own machine: one of them may tell of as many tools as it likes."""
        if self.steps < MOST_STEPS:
            return True
        if not self.is_full:
            self.is_full = True
            self.recorder.emit("note", {"text": "The agent told of more tools than a run may record."})
        return False

    def record(self, steps: list[Step]) -> None:
        """Record what the merger made of something."""
        self.heard_at = time.monotonic()
        self.steps += len(steps)
        for kind, data in steps:
            self.recorder.emit(kind, data)


def call_data(record: CallRecord) -> dict[str, Any]:
    """The data of a ``model.call`` event."""
    return {
        "call_id": record.id,
        "route": record.route_id,
        "model": record.model,
        "status": record.status,
        "error_code": record.error_code,
        "error_message": record.error_message,
        "ttft_ms": round(record.ttft_ms, 1) if record.ttft_ms is not None else None,
        "duration_ms": round(record.duration_ms, 1),
        "input_tokens": record.input_tokens,
        "output_tokens": record.output_tokens,
        "cost": None if record.cost is None else str(record.cost),
        **({"is_estimate": True} if record.is_estimate else {}),
    }
