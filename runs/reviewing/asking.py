"""Ask the reviewer on the engine's loop: through the router, at the run's expense, until an answer or the deadline.

Nobody waits for it: the request is the person's from the first moment. What is under way when an engine dies is closed
by the next one, and then the request is the person's alone.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from decimal import Decimal
from typing import Any

from django.utils import timezone

from agents.errors import Code
from runs.budgets.purse import RunPurse
from runs.recorder import Recorder
from runs.reviewing import answers, closing
from runs.reviewing.closing import Said
from runs.reviewing.opening import Brief
from runs.shared import Tools
from runs.sink import RunSink, call_data
from runs.work import Work
from sandboxes.inference.calls import CallRecord
from sandboxes.inference.lanes import Lease
from sandboxes.inference.router import Told
from sandboxes.inference.tap import RunTap

logger = logging.getLogger(__name__)

# What the row of a request that is over may take to be closed before the run's end is written.
CLOSE_S = 5.0
# Of an answer: the model was told to be short.
MOST_BYTES = 256 * 1024
WHY_OF = {Code.BUDGET_EXCEEDED: "budget", Code.HALTED: "halted", Code.PROVIDER_TIMEOUT: "timeout"}


class _Sink:
    """Counts the reviewer's calls to the run, and nothing else: a reviewer that fails does not fail the run."""

    def __init__(self, recorder: Recorder, sink: RunSink) -> None:
        self._recorder, self._sink = recorder, sink
        self.records: list[CallRecord] = []

    def call_finished(self, record: CallRecord) -> None:
        self.records.append(record)
        self._sink.figures.add(record)
        self._recorder.emit("model.call", {**call_data(record), "by": "reviewer"})

    def reasoning(self, text: str, *, conversation: str) -> None: ...
    def tool_proposed(self, call_id: str, name: str, *, conversation: str) -> None: ...
    def tool_requested(self, call_id: str, name: str, args: dict[str, Any], *, conversation: str) -> None: ...
    def tool_result(self, call_id: str, name: str, result: str, *, conversation: str) -> None: ...


class RunReviewer:
    """The reviewer of one run's requests. Used on the engine's event loop."""

    def __init__(self, tools: Tools, job: Work, purse: RunPurse, recorder: Recorder, sink: RunSink) -> None:
        self._tools, self._job, self._purse, self._recorder, self._sink = tools, job, purse, recorder, sink
        self.sandbox_id = ""
        self._reviews: dict[str, tuple[asyncio.Task[None], asyncio.Event]] = {}

    @property
    def owner(self) -> str:
        return self._tools.owner

    def start(self, brief: Brief) -> None:
        """Ask about a request that was written down; returns at once."""
        over = asyncio.Event()
        task = asyncio.create_task(self._review(brief, over), name=f"review {brief.approval_id}")
        self._reviews[brief.approval_id] = task, over
        task.add_done_callback(lambda done: self._ended(brief.approval_id, done))

    def drop(self, approval_id: str) -> None:
        """Somebody decided it: what the reviewer would still say is not waited for."""
        if approval_id in self._reviews:
            self._reviews[approval_id][1].set()

    def abandon(self) -> None:
        """This engine stops, the run goes on: the next one finds what was asked and closes it."""
        for task, _ in self._reviews.values():
            task.cancel()

    async def close(self) -> None:
        """The run is over. Returns when what was asked is closed and counted; what takes too long is left to the beat."""
        for _, over in self._reviews.values():
            over.set()
        if tasks := [task for task, _ in self._reviews.values()]:
            _, late = await asyncio.wait(tasks, timeout=CLOSE_S)
            for task in late:
                task.cancel()

    def _ended(self, approval_id: str, task: asyncio.Task[None]) -> None:
        self._reviews.pop(approval_id, None)
        if not task.cancelled() and (error := task.exception()):
            logger.error("The review of %s was left unfinished", approval_id, exc_info=error)

    async def _review(self, brief: Brief, over: asyncio.Event) -> None:
        sink = _Sink(self._recorder, self._sink)
        said = await self._said(brief, over, sink)
        records = sink.records
        costs = [record.cost for record in records]
        said = replace(
            said,
            call_id=records[-1].id if records else "",
            cost=None if None in costs or not costs else sum((cost for cost in costs if cost), Decimal(0)),
            latency_ms=records[-1].duration_ms if records else None,
        )
        closed = await self._tools.db(closing.close, brief.approval_id, said)
        if closed.is_left:
            self._recorder.emit("approval.reviewed", closed.data)

    async def _said(self, brief: Brief, over: asyncio.Event, sink: _Sink) -> Said:
        """An answer or why there is none, by the deadline at the latest. Never raises but when cancelled."""
        left_s = (brief.until - timezone.now()).total_seconds()
        begun = asyncio.Event()
        asking = asyncio.create_task(self._ask(brief, sink, begun))
        waiting = asyncio.create_task(over.wait())
        try:
            await asyncio.wait({asking, waiting}, timeout=max(0.0, left_s), return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                return _read(asking.result(), sink.records)
            if over.is_set():
                return Said(why="ended")
            return Said(why="timeout" if begun.is_set() else "busy")
        except Exception:
            logger.exception("The reviewer could not be asked about %s", brief.approval_id)
            return Said(why="error")
        finally:
            waiting.cancel()
            asking.cancel()  # hangs up; the call is recorded and paid for as far as it went
            await asyncio.wait({asking, waiting})
            if not asking.cancelled():
                asking.exception()

    async def _ask(self, brief: Brief, sink: _Sink, begun: asyncio.Event) -> Told:
        async with self._tools.reviews:
            begun.set()
            tap = RunTap(sink)
            tap.silent = True
            lease = Lease(
                self.sandbox_id, 0, self._job.run_id, brief.target, sink, tap,
                agent_id=self._job.agent_id, person_id=self._job.actor_id,
            )  # fmt: skip
            lease.purse = self._purse
            return await self._tools.router.ask(lease, brief.body)


def _read(told: Told, records: list[CallRecord]) -> Said:
    """What an answer of the router comes to."""
    if told.status != 200:
        code, message = _refusal(told)
        if records and records[-1].error_code:
            code, message = records[-1].error_code, records[-1].error_message
        return Said(why=WHY_OF.get(Code(code) if code in set(Code) else Code.UNKNOWN, "error"), detail=message)
    try:
        if len(told.body) > MOST_BYTES:
            raise answers.Malformed("longer than an answer may be")
        return Said(answers.read(answers.said_in(json.loads(told.body))))
    except (ValueError, RecursionError):
        return Said(why="malformed")


def _refusal(told: Told) -> tuple[str, str]:
    """Code and sentence of what the router itself refused, in either wire."""
    try:
        document = json.loads(told.body)
        error = document["error"]
        code = (document.get("logos") or error).get("code", "")
        return str(code), str(error.get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", ""
