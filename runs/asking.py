"""The questions of one run: put to the person, their decisions told to the runtime, each once.

A question is written before it is shown and a decision before it is told, so whoever takes the run over
finds what is open. The runtime answers its oldest question; it must never be told a decision twice, or the
second would answer the next question unseen.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal

from django.conf import settings

from agents.errors import LogosError
from agents.gate.tirith import second_opinion
from runs import approvals, unheard, work
from runs.events import Event
from runs.models import Approval, ApprovalKind, ApprovalState, Status
from runs.recorder import Recorder
from runs.reviewing import closing, opening
from runs.reviewing.asking import RunReviewer
from sandboxes.hermes.client import HermesClient

logger = logging.getLogger(__name__)

Db = Callable[..., Awaitable[Any]]

ALLOW: Literal["once"] = "once"  # never the runtime's own "session" or "always": it would not ask us again
DENY: Literal["deny"] = "deny"


# While these wait, the run does; one that asks for a host goes on without it.
HOLD_THE_RUN = frozenset({ApprovalKind.TOOL_CALL, ApprovalKind.MCP_ACCESS, ApprovalKind.QUESTION})

UNHEARD_IN_TIME = "Nobody decided in time. Silence is no consent."
UNREADABLE = "It was asked while nobody could hear it, and cannot be shown any more. Ask again."


def reason_of(asked: Approval) -> str:
    """Why it was denied, for the agent to read: what the person wrote, on one line."""
    if asked.state == ApprovalState.DENIED:
        return " ".join(asked.note.split())
    return UNHEARD_IN_TIME


class Asking:
    """Used on the engine's event loop by one run."""

    def __init__(
        self, run_id: str, recorder: Recorder, db: Db, known: Iterable[Event], reviewer: RunReviewer | None = None
    ) -> None:
        self._run_id, self._recorder, self._db, self._reviewer = run_id, recorder, db, reviewer
        known = list(known)
        self._shown = {event.data["id"] for event in known if event.kind == "approval.requested"}
        self._reviewed = {event.data["id"] for event in known if event.kind == "approval.reviewed"}
        # Held while the runtime is told something or asked what it waits for: its status is then not in between.
        self._turn = asyncio.Lock()

    async def ask(self, command: str, description: str) -> bool:
        """Put a question of the runtime to the person; True when a rule or the gate has, and it is to be told."""
        opinion = await second_opinion(command, settings.LOGOS_TIRITH)
        holder = self._reviewer.owner if self._reviewer else ""
        begun = await self._db(
            opening.request, self._run_id, command, description, self._recorder.known, opinion, holder
        )
        asked: Approval = begun.asked
        if asked.state == ApprovalState.PENDING:
            await self._db(work.enter, self._run_id, Status.WAITING)
        self._show(asked, begun.brief.until.isoformat() if begun.brief else "")
        if begun.why:
            self._recorder.emit("approval.reviewed", {"id": asked.pk, "why": begun.why})
        if begun.brief and self._reviewer:
            self._reviewer.start(begun.brief)
        return bool(asked.state != ApprovalState.PENDING)

    async def take_over(self) -> None:
        """Show what a dead engine had written but not shown."""
        waiting = await self._db(approvals.open_of, self._run_id)
        for asked in waiting:
            self._show(asked)
        for data in await self._db(closing.told_of, self._run_id):
            if data["id"] not in self._reviewed:
                self._recorder.emit("approval.reviewed", data)
        await self._db(work.enter, self._run_id, Status.WAITING if waiting else Status.RUNNING)

    async def ask_unheard(self, client: HermesClient, runtime_run_id: str, session_id: str) -> None:
        """The runtime waits and its event stream is gone: ask what it would have asked, unless that is open.

        What cannot be shown is denied. Called again and again while the runtime waits; never raises LogosError."""
        async with self._turn:
            if await self._db(approvals.is_open, self._run_id):
                return
            try:
                if (await client.status(runtime_run_id)).status != unheard.WAITING:
                    return  # it was told while we looked
                command = unheard.command_in(await client.session_messages(session_id))
                if not command:
                    await client.approve(runtime_run_id, DENY, UNREADABLE)
            except LogosError as error:
                logger.warning("What the runtime waits for could not be read: %s %s", error.message, error.detail)
                return
            if command:
                await self.ask(command, unheard.DESCRIPTION)
            else:
                self._recorder.emit("note", {"text": "The agent asked for leave unheard; it was denied."})

    async def tell(self, client: HermesClient, runtime_run_id: str, decided: Iterable[str]) -> None:
        """Tell the runtime what was decided, by id; what it has been told already is left out."""
        for approval_id in decided:
            async with self._turn:
                if (asked := await self._db(work.answered, approval_id)) is not None:
                    await self._tell(client, runtime_run_id, asked)

    async def follow(self, others: Iterable[str]) -> None:
        """Show what else was asked for this run, and what became of it; nobody has to be told but the timeline."""
        for approval_id in others:
            asked = await self._db(approvals.by_id, approval_id)
            holds = asked.kind in HOLD_THE_RUN
            if approval_id not in self._shown and asked.state == ApprovalState.PENDING and holds:
                await self._db(work.enter, self._run_id, Status.WAITING)
            self._show(asked)
            if asked.state != ApprovalState.PENDING and await self._db(work.answered, approval_id) is not None:
                self._recorder.emit("approval.decided", approvals.outcome(asked))
                if holds:
                    await self._db(work.enter, self._run_id, Status.RUNNING)

    def _show(self, asked: Approval, reviewed_until: str = "") -> None:
        if asked.pk not in self._shown:
            self._shown.add(asked.pk)
            more = {"reviewed_until": reviewed_until} if reviewed_until else {}
            self._recorder.emit("approval.requested", {**approvals.shown(asked), **more})

    async def _tell(self, client: HermesClient, runtime_run_id: str, asked: Approval) -> None:
        self._show(asked)  # it may have been asked by an engine that died before that was stored
        if self._reviewer:
            self._reviewer.drop(asked.pk)
        self._recorder.emit("approval.decided", approvals.outcome(asked))
        await self._db(work.enter, self._run_id, Status.RUNNING)
        try:
            if asked.state == ApprovalState.ALLOWED:
                await client.approve(runtime_run_id, ALLOW)
            else:
                await client.approve(runtime_run_id, DENY, reason_of(asked))
        except LogosError as error:
            logger.warning("The runtime did not take the decision: %s %s", error.message, error.detail)
            self._recorder.emit("note", {"text": "The decision came too late for the agent runtime."})
