"""The engine: claims runs, carries them out side by side, serves the inference router, takes over after a crash.

One per process that runs ``serve``; several may work on one database. Everything here lives on one event
loop; rows are read and written on threads of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import Coroutine
from typing import Any

from django.conf import settings

from agents import learning
from agents.errors import LogosError
from runs import applications, approvals, dispatch, events, settling, tool_words, work
from runs.budgets import ledger
from runs.budgets.purser import Purser
from runs.execution import Execution
from runs.halt_keeper import HaltKeeper
from runs.hub import Hub, hub
from runs.lending import Lender
from runs.recorder import Writer
from runs.recovery import Resumed, execution_for
from runs.reviewing import closing
from runs.reviewing.limits import AT_ONCE
from runs.shared import Tools
from runs.threads import DatabaseThreads
from sandboxes import lifecycle, reconciling, records, tasks
from sandboxes.claimants import process_name
from sandboxes.driver import LimitNotice
from sandboxes.egress.proxy import Decision
from sandboxes.egress.rows import SWEPT, sweep
from sandboxes.egress.serving import Egress
from sandboxes.halts import HaltWatch
from sandboxes.inference import rows
from sandboxes.inference.calls import CallRecord
from sandboxes.inference.lanes import Lanes
from sandboxes.inference.meter import Meter
from sandboxes.inference.router import Router
from sandboxes.inference.serve import PassedListeners
from sandboxes.residents import Residents
from sandboxes.tool_server import telling as tool_telling

logger = logging.getLogger(__name__)

# Runs of one engine at the same time; the rest stay queued. A run is mostly waiting for a model.
MAX_RUNS = 64

# A database that does not answer is asked again at this pace.
UNREAD_PAUSE_S = 1.0

# Files of a deleted agent that are still there after this long are asked to be removed once more.
REMOVAL_PAUSE_S = 600

# Old decisions are looked for this often.
SWEEP_PAUSE_S = 600


class Engine:
    """Start it on a running event loop; stop it before the loop ends. Runs in progress survive a stop."""

    def __init__(self, shared_hub: Hub = hub) -> None:
        self.owner = process_name()
        self._threads = DatabaseThreads(4, "engine-db")
        self._pen = DatabaseThreads(1, "engine-writer")
        self.lanes = Lanes()
        self.meter = Meter(self._meter)
        self.halts = HaltWatch(self._threads.run)
        self.router = Router(self.lanes, self.meter, halts=self.halts)
        self.writer = Writer(self._store, shared_hub)
        self.egress = Egress(self._threads.run, self._pen.run, self.lanes, self._reached, self.halts)
        self.residents = Residents(
            PassedListeners(drain_s=1),
            self.lanes,
            self.router.for_sandbox,
            self._threads.run,
            self.egress,
            self._limit_noticed,
        )
        self.purser = Purser(self._pen.run, self.owner)
        self.tools = Tools(
            self.residents, self.lanes, self.writer, shared_hub, self._threads.run, self.purser, self.router, self.owner,
            asyncio.Semaphore(AT_ONCE),
        )  # fmt: skip
        self.lender = Lender(self.tools, lambda run_id: self._runs.get(run_id))
        self.keeper = HaltKeeper(self.owner, self.halts, self.lanes, self.residents, self._threads.run, self._heard)
        self._runs: dict[str, Execution] = {}
        self._sweep_at = 0.0
        self._asked_again: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._bell = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_running(self) -> bool:
        return bool(self._loops)

    async def start(self) -> None:
        """Take over what a dead engine left, then look for work until stopped."""
        self._loop = asyncio.get_running_loop()
        await self._threads.run(work.beat, self.owner)
        dispatch.wake.append(self._ring)
        tool_telling.LISTENERS.append(self._tool_called)
        await self._threads.run(self._tend_sandboxes)
        await self._take_over()
        loops = (self._dispatch(), self._beat(), self.keeper.keep())
        self._loops = [asyncio.create_task(each) for each in loops]
        logger.info("The engine is running")

    async def stop(self) -> None:
        """Give everything back. Runs go on inside their sandboxes and are taken over by the next engine."""
        with contextlib.suppress(ValueError):
            dispatch.wake.remove(self._ring)
            tool_telling.LISTENERS.remove(self._tool_called)
        for task in [*self._loops, *self._tasks]:
            task.cancel()
        await asyncio.gather(*self._loops, *self._tasks, return_exceptions=True)
        self._loops = []
        for run in self._runs.values():
            run.recorder.flush_text()
        await self.residents.close()
        await self.writer.close()
        await self.meter.close(timeout_s=2)
        await self.purser.close(timeout_s=2)
        await self.egress.close()
        await self.router.close()
        await self._threads.run(work.rest, self.owner)
        await asyncio.to_thread(self._threads.close)
        await asyncio.to_thread(self._pen.close)
        logger.info("The engine has stopped")

    def _limit_noticed(self, agent_id: str, notice: LimitNotice) -> None:
        """The runs that go on in a sandbox record what was done about its limits."""
        for run in self._runs.values():
            if run.job.agent_id == agent_id:
                run.recorder.emit("note", {"text": f"The sandbox: {notice.sentence}"})

    def _ring(self, run_id: str) -> None:
        """Something happened to this run. May be called from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._heard, run_id)

    def _heard(self, run_id: str) -> None:
        if run_id in self._runs:
            self._runs[run_id].wake()
        else:
            self._bell.set()

    async def _store(self, batch: list[events.Event], heads: dict[str, str]) -> dict[str, str]:
        return await self._pen.run(events.store, batch, heads)

    async def _meter(self, records: list[CallRecord]) -> None:
        await self._pen.run(rows.store, records)

    def _reached(self, run_id: str, decision: Decision) -> None:
        if run_id in self._runs:
            self._runs[run_id].reached.add(decision)

    def _tool_called(self, run_id: str, data: dict[str, Any]) -> None:
        """From any thread."""
        if self._loop is not None and run_id in self._runs:
            self._loop.call_soon_threadsafe(self._runs[run_id].recorder.emit, tool_words.EVENT, data)

    def tell(self, run_id: str, kind: str, data: dict[str, Any]) -> None:
        """What rooms above have seen of a run that goes on here becomes one of its events."""
        if run_id in self._runs:
            self._runs[run_id].recorder.emit(kind, data)

    async def _dispatch(self) -> None:
        """Claim what is queued, look after what runs; woken at once by this process, by polling for others."""
        while True:
            try:
                await self._claim()
                await self._spread_news()
            except Exception:
                logger.exception("The engine could not look for work; trying again")
                await asyncio.sleep(1.0)
            try:
                async with asyncio.timeout(settings.LOGOS_ENGINE_POLL_MS / 1000):
                    await self._bell.wait()
            except TimeoutError:
                pass
            self._bell.clear()

    async def _claim(self) -> None:
        room = MAX_RUNS - len(self._runs)
        if room > 0:
            for run_id in await self._threads.run(work.claim_queued, self.owner, room):
                await self._begin(run_id)

    async def _spread_news(self) -> None:
        if self._runs:
            for run_id in await self._threads.run(work.with_news, list(self._runs)):
                if run_id in self._runs:
                    self._runs[run_id].wake()

    async def _take_over(self) -> None:
        await self._pen.run(ledger.settle_left_by_others, self.owner)
        await self._pen.run(closing.settle, self.owner)
        taken = await self._threads.run(work.claim_abandoned, self.owner)
        executions = [execution for run_id in taken if (execution := await self._loaded(run_id))]
        # Every lane first, then the listeners: a call that waits must find its run.
        for execution in executions:
            if isinstance(execution, Resumed):
                wanted: records.Wanted | None = await self._wanted(execution.job.agent_id)
                if wanted:
                    execution.bind_lane(wanted.sandbox_id)
        for execution in executions:
            logger.info("Taking over run %s", execution.job.run_id)
            self._carry(execution)

    async def _wanted(self, agent_id: str) -> records.Wanted | None:
        try:
            return await self._threads.run(records.wanted, agent_id)
        except Exception:
            logger.exception("The sandbox of a run to take over could not be read")
            return None

    async def _begin(self, run_id: str) -> None:
        if execution := await self._loaded(run_id):
            self._carry(execution)

    async def _loaded(self, run_id: str) -> Execution | None:
        """The claimed run, ready to carry out; None for one that cannot be read, which has ended or waits."""
        try:
            return await self._load(run_id)
        except LogosError as error:
            logger.warning("Run %s cannot be carried out: %s %s", run_id, error.message, error.detail)
            await self._threads.run(settling.fail_unread, run_id, error)
        except Exception:
            logger.exception("Run %s could not be read; trying again", run_id)
            await self._threads.run(work.give_back, self.owner, run_id)
            await asyncio.sleep(UNREAD_PAUSE_S)
        return None

    async def _load(self, run_id: str) -> Execution:
        job = await self._threads.run(work.load, run_id)
        known = await self._threads.run(events.replay, run_id)
        return execution_for(job, self.tools, known)

    def _carry(self, execution: Execution) -> None:
        run_id = execution.job.run_id
        self._runs[run_id] = execution
        self.tools.hub.carried.add(run_id)
        task = asyncio.create_task(execution.carry_out(), name=run_id, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(execution, done))

    def _ended(self, execution: Execution, task: asyncio.Task[None]) -> None:
        run_id = execution.job.run_id
        self._runs.pop(run_id, None)
        self.tools.hub.carried.discard(run_id)
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("Run %s was left unfinished", run_id, exc_info=error)
        if execution.may_still_run and not any(
            other.job.agent_id == execution.job.agent_id for other in self._runs.values()
        ):
            self._in_background(self._end_sandbox(execution.job.agent_id))
        self._bell.set()

    def _in_background(self, story: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(story, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end_sandbox(self, agent_id: str) -> None:
        """A stop must be true. A runtime that does not obey is ended with its sandbox; files stay."""
        logger.warning("The sandbox of %s is stopped, because its runtime did not stop a run", agent_id)
        try:
            await lifecycle.stop(agent_id, self._threads.run, now=True, and_stay=False)
        except LogosError as error:
            logger.error("That sandbox could not be stopped: %s", error.message)

    def _tend_sandboxes(self) -> None:
        """What ended while Logos was away, or with the machine, is known to have ended before runs are taken over."""
        reconciling.note_boot()
        tasks.reconcile_later()

    async def _retire(self) -> None:
        """Deleted and archived agents stop what they do, then their sandboxes end. Their records stay, and the files
        of archived ones; those of deleted ones are removed in the background."""
        for agent_id in await self._threads.run(records.retired):
            await self._threads.run(work.stop_all_of, agent_id)
            if not any(run.job.agent_id == agent_id for run in self._runs.values()):
                logger.info("The sandbox of the agent %s is stopped, which is not in use any more", agent_id)
                await lifecycle.stop(agent_id, self._threads.run, now=True)
                self._asked_again.pop(agent_id, None)  # it may have been asked for while it was being started
        now = asyncio.get_running_loop().time()
        for agent_id in await self._threads.run(records.leftovers):
            if now >= self._asked_again.get(agent_id, 0):
                self._asked_again[agent_id] = now + REMOVAL_PAUSE_S
                await self._threads.run(tasks.remove_files_later, agent_id)

    async def _forget_old(self) -> None:
        """Egress decisions go when they are old; soon again while there are more."""
        now = asyncio.get_running_loop().time()
        if now >= self._sweep_at:
            full = await self._pen.run(sweep) >= SWEPT
            self._sweep_at = now + (0 if full else SWEEP_PAUSE_S)

    async def _beat(self) -> None:
        while True:
            try:
                await self._threads.run(work.beat, self.owner)
                await self._take_over()
                await self.residents.adopt()
                await self._retire()
                await self._forget_old()
                await self._pen.run(learning.settle)
                await self._pen.run(approvals.settle)
                await self._pen.run(closing.settle, self.owner)
                await self._pen.run(applications.settle)
            except Exception:
                logger.exception("The engine's leases could not be renewed")
            await asyncio.sleep(work.BEAT_S)
