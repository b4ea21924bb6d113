"""Carry one claimed run from its message to its end, on the engine's event loop.

The order is what makes a crash harmless: lane and session are written before the runtime is asked to
start, the runtime's own id before its stream is read. Whoever takes the run over then knows whether
nothing was sent (start again), something may have been (interrupted), or a run goes on (``recovery``).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import time
from collections.abc import Awaitable
from pathlib import Path

from django.conf import settings

from agents.errors import Code, LogosError, NotFound
from agents.ids import ulid
from agents.logcontext import about
from runs import events, leavings, unheard, work
from runs.asking import Asking
from runs.budgets.purse import RunPurse
from runs.ending import Ending, known_figures
from runs.merge import Merger
from runs.models import Status
from runs.reached import Reached
from runs.recorder import Recorder
from runs.reviewing.asking import RunReviewer
from runs.settling import Outcome
from runs.shared import Tools
from runs.sink import RunSink
from runs.words import describe
from runs.work import Work
from sandboxes.driver import SandboxError
from sandboxes.hermes import events as runtime_events
from sandboxes.hermes.client import RunStatus, Turn
from sandboxes.hermes.events import RuntimeEvent
from sandboxes.inference.lanes import Lease
from sandboxes.inference.wires import of_kind
from sandboxes.lifecycle import root_of
from sandboxes.residents import Resident

logger = logging.getLogger(__name__)

# "Stop" must be true within two seconds: the runtime gets this long to say so itself.
STOP_GRACE_S = 1.5
ROOM_BYTES = 16 << 20

# A runtime that works on as many runs as it may is asked again this often.
BUSY_S = 0.3

# More than this is no answer but a flood: the characters of text, and as many for every other event.
MOST_TOLD_CHARS = 20_000_000
EVENT_CHARS = 4_000
TURN_S = 0.01  # others have theirs at least this often while a runtime talks without a pause

# When the event stream is lost the run's status is asked this often; this many failed looks in a row mean
# that the runtime is gone.
POLL_S = 0.2
FAILED_LOOKS = 10
# What a sandbox said last is read before it is given up.
GONE_S = 2.0


class Stopped(Exception):
    """Somebody asked for the run to stop."""


class Execution:
    """One run in progress."""

    def __init__(self, job: Work, tools: Tools, seq: int, known: list[events.Event]) -> None:
        self.job, self.tools = job, tools
        self.merger = Merger(time.monotonic, router_drives=bool(job.runtime_run_id), known=known)
        self.recorder = Recorder(job.run_id, seq, tools.writer, tools.hub, job.known_values)
        self.sink = RunSink(self.recorder, self.merger, known_figures(known))
        kinds = [event.kind for event in known]
        self.purse = RunPurse(
            tools.purser, job.spender, self.recorder.emit, functools.partial(tools.db, work.stand_in), kinds
        )
        self.reached = Reached(self.recorder)
        self.ending = Ending(job.run_id, self.recorder, self.sink, tools)
        self.review = RunReviewer(tools, job, self.purse, self.recorder, self.sink)
        self.asking = Asking(job.run_id, self.recorder, tools.db, known, self.review)
        self.news = asyncio.Event()
        self.stop = asyncio.Event()
        self.patience: asyncio.Timeout | None = None
        self.has_waited = False  # the person was told that other runs go first
        self.may_still_run = False  # a stop was asked and the runtime did not confirm it
        self.told_chars = 0
        self.resident: Resident | None = None
        self.lease: Lease | None = None
        self.runtime_run_id = job.runtime_run_id
        self.runtime_session_id = job.runtime_session_id

    # the story ------------------------------------------------------------------------------------

    async def carry_out(self) -> None:
        """Run it to its end. Returns when the end is committed and shown; raises only if cancelled."""
        with about(run=self.job.run_id, conversation=self.job.conversation_id, user=self.job.actor):
            watcher = asyncio.create_task(self._watch_wishes())
            try:
                outcome = await self._outcome()
            except asyncio.CancelledError:
                self.review.abandon()
                raise
            finally:
                watcher.cancel()
                if self.lease:
                    self.tools.lanes.release(self.lease)
            await self.review.close()
            self.reached.flush()
            await self.ending.commit(outcome)
            if self.resident is not None:
                leavings.note_later(self.resident.running.sandbox_id, self.job.run_id)

    async def _outcome(self) -> Outcome:
        try:
            async with asyncio.timeout(settings.LOGOS_RUN_TIMEOUT_S):
                return await self.story()
        except Stopped:
            return self.ending.cancelled()
        except TimeoutError:
            await self._stop_runtime()
            return self.ending.failed(Code.DISPATCH_TIMEOUT)
        except NotFound:
            return self.ending.failed(
                Code.SANDBOX_UNAVAILABLE, "The agent was deleted before the run began.", "Use another agent."
            )
        except LogosError as error:
            logger.warning("The run failed: %s %s", error.message, error.detail)
            code = error.reason if error.reason in set(Code) else Code.SANDBOX_UNAVAILABLE
            return self.ending.failed(code, error.message, error.action)
        except Exception:
            logger.exception("The run failed in a way we did not foresee")
            await self._stop_runtime()
            return self.ending.failed(Code.UNKNOWN)

    async def story(self) -> Outcome:
        """Prepare, start, follow. Overridden for a run that is taken over."""
        if self.job.cancel_requested:  # before anything began: nothing has to be prepared
            raise Stopped
        await self.tools.db(work.enter, self.job.run_id, Status.PROVISIONING)
        self.resident = await self._or_stopped(self.tools.residents.get(self.job.agent_id, self._progress))
        self.recorder.keep_out(self.resident.running.known_values)
        self.review.sandbox_id = self.resident.running.sandbox_id
        self.lease = self.tools.lanes.lease(
            self.resident.running.sandbox_id,
            self.job.run_id,
            self.job.target,
            self.sink,
            agent_id=self.job.agent_id,
            person_id=self.job.actor_id,
        )
        self.lease.purse = self.purse
        await self._start_runtime(self.resident, self.lease)
        # Which walls stood around this run: the sandbox may have others by the time somebody asks.
        layers = list(self.resident.running.layers)
        started = {"fingerprint": self.job.fingerprint, "attempt": self.job.attempt, "layers": layers}
        self.recorder.emit("run.started", started)
        return await self._follow(self.resident)

    async def _start_runtime(self, resident: Resident, lease: Lease) -> None:
        while not (runtime_run_id := await self._try_to_start(resident, lease)):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BUSY_S):
                    await self.stop.wait()
        self.runtime_run_id = lease.runtime_run_id = runtime_run_id
        note = {"runtime_run_id": runtime_run_id, "started_at": events.now()}
        await self.tools.db(work.enter, self.job.run_id, Status.RUNNING, **note)
        if self.stop.is_set():  # asked while the runtime was being told to start
            await self._stop_runtime()

    async def _try_to_start(self, resident: Resident, lease: Lease) -> str:
        """The runtime's id of the run; "" when it works on as many runs as it may and took nothing."""
        session = self.runtime_session_id = f"run_{ulid()}"  # fresh, or the runtime goes on with the soul stored there
        note = {"lane": lease.lane, "runtime_session_id": session}
        await self.tools.db(work.enter, self.job.run_id, Status.PROVISIONING, **note)
        if self.stop.is_set():
            raise Stopped
        history = [Turn("user" if turn.from_person else "assistant", turn.text) for turn in self.job.history]
        try:
            wire = of_kind(lease.target.kind).name
            return await resident.client.start_run(
                self.job.text, lane=lease.lane, wire=wire, session_id=session, history=history
            )
        except LogosError as error:
            if error.reason != "runtime_busy":
                raise
        await self.tools.db(work.enter, self.job.run_id, Status.PROVISIONING, runtime_session_id="")
        if not self.has_waited:
            self.has_waited = True
            self._progress("Waiting until one of the agent's other runs has ended")
        return ""

    async def _follow(self, resident: Resident) -> Outcome:
        """Read the one stream there is. After a stop only for as long as the runtime may take to end by itself."""
        watcher = asyncio.create_task(self._end_when_gone(resident))
        try:
            async with asyncio.timeout(STOP_GRACE_S if self.stop.is_set() else None) as self.patience:
                async with contextlib.aclosing(resident.client.events(self.runtime_run_id)) as stream:
                    began = time.monotonic()
                    async for event in stream:
                        if outcome := await self._flooded(event) or await self._on(event):
                            return outcome
                        if time.monotonic() - began > TURN_S:
                            await asyncio.sleep(0)
                            began = time.monotonic()
        except TimeoutError:
            if not self.stop.is_set() and not resident.gone.is_set():
                raise
            if self.stop.is_set():
                self.may_still_run = True
                logger.warning("The runtime did not confirm the stop within %.1f s", STOP_GRACE_S)
        finally:
            watcher.cancel()
        return self.ending.cancelled() if self.stop.is_set() else await self.after_lost_stream(resident)

    async def _end_when_gone(self, resident: Resident) -> None:
        """A sandbox that has ended says no more, and its connection need not tell us so."""
        await resident.gone.wait()
        await asyncio.sleep(GONE_S)
        if self.patience is not None and not self.patience.expired():
            self.patience.reschedule(asyncio.get_running_loop().time())

    # what the runtime says ------------------------------------------------------------------------

    async def _on(self, event: RuntimeEvent) -> Outcome | None:
        match event:
            case runtime_events.TextDelta(text=text):
                self.ending.said.append(text)
                self.recorder.grow("text.delta", text)
            case runtime_events.ToolStarted(tool=tool, preview=preview):
                self.ending.said.clear()
                self.sink.record(self.merger.started_in_runtime(tool, preview))
            case runtime_events.ToolCompleted(tool=tool, duration_s=duration_s, error=error):
                steps = self.merger.completed_in_runtime(tool, duration_s, error)
                # What a person stopped did not fail.
                stopped = {"stopped": True} if error and self.stop.is_set() else {}
                self.sink.record([(kind, {**data, **stopped}) for kind, data in steps])
            case runtime_events.ApprovalRequest(command=command, description=description):
                if await self.asking.ask(command, description):
                    self.wake()
            case runtime_events.Completed(output=output):
                return self.ending.completed(output)
            case runtime_events.Failed(error=sentence):
                return self._failed_in_runtime(sentence)
            case runtime_events.Cancelled():
                return (
                    self.ending.cancelled()
                    if self.stop.is_set()
                    else self.ending.lost("The agent runtime stopped the run.")
                )
        return None

    async def _flooded(self, event: RuntimeEvent) -> Outcome | None:
        """The end of a run whose runtime tells without end: what answers there may not be the runtime any more."""
        self.told_chars += len(event.text) if isinstance(event, runtime_events.TextDelta) else EVENT_CHARS
        if self.told_chars <= MOST_TOLD_CHARS:
            return None
        await self._stop_runtime()
        return self.ending.failed(Code.RUNTIME_ERROR, "The agent runtime told more than a run may record.")

    async def after_lost_stream(self, resident: Resident) -> Outcome:
        """The stream broke off before the run ended: the runtime's status is what remains to ask."""
        self.sink.record(self.merger.stream_lost())
        status = await self._poll_to_end(resident)
        if status is None:
            return self.ending.lost("The agent runtime was restarted and no longer knows this run.")
        if status.status == "completed":
            self._catch_up(status.output)
            return self.ending.completed(status.output)
        if status.status == "cancelled":
            return (
                self.ending.cancelled()
                if self.stop.is_set()
                else self.ending.lost("The agent runtime stopped the run.")
            )
        return self._failed_in_runtime(status.error)

    async def _poll_to_end(self, resident: Resident) -> RunStatus | None:
        """The run's status once it has ended; None when the runtime no longer knows it. Raises Stopped when
        a stop was asked and not confirmed in time, LogosError when the sandbox is gone."""
        failed_looks, overdue = 0, 0.0
        while True:
            try:
                if resident.gone.is_set():
                    raise SandboxError("The sandbox has ended.", reason=Code.SANDBOX_DISCONNECTED)
                status = await resident.client.status(self.runtime_run_id)
            except LogosError as error:
                if error.reason == "run_not_found":
                    return None
                failed_looks += 1
                if resident.gone.is_set() or failed_looks >= FAILED_LOOKS:
                    raise disconnected(error) from error
            else:
                failed_looks = 0
                if status.has_ended:
                    return status
                if status.status == unheard.WAITING and not self.stop.is_set():
                    await self.asking.ask_unheard(resident.client, self.runtime_run_id, self.runtime_session_id)
            overdue += POLL_S if self.stop.is_set() else 0.0
            if overdue > STOP_GRACE_S:
                self.may_still_run = True
                raise Stopped
            await asyncio.sleep(POLL_S)

    def _catch_up(self, output: str) -> None:
        """Show what was said while nobody listened."""
        said = "".join(self.ending.said).lstrip("\n")
        if output.startswith(said):
            self.recorder.grow("text.delta", output[len(said) :])
        elif output.strip() != said.strip():
            self.recorder.grow("text.delta", output)

    # what people want -----------------------------------------------------------------------------

    def wake(self) -> None:
        """Something changed in the run's rows: a stop, or a decision."""
        self.news.set()

    async def _watch_wishes(self) -> None:
        while True:
            try:
                await self._heed()
            except Exception:
                logger.exception("The wishes for this run could not be read")
            await self.news.wait()
            self.news.clear()

    async def _heed(self) -> None:
        cancel, decided, others = await self.tools.db(work.wishes, self.job.run_id)
        if cancel and not self.stop.is_set():
            self.stop.set()
            if self.patience:
                self.patience.reschedule(asyncio.get_running_loop().time() + STOP_GRACE_S)
            await self._stop_runtime()
        if self.resident:
            await self.asking.tell(self.resident.client, self.runtime_run_id, decided)
        await self.asking.follow(others)

    async def _or_stopped(self, awaitable: Awaitable[Resident]) -> Resident:
        """The result, unless the run is stopped first: a person need not wait for a sandbox to be ready."""
        getting = asyncio.ensure_future(awaitable)
        stop = asyncio.ensure_future(self.stop.wait())
        try:
            await asyncio.wait({getting, stop}, return_when="FIRST_COMPLETED")
            if not getting.done():
                raise Stopped
            return getting.result()
        finally:
            stop.cancel()
            if not getting.done():  # let the sandbox come up: it is wanted by the next message anyway
                getting.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _stop_runtime(self) -> None:
        if self.resident and self.runtime_run_id:
            with contextlib.suppress(LogosError):
                await self.resident.client.stop(self.runtime_run_id)

    def _failed_in_runtime(self, sentence: str) -> Outcome:
        is_full = self.resident is not None and _is_full(root_of(self.resident.running.sandbox_id))
        return self.ending.failed_in_runtime(sentence, disk_is_full=is_full)

    def _progress(self, sentence: str) -> None:
        self.recorder.emit("sandbox.progress", {"sentence": sentence})


def disconnected(error: LogosError) -> LogosError:
    """The sandbox went away in the middle of a run."""
    message, action = describe(Code.SANDBOX_DISCONNECTED)
    detail = f"{error.message} {error.detail}"
    return LogosError(message, reason=Code.SANDBOX_DISCONNECTED, detail=detail, action=action, permanent=False)


def _is_full(root: Path) -> bool:
    try:
        room = os.statvfs(root)
    except OSError:
        return False
    return room.f_bavail * room.f_frsize < ROOM_BYTES
