"""A call that a rule wants asked: put to a person, held while they think, and made once if they allow it. And one that a
rule wants told: a row before it is made, and a notice to people after that.

The question, the row and what the decision is bound to are those of the tool server. A caller that has left gets nothing
done: the same call made again joins the same question, also after a restart, and an approval is used up by one call.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.db import DatabaseError

from agents.errors import LogosError
from mcp_gateway import eras, patience, pinning
from mcp_gateway.asked import RUN, Answer, Asked
from mcp_gateway.book import Served
from mcp_gateway.calls import Done
from mcp_gateway.waits import CANCELLED, TakenBack
from sandboxes.tool_server import asking, calls, outside, records, results, telling
from sandboxes.tool_server.asking import Word
from sandboxes.tool_server.deciding import Verdict
from sandboxes.tool_server.models import CallState
from sandboxes.tool_server.records import Begun, Caller
from sandboxes.tool_server.tiers import Tier

logger = logging.getLogger(__name__)

DOOR = "mcp"
UNRECORDED = "Logos cannot record calls just now, so it makes none that people are to hear of. Try again later."
# How long it is tried to write down how a call ended, while the database is away.
TRIES, TRY_S = 600, 1.0

Db = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A call that is to be asked for: ``tool`` as agents see it."""

    server: str
    tool: Mapping[str, Any]
    arguments: dict[str, Any]
    verdict: Verdict
    # By what it was judged, to be compared with what holds once it is allowed.
    judged_by: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """What a held call came to: the answer, and, where it was not made, how that is noted."""

    answer: Answer
    outcome: Done | None = None
    reason: str = ""


class Holder:
    """``db`` runs a function with the database, ``run_of`` tells the run a message belongs to."""

    def __init__(self, db: Db, run_of: Callable[[Asked], str]) -> None:
        self._db, self._run_of = db, run_of
        self._tasks: set[asyncio.Task[None]] = set()

    async def hold(self, asked: Asked, wanted: Wanted, make: Callable[[], Awaitable[Answer]]) -> Held:
        """Ask, wait, and ``make`` the call once if it is allowed; or make it and tell people. Raises Left. What cannot
        be written down is not made."""
        about = outside.tool(outside.name_of(wanted.server, wanted.tool["name"]))
        caller = Caller(DOOR, run_id=self._run_of(asked) if asked.caller.sandbox_id else "")
        try:
            begun: Begun = await self._db(
                records.begin,
                asked.caller.agent_id,
                about,
                wanted.arguments,
                outside.things(wanted.arguments),
                caller,
                judged=wanted.verdict,
                shape=pinning.digest(wanted.tool),
            )
            if begun.row.state == CallState.REFUSED:
                return _refused(asked, "denied", begun.row.reason)
            if begun.row.state == CallState.RUNNING:
                return await self._made(begun, make)
            return await self._asked_for(asked, begun, make)
        except DatabaseError:
            logger.exception("A call of an MCP tool could not be written down, so it is not made")
            return _refused(asked, "denied", UNRECORDED)
        except LogosError as error:
            return _refused(asked, "denied", f"{error.message} {error.action}".strip())
        except TakenBack:
            return _refused(asked, "cancelled", CANCELLED)

    async def _asked_for(self, asked: Asked, begun: Begun, make: Callable[[], Awaitable[Answer]]) -> Held:
        row = begun.row
        word = begun.word or await self._look(row.approval_id)
        if word.state == "pending":
            telling.tell(row.run_id, calls.event_of(row))
            words = f"waiting for a person ({word.id})"
            word = await patience.held(
                asked, word, _is_open, lambda: self._look(row.approval_id), words, hold_s(asked.caller.via)
            )
        if word.state == "pending":
            sentence = (
                f"A person was asked ({word.id}), and nothing has been done yet. "
                "Make exactly the same call again later: once it is allowed, it is done then."
            )
            return _refused(asked, "held", sentence)
        if word.state != "allowed":
            return await self._not_allowed(asked, begun, word)
        if not await self._db(records.claim, row.pk):
            return _refused(asked, "denied", "The same call has used this approval already.")
        row.state = CallState.RUNNING
        return await self._made(begun, make)

    async def _not_allowed(self, asked: Asked, begun: Begun, word: Word) -> Held:
        row = begun.row
        row.state = CallState.EXPIRED if word.state == "expired" else CallState.DENIED
        sentence = "Nobody decided in time." if word.state == "expired" else f"It was denied. {word.note}".strip()
        await self._db(records.end, row.pk, row.state, sentence)
        telling.tell(row.run_id, calls.event_of(row))
        return _refused(asked, "denied", f"{sentence} Do without it, or do it otherwise.")

    async def _made(self, begun: Begun, make: Callable[[], Awaitable[Answer]]) -> Held:
        """Once: the row says that it runs, and whoever makes the call again is asked for anew."""
        row, began = begun.row, time.monotonic()
        outcome = results.refused(LogosError("The caller left while it was made.", reason="cancelled"))
        try:
            answer = await make()
            outcome = _outcome_of(answer)
            return Held(answer)
        finally:
            took = (time.monotonic() - began) * 1000
            row.state, row.duration_ms = CallState.FAILED if outcome.is_error else CallState.DONE, took
            await asyncio.shield(self._go(self._finished(begun, outcome, took)))
            telling.tell(row.run_id, {**calls.event_of(row), "ok": not outcome.is_error})

    async def _finished(self, begun: Begun, outcome: results.Outcome, took: float) -> None:
        """Written down, and people told. A database that is away does not keep a caller from what was done for it."""
        try:
            await self._end(begun, outcome, took)
        except DatabaseError:
            logger.warning("How a call of an MCP tool ended cannot be written down yet")
            self._go(self._end_later(begun, outcome, took))

    async def _end(self, begun: Begun, outcome: results.Outcome, took: float) -> None:
        await self._db(records.finish, begun.row.pk, outcome, begun.known, took)
        if begun.row.tier == Tier.NOTIFY:
            await self._db(calls.notice, begun.row)

    async def _end_later(self, begun: Begun, outcome: results.Outcome, took: float) -> None:
        for _ in range(TRIES):
            await asyncio.sleep(TRY_S)
            with contextlib.suppress(DatabaseError):
                return await self._end(begun, outcome, took)
        logger.error("How the call %s of an MCP tool ended was not written down", begun.row.pk)

    def _go(self, story: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(story)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _look(self, approval_id: str) -> Word:
        found: Word = await self._db(asking.desk().look, approval_id)
        return found


def asking_us(served: Served) -> Served:
    """The server as a call that people know of meets it: what it asks within the call is answered here. Its caller would
    answer by making the call again with things that no person saw."""
    return replace(served, asks_caller=False)


def as_shown(params: Mapping[str, Any], shown: Mapping[str, Any]) -> dict[str, Any]:
    """The params of a call that people know of: what they were shown, and of the envelope what the protocol needs."""
    meta = params.get("_meta")
    kept = {
        name: each
        for name, each in (meta.items() if isinstance(meta, dict) else ())
        if name in ("progressToken", RUN) or name.startswith(eras.META)
    }
    return {**shown, "_meta": kept} if kept else dict(shown)


def told_why(wanted: Wanted) -> str:
    """What the record says of a call that people are told of."""
    return wanted.verdict.reason if wanted.verdict.tier == Tier.NOTIFY else ""


def hold_s(via: str) -> float:
    """How long a caller is held: the runtime in a sandbox waits as long as the question does."""
    return float(settings.LOGOS_APPROVAL_TIMEOUT_S) + 30.0 if via == "socket" else patience.HOLD_S


def _is_open(word: Word) -> bool:
    return word.state == "pending"


def _refused(asked: Asked, outcome: Done, sentence: str) -> Held:
    return Held(asked.failed(sentence), outcome, sentence)


def _outcome_of(answer: Answer) -> results.Outcome:
    """What the record keeps of an answer: whether it failed, how large it was, and of a failure its words."""
    message = answer[1] or {}
    result = message.get("result")
    if not isinstance(result, dict):
        error = message.get("error")
        said = str(error.get("message", "")) if isinstance(error, dict) else ""
        return results.Outcome(text=said, is_error=True)
    blocks = result.get("content")
    texts = [str(each.get("text", "")) for each in blocks if isinstance(each, dict)] if isinstance(blocks, list) else []
    return results.Outcome(text="\n".join(texts), is_error=result.get("isError") is True)
