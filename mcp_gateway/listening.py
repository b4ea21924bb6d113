"""What servers say and ask by themselves: told to who listens, and put to the one caller a question can be about."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mcp_gateway import eras, jsonrpc
from mcp_gateway.asked import Answer, Asked, Refused, no_method
from mcp_gateway.book import Book, Caller, Served
from mcp_gateway.carrying import Carrier
from mcp_gateway.eras import Refusal
from mcp_gateway.exchange import Exchange, Left
from mcp_gateway.introducing import LISTS
from mcp_gateway.jsonrpc import Message
from mcp_gateway.peers import Call, Gone, Peer
from mcp_gateway.sampling import answering, asking, bounds
from mcp_gateway.sampling.rows import About
from mcp_gateway.supervisor import Supervisor
from sandboxes.tool_server.tiers import Tier

logger = logging.getLogger(__name__)

MAX_STREAMS = 32


@dataclass(frozen=True, slots=True)
class Pending:
    """A question of a server that its caller has been asked to answer."""

    agent_id: str
    child: Peer
    id: Any


@dataclass(frozen=True, slots=True, eq=False)
class Listener:
    """An open stream of an agent that wants to be told when lists change; ``over`` is set when it may hear no more."""

    id: str
    caller: Caller
    out: Exchange
    wanted: frozenset[str]
    over: asyncio.Future[None]

    @property
    def agent_id(self) -> str:
        return self.caller.agent_id


class Listening:
    """The streams that are open, and the questions that wait for a caller."""

    def __init__(self, book: Callable[[], Book], carrier: Carrier) -> None:
        self._book, self._carrier = book, carrier
        self._pending: dict[str, Pending] = {}
        self._open: set[Listener] = set()
        self._listeners: dict[str, set[Listener]] = {}
        self._hubs: dict[Listener, tuple[str, tuple[str, ...]]] = {}

    def asked(self, supervisor: Supervisor, child: Peer, message: Message, served: Served | None) -> bool:
        """Answer a server's question for a model, or pass its questions to the caller they can only be about, if the
        server was set up so. False: neither."""
        call = child.call_of_question()
        if message["method"] == asking.METHOD and (
            served is None or served.sampling is not None or not served.asks_caller
        ):
            if served is None:
                answering.reply(child, message, bounds.off(supervisor.name))
            else:
                whose = call if call is not None and call.whose is not None else None
                # A copy of the server that works for one agent alone asks for that one.
                about = self._carrier.about(whose) if whose is not None else About(supervisor.agent_id)
                self._carrier.sampler.begin(child, message, served, whose, about)
            return True
        call = child.call_of_words()
        if served is None or not served.asks_caller or call is None or _is_known_of(call):
            return False
        owner = self._carrier.owner_of(call)
        if owner is None:
            return False
        id = f"logos-{uuid.uuid4().hex}"
        self._pending[id] = Pending(owner, child, message["id"])
        call.answer.add_done_callback(lambda done: self._pending.pop(id, None))
        call.heard({**message, "id": id})
        return True

    def answered(self, asked: Asked) -> None:
        """A caller's answer to such a question."""
        pending = self._pending.get(str(asked.id))
        if pending is None or pending.agent_id != asked.caller.agent_id:
            return
        del self._pending[str(asked.id)]
        answer: Message = {name: asked.message[name] for name in ("result", "error") if name in asked.message}
        try:
            pending.child.send(answer | {"jsonrpc": "2.0", "id": pending.id})
        except Gone:
            logger.info("An MCP server ended before its question was answered")

    def said(self, supervisor: Supervisor, message: Message, server_id: str) -> None:
        """A notification that belongs to no call: changed lists go to listeners; what is logged goes to the one call
        it can only belong to."""
        if message["method"] == "notifications/cancelled":
            self._carrier.sampler.cancelled(supervisor.child, message.get("params"))
        elif (word := LISTS.get(message["method"])) is not None:
            for each in list(self._listeners.get(server_id, ())):
                if word not in each.wanted or supervisor.agent_id not in ("", each.agent_id):
                    continue  # an agent's own copy of a server is nobody else's business
                # Access may have ended by the clock, which changes no book.
                if server_id in self._reached(each.agent_id):
                    each.out.tell(_tagged(message["method"], each.id))
        elif message["method"] == "notifications/message" and supervisor.child is not None:
            call = supervisor.child.call_of_words()
            if call is not None:
                call.heard(message)

    async def listen(self, asked: Asked, servers: Mapping[str, Served], *, is_hub: bool = False) -> Answer:
        """Keep a stream open that tells when a list of these servers has changed, or, of a hub, which they are."""
        if not asked.modern:
            raise Refused(no_method(asked))
        given = asked.params.get("notifications")
        known = {"toolsListChanged"} if is_hub else set(LISTS.values())
        wanted = {name for name in given if name in known and given[name] is True} if isinstance(given, dict) else set()
        agent, id = asked.caller.agent_id, str(asked.id)
        mine = {each for found in self._listeners.values() for each in found if each.agent_id == agent}
        if len(mine) + sum(each.agent_id == agent for each in self._hubs) >= MAX_STREAMS:
            raise Refused(Refusal(429, jsonrpc.UNAVAILABLE, f"An agent listens on {MAX_STREAMS} streams at most."))
        if not asked.exchange.may_stream:
            raise Refused(Refusal(406, jsonrpc.INVALID_REQUEST, "Accept text/event-stream to listen."))
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = Listener(id, asked.caller, asked.exchange, frozenset(wanted), over)
        acknowledged = {"notifications": dict.fromkeys(sorted(wanted), True)}
        asked.exchange.tell(_tagged("notifications/subscriptions/acknowledged", id, acknowledged))
        self._open.add(entry)
        for server_id in servers:
            self._listeners.setdefault(server_id, set()).add(entry)
        if is_hub:
            self._hubs[entry] = (agent, self._reached(agent))
        try:
            await asked.exchange.stream_until(over, self._book().lasts(asked.caller))
        finally:
            self._open.discard(entry)
            self._hubs.pop(entry, None)
            for found in self._listeners.values():
                found.discard(entry)
        raise Left

    def changed(self) -> None:
        """The book is another: streams of hubs are told when their agent reaches other servers now, streams of
        servers their agent has lost hear nothing more, and those of callers who are not let in any more end."""
        book = self._book()
        for entry in list(self._open):
            if book.lasts(entry.caller) == 0.0 and not entry.over.done():
                entry.over.set_result(None)
        for entry, (agent, before) in list(self._hubs.items()):
            now = self._reached(agent)
            if now != before:
                self._hubs[entry] = (agent, now)
                for server_id in now:
                    self._listeners.setdefault(server_id, set()).add(entry)
                if "toolsListChanged" in entry.wanted:
                    entry.out.tell(_tagged("notifications/tools/list_changed", entry.id))
        for server_id, found in self._listeners.items():
            found -= {each for each in found if server_id not in {s.id for s in book.reached(each.agent_id)}}

    def _reached(self, agent_id: str) -> tuple[str, ...]:
        return tuple(each.id for each in self._book().reached(agent_id))


def _is_known_of(call: Call) -> bool:
    """Do people hear of this call by a rule? Then its caller adds nothing to it that they did not see."""
    return isinstance(call.whose, Asked) and call.whose.decision in (Tier.ASK, Tier.NOTIFY)


def _tagged(method: str, id: str, params: Mapping[str, Any] | None = None) -> Message:
    return {"jsonrpc": "2.0", "method": method, "params": {**(params or {}), "_meta": {eras.SUBSCRIPTION: id}}}
