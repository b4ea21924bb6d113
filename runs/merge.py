"""Merge what the runtime tells (H) with what the router sees (R) into one order of tool steps (pure).

The runtime drives state, duration and error but knows no ids, arguments or results; the router knows those
and nothing about when a tool really ran. The k-th start of a tool's name in H is the k-th request of that
name in R; a completion in H closes the oldest running call of its name; R's result fills in by call id.
Sub-agents are seen by R alone. After a restart H is gone, and R drives everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from runs.events import Event
from runs.results import failed

Step = tuple[str, dict[str, Any]]


@dataclass(slots=True)
class _Call:
    call_id: str
    tool: str
    args: dict[str, Any]
    parent: str = ""
    started_at: float | None = None  # None: before this process lived
    state: str = "requested"  # requested, running, done
    has_result: bool = False


class Merger:
    """One run's tool calls. Every method returns the steps (kind, data) to record."""

    def __init__(self, now: Callable[[], float], *, router_drives: bool = False, known: Iterable[Event] = ()) -> None:
        self._now = now
        self._router_drives = router_drives
        self._calls: dict[str, _Call] = {}
        self._unnamed = 1
        self.started = 0
        for event in known:
            self._remember(event)

    # what the router says -----------------------------------------------------------------------

    def requested(self, call_id: str, tool: str, args: dict[str, Any], conversation: str) -> list[Step]:
        """The model asked for a tool."""
        if call_id in self._calls:
            return []
        call = self._calls[call_id] = _Call(call_id, tool, args)
        if conversation:
            call.parent = self._open_delegation()
        return self._start(call) if conversation or self._router_drives else []

    def result(self, call_id: str, tool: str, result: str, conversation: str) -> list[Step]:
        """The model was shown a tool's result."""
        call = self._calls.get(call_id)
        if call is None:
            parent = self._open_delegation() if conversation else ""
            call = self._calls[call_id] = _Call(call_id, tool or "tool", {}, parent)
        if call.has_result:
            return []
        call.has_result = True
        steps: list[Step] = []
        if call.state == "requested":
            steps += self._start(call)  # the runtime refused it without running it: it has no event of its own
        if call.state == "running" and (call.parent or self._router_drives or not conversation):
            steps += self._complete(call, ok=not failed(result))
        return [*steps, ("tool.result", {"call_id": call_id, "result": result})]

    def stream_lost(self) -> list[Step]:
        """The runtime will tell no more: from now on the router drives."""
        self._router_drives = True
        waiting = [call for call in self._calls.values() if call.state == "requested"]
        return [step for call in waiting for step in self._start(call)]

    # what the runtime says ----------------------------------------------------------------------

    def started_in_runtime(self, tool: str, preview: str) -> list[Step]:
        """The runtime began to run a tool."""
        call = next(
            (c for c in self._calls.values() if c.tool == tool and c.state == "requested" and not c.parent), None
        )
        if call is None:
            while f"h{self._unnamed}" in self._calls:
                self._unnamed += 1
            call = _Call(f"h{self._unnamed}", tool, {"preview": preview} if preview else {})
            self._calls[call.call_id] = call
        return self._start(call)

    def completed_in_runtime(self, tool: str, duration_s: float, error: bool) -> list[Step]:
        """The runtime finished a tool."""
        call = next((c for c in self._calls.values() if c.tool == tool and c.state == "running" and not c.parent), None)
        return self._complete(call, ok=not error, duration_ms=duration_s * 1000) if call else []

    # -------------------------------------------------------------------------------------------

    def _start(self, call: _Call) -> list[Step]:
        call.state, call.started_at = "running", self._now()
        self.started += 1
        data = {"call_id": call.call_id, "tool": call.tool, "args": call.args}
        return [("tool.started", {**data, "parent": call.parent} if call.parent else data)]

    def _complete(self, call: _Call, *, ok: bool, duration_ms: float | None = None) -> list[Step]:
        call.state = "done"
        if duration_ms is None and call.started_at is not None:
            duration_ms = (self._now() - call.started_at) * 1000
        rounded = None if duration_ms is None else round(duration_ms, 1)
        return [("tool.completed", {"call_id": call.call_id, "ok": ok, "duration_ms": rounded})]

    def _open_delegation(self) -> str:
        running = [c for c in self._calls.values() if c.tool == "delegate_task" and c.state != "done"]
        return running[-1].call_id if running else "delegate"

    def _remember(self, event: Event) -> None:
        data = event.data
        if event.kind == "tool.started":
            self.started += 1
            self._calls[data["call_id"]] = _Call(
                data["call_id"], data["tool"], data.get("args") or {}, data.get("parent", ""), None, "running"
            )
        elif event.kind == "tool.completed" and data["call_id"] in self._calls:
            self._calls[data["call_id"]].state = "done"
        elif event.kind == "tool.result" and data["call_id"] in self._calls:
            self._calls[data["call_id"]].has_result = True
