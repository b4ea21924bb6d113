"""How one run ends: what becomes of it in words, and the commit of its end with everything before it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from decimal import Decimal

from django.db import IntegrityError

from agents.errors import Code
from runs import events, settling
from runs.models import Run, Status
from runs.recorder import RESUME_GAP, Recorder
from runs.settling import Figures, Outcome
from runs.shared import Tools
from runs.sink import RunSink
from runs.words import describe

logger = logging.getLogger(__name__)

FINISH_PAUSE_S = 1.0


class Ending:
    """The end of one run, whichever it will be. ``said`` is what the agent said since its last tool."""

    def __init__(self, run_id: str, recorder: Recorder, sink: RunSink, tools: Tools) -> None:
        self.run_id, self.recorder, self.sink, self.tools = run_id, recorder, sink, tools
        self.figures: Figures = sink.figures
        self.said: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self.said).strip()

    def completed(self, output: str) -> Outcome:
        """The runtime takes for whole what the last model call left, also when that broke off and stayed so."""
        error = self.sink.last_error
        if error is not None and error.error_code != Code.CANCELLED:
            return self.failed(error.error_code, error.error_message, error.error_action)
        return Outcome(Status.COMPLETED, output or self.text, figures=self.figures)

    def cancelled(self) -> Outcome:
        return Outcome(Status.CANCELLED, self.text, code=Code.CANCELLED, figures=self.figures)

    def lost(self, sentence: str) -> Outcome:
        return Outcome(
            Status.INTERRUPTED,
            self.text,
            code=Code.SANDBOX_DISCONNECTED,
            message=sentence,
            action="What was done so far is kept; send the message again to go on.",
            figures=self.figures,
        )

    def failed(self, code: str, message: str = "", action: str = "") -> Outcome:
        message, action = describe(code, message, action)
        text = self.text
        return Outcome(Status.FAILED, text, code=str(code), message=message, action=action, figures=self.figures)

    def failed_in_runtime(self, sentence: str, *, disk_is_full: bool) -> Outcome:
        """The router knows why better than the runtime's sentence, and the disk better than either."""
        if disk_is_full:
            return self.failed(Code.DISK_FULL)
        if error := self.sink.last_error:
            return self.failed(error.error_code, error.error_message, error.error_action)
        return self.failed(Code.RUNTIME_ERROR, f"The agent runtime reported: {sentence}"[:500])

    async def commit(self, outcome: Outcome) -> None:
        """Commit the end with everything before it, then show it."""
        outcome = replace(outcome, text=self._clean(outcome.text), message=self._clean(outcome.message))
        self.figures.tool_calls = self.sink.merger.started
        if outcome.status == Status.CANCELLED and not outcome.by:
            by = await self.tools.db(_cancelled_by, self.run_id)
            outcome = Outcome(outcome.status, outcome.text, outcome.code, by=by, figures=outcome.figures)
        outcome = replace(outcome, figures=replace(outcome.figures))  # as it is now: a late call counts elsewhere
        last = self.recorder.final(outcome.kind, outcome.data())  # closes the record: nothing comes between
        await self.tools.writer.flush(self.run_id)
        while True:
            try:
                if await self.tools.db(settling.settle, outcome, last, self.tools.writer.head(self.run_id)):
                    self.tools.hub.publish(last)
                    self.tools.hub.stored(last.run_id, last.seq)
                break
            except IntegrityError:
                # Its number is taken, so somebody else wrote meanwhile: go beyond anything they may write.
                logger.exception("The end of the run could not be written under its number")
                self.tools.writer.forget(self.run_id)
                last = replace(last, seq=await self.tools.db(events.last_seq, self.run_id) + RESUME_GAP)
                await asyncio.sleep(FINISH_PAUSE_S)
            except Exception:
                logger.exception("The end of the run could not be written; trying again")
                await asyncio.sleep(FINISH_PAUSE_S)
        self.tools.writer.forget(self.run_id)
        logger.info("The run ended: %s %s", outcome.status, outcome.code)

    def _clean(self, text: str) -> str:
        return events.plain(text, self.recorder.known)


def known_figures(known: list[events.Event]) -> Figures:
    """The figures of the calls a run had made before it was taken over."""
    figures = Figures()
    for event in known:
        if event.kind == "model.call":
            cost = event.data.get("cost")
            figures.count(
                event.data.get("input_tokens"),
                event.data.get("output_tokens"),
                None if cost is None else Decimal(cost),
                is_estimate=bool(event.data.get("is_estimate")),
            )
    return figures


def _cancelled_by(run_id: str) -> str:
    return Run.objects.filter(pk=run_id).values_list("cancelled_by__username", flat=True).first() or ""
