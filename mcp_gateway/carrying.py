"""Carry requests of callers to running servers: how many go on at once, what cuts one off, and what is noted of each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mcp_gateway import bounding, eras, ids
from mcp_gateway.asked import RUN, Asked
from mcp_gateway.book import Served
from mcp_gateway.calls import Done, Record
from mcp_gateway.exchange import Left
from mcp_gateway.journal import UNRECORDED, Unrecorded, may_have_an_effect
from mcp_gateway.jsonrpc import Message
from mcp_gateway.peers import Call, Gone, Peer
from mcp_gateway.sampling import inputs
from mcp_gateway.sampling.answering import Sampler
from mcp_gateway.sampling.bounds import Refused
from mcp_gateway.sampling.rows import About
from mcp_gateway.supervisor import Supervisor
from mcp_gateway.waits import CANCELLED, Key, Waits, key_of

# Calls of one agent under way at the same time.
MAX_CALLS = 128

Halted = Callable[[str, str], Awaitable[str]]


async def running(agent_id: str, server: str) -> str:
    """Nothing is halted."""
    return ""


class Carrier:
    """``halted`` says why nothing may begin for an agent on a server now, ``run_of`` which run a message belongs to,
    ``begin`` writes down a call that may have an effect before it is made, and ``record`` gets every call that ended."""

    def __init__(
        self,
        record: Callable[[Record], None],
        halted: Halted,
        run_of: Callable[[Asked], str],
        begin: Callable[[Record], None] | None = None,
        sampler: Sampler | None = None,
    ) -> None:
        self._record, self.halted, self.run_of, self._begin = record, halted, run_of, begin
        self.sampler = sampler or Sampler()
        # Requests that have not come to a server yet.
        self.waits = Waits()
        self._open: dict[Key, list[tuple[Peer, Call]]] = {}
        self._counts: dict[str, int] = {}

    async def carry(
        self,
        asked: Asked,
        served: Served,
        supervisor: Supervisor,
        params: Mapping[str, Any],
        tool: Mapping[str, Any] | None = None,
        *,
        reason: str = "",
    ) -> tuple[int, Message | None]:
        """The answer of a ready server to this request; never sent twice. ``reason``: people are told of it, for that."""
        agent, id = asked.caller.agent_id, ids.call_id()
        if why := await self.halted(agent, served.name):
            self.note(asked, served.name, served.id, "denied", why, id=id)
            return asked.failed(why)
        if self._counts.get(agent, 0) >= MAX_CALLS:
            self.note(asked, served.name, served.id, "denied", "Too many calls at once.", id=id)
            return asked.failed(f"At most {MAX_CALLS} calls of an agent go on at once; wait for some to end.")
        child = supervisor.child
        if child is None:
            self.note(asked, served.name, served.id, "gone", "It has just ended.", id=id)
            return asked.failed(f"{served.name}: it has just ended.")
        if self._begin is not None and may_have_an_effect(tool):
            try:
                self._begin(self._record_of(asked, served.name, served.id, "started", "", params=params, id=id))
            except Unrecorded:
                self.note(asked, served.name, served.id, "denied", UNRECORDED, params=params, id=id)
                return asked.failed(UNRECORDED)
        known = supervisor.known
        params = without_run(params)
        if known.is_modern:
            params = inputs.introduced(asked, served, params)
        elif asked.modern:
            params = eras.for_handshake_server(params)
        try:
            call = child.ask(asked.method, params, _hearing(asked), agent)
        except Gone as error:
            self.note(asked, served.name, served.id, "gone", str(error), id=id)
            return asked.failed(f"{served.name}: {error}")
        call.whose, call.record_id = asked, id
        # By the address it was made at: that is where its caller would take it back.
        key = asked.key
        self._open.setdefault(key, []).append((child, call))
        self._counts[agent] = self._counts.get(agent, 0) + 1
        outcome: Done = "ok"
        try:
            found = await asked.exchange.until(call.answer, served.timeout_s)
            supervisor.answered(call)
            while (requests := inputs.wanted(asked, served, found)) is not None:
                more = inputs.again(params, found, await self._given(asked, served, child, key, call, requests))
                call = self._again(asked, child, key, call, more)
                found = await asked.exchange.until(call.answer, served.timeout_s)
                supervisor.answered(call)
            outcome = "error" if "error" in found or found.get("result", {}).get("isError") is True else "ok"
            if asked.caller.blot is not None:
                found = asked.caller.blot.message(found)
            if call.size > served.max_result:
                found = bounding.within(found, served.max_result, served.name, asked.method, tool)
            return _answered(asked, found)
        except TimeoutError:
            outcome = "timeout"
            child.forget(call, cancel=True, why="It took too long.")
            supervisor.timed_out()
            return asked.failed(f"{served.name} did not answer within {served.timeout_s:g} seconds.")
        except Refused as error:
            outcome, reason = "error", str(error)
            return asked.failed(f"{served.name} could not finish this: it asked for input. {error}")
        except Gone as error:
            outcome = "gone"
            return asked.failed(f"{served.name}: {error} {_again(tool)}".strip())
        except (Left, asyncio.CancelledError) as error:
            outcome, is_taken_back = "cancelled", call.answer.cancelled()
            child.forget(call, cancel=True)
            if isinstance(error, Left):
                raise
            return asked.failed(CANCELLED if is_taken_back else f"Logos ends. {_again(tool)}")
        finally:
            child.calls.pop(call.id, None)
            self._counts[agent] -= 1
            self._drop(key, call)
            self.note(asked, served.name, served.id, outcome, reason, call=call, params=params, id=id)

    async def _given(
        self, asked: Asked, served: Served, child: Peer, key: Key, call: Call, requests: dict[str, Any]
    ) -> dict[str, Any]:
        """What the server wants to know before it goes on. Raises Refused, and Left when the caller does."""
        call.rounds += 1
        story = inputs.given(self.sampler, served, requests, self.about(call), call.rounds)
        answers = asyncio.ensure_future(story)
        # In the place of the call meanwhile, so that the caller can take it back.
        waiting = Call(0, call.method, answers, call.heard, agent_id=call.agent_id)
        self._open.setdefault(key, []).append((child, waiting))
        try:
            return await asked.exchange.until(answers, None)
        except asyncio.CancelledError:
            if answers.cancelled():
                raise Refused("cancelled", CANCELLED) from None
            raise
        finally:
            answers.cancel()
            self._drop(key, waiting)

    def _again(self, asked: Asked, child: Peer, key: Key, call: Call, params: dict[str, Any]) -> Call:
        """The same call once more, with what the server wanted to know. Raises Gone."""
        more = child.ask(asked.method, params, _hearing(asked), call.agent_id)
        more.whose, more.record_id, more.rounds, more.began = asked, call.record_id, call.rounds, call.began
        self._drop(key, call)
        self._open.setdefault(key, []).append((child, more))
        return more

    def about(self, call: Call) -> About:
        """Whose call this is, in which run."""
        asked = call.whose
        if not isinstance(asked, Asked):
            return About()
        run_id = self.run_of(asked) if asked.caller.sandbox_id else ""
        tool = asked.params.get(eras.NAMED.get(asked.method, ""), "")
        return About(asked.caller.agent_id, run_id, str(tool)[:128], call.record_id)

    def cancel(self, asked: Asked) -> None:
        """The caller takes a request back."""
        key = (asked.caller.agent_id, asked.target, key_of(asked.params.get("requestId")))
        # Two clients of one agent may use one id: who of them is meant cannot be told, and then nobody is.
        found = [each for each in self._open.get(key, []) if not each[1].answer.done()]
        waiting = self.waits.of(key)
        if len(found) + len(waiting) != 1:
            return
        if waiting:
            waiting[0].cancel()
        else:
            found[0][0].forget(found[0][1], cancel=True)

    def owner_of(self, call: Call) -> str | None:
        """The agent whose call this is."""
        return next((key[0] for key, calls in self._open.items() if any(each[1] is call for each in calls)), None)

    def note(
        self,
        asked: Asked,
        server: str,
        server_id: str,
        outcome: Done,
        reason: str,
        *,
        call: Call | None = None,
        child_began: float = 0.0,
        params: Mapping[str, Any] | None = None,
        id: str = "",
    ) -> None:
        """Write down what came of a call."""
        if asked.method not in eras.NAMED and outcome == "ok":
            return  # lists and the like are no calls
        began = call.began if call is not None else child_began
        size = call.size if call is not None else 0
        self._record(
            self._record_of(
                asked, server, server_id, outcome, reason, child_began=began, params=params, id=id, size=size
            )
        )

    def _record_of(
        self,
        asked: Asked,
        server: str,
        server_id: str,
        outcome: Done,
        reason: str,
        *,
        child_began: float = 0.0,
        params: Mapping[str, Any] | None = None,
        id: str = "",
        size: int = 0,
    ) -> Record:
        now = asyncio.get_running_loop().time()
        subject = asked.params.get(eras.NAMED.get(asked.method, ""), "")
        return Record(
            agent_id=asked.caller.agent_id,
            server_id=server_id,
            server=server,
            method=asked.method,
            tool=str((params or {}).get("name") or subject)[:128],
            outcome=outcome,
            reason=reason,
            duration_ms=(now - child_began) * 1000 if child_began else 0.0,
            arguments=asked.params.get("arguments"),
            via=asked.caller.via,
            sandbox_id=asked.caller.sandbox_id,
            run_id=self.run_of(asked) if asked.caller.sandbox_id else "",
            id=id or ids.call_id(),
            decision=asked.decision,
            argument_bytes=asked.size,
            result_bytes=size,
        )

    def _drop(self, key: Key, call: Call) -> None:
        left = [each for each in self._open.get(key, ()) if each[1] is not call]
        if left:
            self._open[key] = left
        else:
            self._open.pop(key, None)
        if not self._counts.get(key[0]):
            self._counts.pop(key[0], None)


def without_run(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """The params as a server gets them: which run it is is none of its business."""
    meta = params.get("_meta")
    if not isinstance(meta, dict) or RUN not in meta:
        return params
    kept = {name: value for name, value in meta.items() if name != RUN}
    rest = {name: value for name, value in params.items() if name != "_meta"}
    return {**rest, "_meta": kept} if kept else rest


def _hearing(asked: Asked) -> Callable[[Message], None]:
    """What takes that which a server says of a call before it answers."""
    tell, blot = asked.exchange.tell, asked.caller.blot
    return tell if blot is None else lambda message: tell(blot.message(message))


def _answered(asked: Asked, found: Message) -> tuple[int, Message]:
    if "error" in found:
        reply = {"jsonrpc": "2.0", "id": asked.id, "error": found["error"]}
        return (eras.status_of(reply) if asked.modern else 200), reply
    return 200, asked.reply(found.get("result"))


def _again(tool: Mapping[str, Any] | None) -> str:
    """Whether a call that was cut off may simply be repeated."""
    hints = (tool or {}).get("annotations")
    is_safe = isinstance(hints, dict) and (hints.get("readOnlyHint") is True or hints.get("idempotentHint") is True)
    if is_safe:
        return "It is started again: repeat the call."
    return "It is started again. Whether the call had an effect is not known: look before you repeat it."
