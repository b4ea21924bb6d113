"""Answer what servers ask of a model: within their bounds, through the router, each question a row and a run's event.

A handshake server asks on its own line: whose call it is about is known only while exactly one goes on. A server of the
newer era asks within the result of a call, so that it is always known (``inputs``).
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agents.errors import Code
from mcp_gateway import jsonrpc
from mcp_gateway.book import Served
from mcp_gateway.jsonrpc import Message
from mcp_gateway.peers import Call, Gone, Peer
from mcp_gateway.sampling import asking, telling
from mcp_gateway.sampling.bounds import AT_ONCE, Pace, Refused, Sampling, off
from mcp_gateway.sampling.rows import About, Sampled
from runs.lending import Lends, Lent, Payer
from sandboxes.inference.calls import RouteTarget

logger = logging.getLogger(__name__)

# Questions of all servers that are being answered or refused at the same time.
MOST_OPEN = 256
# Rows of refusals that one server may cause within a minute; what it is refused beyond that is not written down.
MOST_REFUSED_ROWS = 60
# The protocol's own code for a question that whoever is asked does not want to have asked.
REJECTED = -1

STOPPED = "Work is stopped, so no model is asked."
# What a server and an agent hear of a call that failed; sums and the words of providers are for the house.
TOLD = {
    "budget": "A budget has no room for asking the model.",
    "halted": STOPPED,
    "timeout": "The model did not answer in time.",
    "failed": "The model could not answer.",
}

Halted = Callable[[str, str], Awaitable[str]]


async def _running(agent_id: str, server: str) -> str:
    return ""


async def _nowhere(record: Sampled) -> None:
    return None


class Sampler:
    """``lends`` asks models, where something can; ``store`` writes a row, ``tell_run`` an event of a run."""

    def __init__(
        self,
        *,
        halted: Halted = _running,
        begin: Callable[[Sampled], Awaitable[Any]] = _nowhere,
        store: Callable[[Sampled], Awaitable[Any]] = _nowhere,
        tell_run: Callable[[str, str, dict[str, Any]], None] = lambda run_id, kind, data: None,
    ) -> None:
        self.lends: Lends | None = None
        self._halted, self._begun, self._store, self._tell_run = halted, begin, store, tell_run
        self._pace, self._refused = Pace(), Pace()
        self._open: dict[str, int] = {}
        # Questions of handshake servers, by the task that answers: on which line, and the server's own id of it.
        self._tasks: dict[asyncio.Task[None], tuple[Peer, str]] = {}
        self._writing: set[asyncio.Task[Any]] = set()

    def begin(self, child: Peer, message: Message, served: Served, call: Call | None, about: About) -> None:
        """Answer a question on the server's line, in the background. It ends with ``call``, where it belongs to one."""
        if len(self._tasks) >= MOST_OPEN:
            reply(child, message, Refused("busy", "Too many questions are being answered."))
            return
        if call is not None:
            call.rounds += 1
        rounds = call.rounds if call is not None else 1
        story = self._reply(child, message, served, about, rounds)
        task = asyncio.create_task(story, context=contextvars.Context())
        self._tasks[task] = (child, repr(message["id"]))
        task.add_done_callback(lambda done: self._tasks.pop(done, None))
        if call is not None:
            call.answer.add_done_callback(lambda done: task.cancel())

    def cancelled(self, child: Peer | None, params: Any) -> None:
        """A server takes a question back."""
        id = repr(params.get("requestId")) if isinstance(params, dict) else ""
        found = [task for task, key in self._tasks.items() if key == (child, id)]
        if len(found) == 1:
            found[0].cancel()

    async def close(self) -> None:
        """Nobody asks any more; returns when what was asked is written down."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*self._writing, return_exceptions=True)

    async def answer(self, served: Served, params: Any, about: About, round: int) -> dict[str, Any]:
        """The result of one question, the ``round``th of its call. Raises Refused. Cancel it to hang up."""
        loop = asyncio.get_running_loop()
        began, record = loop.time(), Sampled(served.id, served.name, about)
        self._open[served.id] = self._open.get(served.id, 0) + 1
        try:
            found = await self._asked(served, params if isinstance(params, dict) else {}, record, round)
            record.outcome = "ok"
            return found
        except Refused as error:
            record.outcome = "error" if error.why == "failed" else "timeout" if error.why == "timeout" else "refused"
            record.why, record.said, record.reason = error.why, str(error), error.detail or str(error)
            raise
        except asyncio.CancelledError:
            record.outcome, record.reason = "cancelled", "The call it was for is over."
            raise
        finally:
            self._open[served.id] -= 1
            if not self._open[served.id]:
                del self._open[served.id]
            record.duration_ms = (loop.time() - began) * 1000
            self._note(record)

    async def _asked(self, served: Served, params: Mapping[str, Any], record: Sampled, round: int) -> dict[str, Any]:
        bounds, about = served.sampling, record.about
        if bounds is None:
            raise off(served.name)
        if round > bounds.rounds:
            raise Refused("rounds", f"A call may ask the model in {bounds.rounds} rounds.")
        asking.check(params, bounds)
        record.hint = asking.hint(params, bounds)
        record.asked_tokens, record.max_tokens = params.get("maxTokens"), asking.cap(params, bounds)
        if why := await self._halted(about.agent_id, served.name):
            raise Refused("halted", STOPPED, why)
        if self._open[served.id] > AT_ONCE:
            raise Refused("busy", f"It has {AT_ONCE} questions open, and may not have more.")
        self._pace.take(served.id, bounds.rpm)
        if not about.agent_id and bounds.person_id is None:
            raise Refused("nobody", "Nobody is there to pay for it.")
        if self.lends is None:
            raise Refused("no_model", "No model can be asked from here.")
        try:
            async with asyncio.timeout(bounds.timeout_s):
                target = await self._target(asking.chosen(params, bounds), bounds)
                if target is None:
                    raise Refused("no_model", f"The model that was lent to the MCP server {served.name} is gone.")
                record.route_id, record.model = target.route_id, target.model
                wire = "anthropic" if target.kind == "anthropic" else "openai"
                body = asking.written(params, bounds, wire, target.model)
                payer = Payer(about.run_id, about.agent_id, bounds.person_id, "server", served.name)
                await self._written(record, self._begun)  # what a killed Logos had asked can be told
                lent = await self.lends.ask(payer, target, body)
        except TimeoutError as error:
            raise Refused("timeout", f"The model did not answer within {bounds.timeout_s:g} seconds.") from error
        return _read(lent, record, wire)

    async def _target(self, route_id: str, bounds: Sampling) -> RouteTarget | None:
        """The model that was chosen, or the one the server has anyway if that is gone."""
        lends = self.lends
        if lends is None or not bounds.route_id:
            return None
        found = await lends.target(route_id)
        return found if found is not None or route_id == bounds.route_id else await lends.target(bounds.route_id)

    async def _reply(self, child: Peer, message: Message, served: Served, about: About, round: int) -> None:
        answer = asyncio.create_task(self.answer(served, message.get("params"), about, round))
        gone = asyncio.create_task(child.ended.wait())
        said: dict[str, Any] | Refused = Refused("over", "The call this was for is over.")
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                said = answer.result()
        except Refused as error:
            said = error
        except Exception:
            logger.exception("A question of an MCP server to a model could not be answered")
            said = Refused("failed", "Logos made a mistake.")
        finally:
            gone.cancel()
            answer.cancel()
            reply(child, message, said)

    def _note(self, record: Sampled) -> None:
        """Write it down, without waiting; a run hears of it."""
        if record.outcome == "refused":
            try:
                self._refused.take(record.server_id, MOST_REFUSED_ROWS)
            except Refused:
                logger.warning("The MCP server %s asks for a model again and again, and is refused", record.server)
                return
        if record.about.run_id:
            self._tell_run(record.about.run_id, "mcp.sampling", record.told())
        task = asyncio.create_task(self._written(record, self._store), context=contextvars.Context())
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _written(self, record: Sampled, write: Callable[[Sampled], Awaitable[Any]]) -> None:
        try:
            await write(record)
        except Exception:
            logger.exception("What an MCP server asked of a model could not be written down")


def _read(lent: Lent, record: Sampled, wire: str) -> dict[str, Any]:
    """The answer for the server. Raises Refused for what is none."""
    if (made := lent.record) is not None:
        record.model_call_id, record.cost = made.id, made.cost
        record.input_tokens, record.output_tokens = made.input_tokens, made.output_tokens
    if lent.status != 200:
        code, sentence = telling.refusal(lent.status, lent.body)
        code = made.error_code if made is not None and made.error_code else code
        why = {Code.BUDGET_EXCEEDED: "budget", Code.HALTED: "halted", Code.PROVIDER_TIMEOUT: "timeout"}
        word = why.get(Code(code), "failed") if code in set(Code) else "failed"
        raise Refused(word, TOLD[word], sentence)
    try:
        return telling.result(lent.body, wire, record.model)
    except telling.Unreadable as error:
        raise Refused("failed", str(error)) from error


def reply(child: Peer, message: Message, said: dict[str, Any] | Refused) -> None:
    """Tell the server; nothing when it has ended."""
    if isinstance(said, Refused):
        code = jsonrpc.TIMED_OUT if said.why == "timeout" else REJECTED
        answer = jsonrpc.error(message["id"], code, str(said), {"reason": said.why})
    else:
        answer = jsonrpc.result(message["id"], said)
    with contextlib.suppress(Gone):
        child.send(answer)
