"""Call a tool: check, judge, ask where a rule says so, run it in the sandbox once, and write down what came of it.

``list_tools`` and ``call`` are what every door uses: pages, API, commands, and the relay for agents themselves. A held
call is carried out by whoever waits for it, or by the same call made again; an approval alone runs nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from agents.errors import Invalid, LogosError
from agents.halts import Halted
from sandboxes import lifecycle, shells
from sandboxes.tool_server import (
    asking,
    catalogue,
    filesystem,
    git,
    network,
    processes,
    records,
    results,
    schemas,
    subjects,
    telling,
)
from sandboxes.tool_server.asking import Word
from sandboxes.tool_server.catalogue import Rates, Tool
from sandboxes.tool_server.deciding import Verdict
from sandboxes.tool_server.models import CallState, ToolCall
from sandboxes.tool_server.records import Begun, Caller
from sandboxes.tool_server.results import Outcome
from sandboxes.tool_server.room import Room, ToolRefusal
from sandboxes.tool_server.tiers import Tier

logger = logging.getLogger(__name__)

Db = Callable[..., Awaitable[Any]]
Run = Callable[[Room, dict[str, Any]], Awaitable[Outcome]]

HOLD_MOST_S = 120.0
LOOK_EVERY_S = 0.2
HALTED_EVERY_S = 0.5

RUNS: dict[str, Run] = {
    "filesystem.read": filesystem.read,
    "filesystem.write": filesystem.write,
    "filesystem.list": filesystem.listing,
    "filesystem.stat": filesystem.look,
    "filesystem.search": filesystem.search,
    "filesystem.move": filesystem.move,
    "filesystem.delete": filesystem.delete,
    "filesystem.diff": filesystem.diff,
    "process.run": processes.run,
    "process.list": processes.listing,
    "process.stop": processes.stop,
    "network.fetch": network.fetch,
    "network.resolve": network.resolve,
    "git.clone": git.clone,
    **{name: git.tool(name) for name in git.WORDS},
}

list_tools = catalogue.listed


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller gets. ``state`` "waiting": nothing was done yet, and the same call made later goes on."""

    call_id: str
    state: str
    tier: str
    outcome: Outcome
    approval_id: str = ""

    def as_mcp(self) -> dict[str, Any]:
        """The result of ``tools/call``."""
        return {
            "content": self.outcome.content,
            "structuredContent": self.outcome.data,
            "isError": self.outcome.is_error,
            "_meta": {"call": self.call_id, "state": self.state, "approval": self.approval_id},
        }


async def call(
    agent_id: str,
    name: str,
    given: Any,
    caller: Caller,
    *,
    hold_s: float = 0.0,
    db: Db = lifecycle.in_thread,
) -> Answer:
    """Call a tool of an agent. LogosError (reason "unknown_tool", "not_found") when there is none of that name or no
    such agent; everything else that goes wrong is an answer with ``is_error``."""
    tool = catalogue.find(name)
    try:
        arguments = _checked(tool, given)
        about = subjects.things(tool, arguments)
    except Invalid as error:
        refused = given if isinstance(given, dict) else {}
        row = await db(records.refuse, agent_id, tool, _storable(refused), caller, error)
        return _told(row, Answer(row.pk, row.state, row.tier, results.refused(error)))
    try:
        begun: Begun = await db(records.begin, agent_id, tool, arguments, about, caller)
    except Halted as error:
        row = await db(records.refuse, agent_id, tool, arguments, caller, error)
        return _told(row, Answer(row.pk, row.state, row.tier, results.refused(error)))
    if begun.row.state == CallState.REFUSED:
        refusal = LogosError(begun.row.reason, reason="blocked")
        return _told(begun.row, Answer(begun.row.pk, begun.row.state, begun.row.tier, results.refused(refusal)))
    if begun.row.state == CallState.WAITING:
        try:
            answer = await _held(begun, min(hold_s, HOLD_MOST_S), db)
        except Halted as error:
            answer = Answer(
                begun.row.pk, begun.row.state, begun.row.tier, results.refused(error), begun.row.approval_id
            )
        if answer is not None:
            return _told(begun.row, answer)
    return await _carried_out(tool, arguments, begun, db)


def explained(agent_id: str, name: str, given: Any) -> tuple[Tool, Verdict, Rates]:
    """What would become of a call, and why; nothing is done. Invalid, or LogosError for a tool there is not."""
    tool = catalogue.find(name)
    arguments = _checked(tool, given)
    verdict, rates = records.judged(agent_id, tool, subjects.things(tool, arguments))
    return tool, verdict, rates


def _checked(tool: Tool, given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise Invalid("Arguments are a table of names and values.", field="arguments", reason="invalid_arguments")
    return schemas.checked(tool.schema, given)


def _storable(given: dict[str, Any]) -> dict[str, Any]:
    return {str(name)[:80]: value if isinstance(value, str | int | bool | list | dict | None) else str(value)
            for name, value in list(given.items())[:50]}  # fmt: skip


async def _held(begun: Begun, hold_s: float, db: Db) -> Answer | None:
    """Wait for a person's word; None when the call may begin, and nobody else has begun it."""
    row = begun.row
    word = await _word(begun, hold_s, db)
    if word.state == "pending":
        return Answer(row.pk, CallState.WAITING, row.tier, _pending(word), word.id)
    if word.state == "allowed":
        if await db(records.claim, row.pk):
            row.state = CallState.RUNNING
            return None
        used = LogosError("The same call has used this approval already.", reason="already_used")
        return Answer(row.pk, CallState.DONE, row.tier, results.refused(used), word.id)
    row.state = CallState.EXPIRED if word.state == "expired" else CallState.DENIED
    if row.state == CallState.EXPIRED:
        refusal = LogosError("Nobody decided in time.", reason="expired", action="Ask again if it still matters.")
    else:
        action = "Do without it, or do it otherwise."
        refusal = LogosError(f"It was denied. {word.note}".strip(), reason="denied", action=action)
    await db(records.end, row.pk, row.state, refusal.message)
    return Answer(row.pk, row.state, row.tier, results.refused(refusal), word.id)


async def _word(begun: Begun, hold_s: float, db: Db) -> Word:
    row, word = begun.row, begun.word
    until = time.monotonic() + hold_s
    if word is None:
        word = await db(_look, row.approval_id)
    elif word.state == "pending":
        telling.tell(row.run_id, event_of(row))
    while word.state == "pending" and time.monotonic() < until:
        await asyncio.sleep(LOOK_EVERY_S)
        word = await db(_look, row.approval_id)
    return word


def _look(approval_id: str) -> Word:
    return asking.desk().look(approval_id)


def _pending(word: Word) -> Outcome:
    error = LogosError(
        f"This waits for a person's decision ({word.id}). Nothing has been done.",
        reason="waiting",
        action="Make the same call again later: once it is allowed, it is done then.",
    )
    return results.refused(error)


async def _carried_out(tool: Tool, given: dict[str, Any], begun: Begun, db: Db) -> Answer:
    row, started = begun.row, time.monotonic()
    outcome = results.refused(LogosError("The call was given up by its caller.", reason="cancelled"))
    try:
        outcome = results.without(await _in_sandbox(tool, given, begun, db), begun.known)
    except LogosError as error:
        outcome = results.without(results.refused(error), begun.known)
    except Exception:
        logger.exception("The tool %s failed in a way we did not foresee", tool.name)
        outcome = results.refused(LogosError("The tool failed in a way we did not foresee.", reason="unknown"))
    finally:
        took = (time.monotonic() - started) * 1000
        # Also when the caller has gone: what was done is written down, whoever waits for it.
        ending = asyncio.ensure_future(db(records.finish, row.pk, outcome, begun.known, took))
        await asyncio.shield(ending)
    row.state, row.duration_ms = CallState.FAILED if outcome.is_error else CallState.DONE, took
    if row.tier == Tier.NOTIFY:
        await db(notice, row)
    return _told(row, Answer(row.pk, row.state, row.tier, outcome, row.approval_id))


async def _in_sandbox(tool: Tool, given: dict[str, Any], begun: Begun, db: Db) -> Outcome:
    if begun.sandbox is None:
        raise shells.not_running("It has none yet: the first message makes it.")
    attachment = await shells.attached(begun.sandbox)
    wanting = asyncio.create_task(shells.keep_wanted(begun.sandbox.pk, db))
    room = Room(attachment, begun.row.pk, begun.row.agent_id, begun.agent_name, begun.row.run_id, begun.known)
    working = asyncio.ensure_future(RUNS[tool.name](room, given))
    try:
        while not (await asyncio.wait({working}, timeout=HALTED_EVERY_S))[0]:
            if await db(records.is_halted, begun.row):
                raise ToolRefusal("Work was stopped while it ran, so it was ended.", reason="halted")
        return working.result()
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        wanting.cancel()
        await attachment.close()


def notice(row: ToolCall) -> None:
    """A call is done that a rule wants people to be told of."""
    telling.tool_noticed.send_robust(sender=ToolCall, call=row)


def _told(row: ToolCall, answer: Answer) -> Answer:
    telling.tell(row.run_id, {**event_of(row), "state": str(answer.state), "ok": not answer.outcome.is_error})
    return answer


def event_of(row: ToolCall) -> dict[str, Any]:
    """What the timeline of its run is told of a call."""
    return {
        "call": row.pk,
        "tool": row.tool,
        "arguments": row.arguments,
        "tier": str(row.tier),
        "reason": row.reason,
        "state": str(row.state),
        "approval": row.approval_id,
        "duration_ms": row.duration_ms,
    }
