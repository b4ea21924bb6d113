"""The door to MCP servers: a plain ASGI application that carries JSON-RPC between agents and servers as it is.

``/mcp/{server}`` is one server, ``/mcp`` the hub of an agent. Both eras of the protocol are spoken on both, without
sessions: whatever a request needs it carries, so a restart of Logos is invisible. What a caller may reach is asked of
the ``Book`` at every message.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from agents.errors import LogosError
from agents.numbers import whole
from mcp_gateway import eras, exchange, jsonrpc
from mcp_gateway.book import Book, Caller, Served
from mcp_gateway.calls import Done, Record
from mcp_gateway.children import Call, Child, Gone
from mcp_gateway.eras import Refusal
from mcp_gateway.exchange import Exchange, Left, Receive, Scope, Send
from mcp_gateway.jsonrpc import Malformed, Message
from mcp_gateway.supervisor import LISTS, Supervisor

logger = logging.getLogger(__name__)

# Calls of one agent under way at the same time.
MAX_CALLS = 128
MAX_STREAMS = 32
# How long a call waits for a server that is being started.
STARTING_S = 30.0

NO_ACCESS = "This agent has no access to an MCP server of this name."


class Servers(Protocol):
    """Where running servers are found: ``fleet.Fleet``, or a fake."""

    def get(self, server_id: str) -> Supervisor | None: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """One message of a caller, and what is known about it."""

    caller: Caller
    message: Message
    headers: eras.Headers
    modern: bool
    exchange: Exchange

    @property
    def id(self) -> Any:
        return self.message.get("id")

    @property
    def method(self) -> str:
        return self.message["method"]

    @property
    def params(self) -> dict[str, Any]:
        return self.message.get("params", {})


@dataclass(frozen=True, slots=True)
class Pending:
    """A question of a server that its caller has been asked to answer."""

    agent_id: str
    child: Child
    id: Any


@dataclass(frozen=True, slots=True, eq=False)
class Listener:
    """An open stream of an agent that wants to be told when lists change."""

    id: str
    agent_id: str
    out: Exchange
    wanted: frozenset[str]


class Refused(Exception):
    """The answer is this refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.sentence)
        self.refusal = refusal


async def _running(agent_id: str, server: str) -> str:
    return ""


class Relay:
    """``halted`` says why nothing may begin for an agent on a server now, ``run_of`` which run of a sandbox asks;
    ``book`` is asked anew at every message; ``record`` gets every call that ended."""

    def __init__(
        self,
        book: Callable[[], Book],
        servers: Servers,
        record: Callable[[Record], None] = lambda record: None,
        *,
        halted: Callable[[str, str], Awaitable[str]] = _running,
        run_of: Callable[[str], str] = lambda sandbox_id: "",
    ) -> None:
        self.book, self.servers, self._record = book, servers, record
        self._halted, self._run_of = halted, run_of
        self.hub: Any = None
        self._pending: dict[str, Pending] = {}
        self._open: dict[tuple[str, str, str], list[tuple[Child, Call]]] = {}
        self._counts: dict[str, int] = {}
        self._listeners: dict[str, set[Listener]] = {}
        self._hubs: dict[Listener, tuple[str, tuple[str, ...]]] = {}

    async def answer(self, caller: Caller, target: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one POST of ``caller``, whose identity and host were checked; ``target`` is a server's name or ""."""
        headers = dict(scope["headers"])
        accepts = headers.get(b"accept", b"*/*")
        out = Exchange(receive, send, may_stream=b"text/event-stream" in accepts)
        try:
            body = await exchange.read_body(receive, whole(headers.get(b"content-length", b"").decode("latin-1"), 12))
            message = jsonrpc.read(body)
        except Left:
            return
        except exchange.TooLarge:
            sentence = f"A message may have {exchange.MAX_BODY // 1024 // 1024} MB."
            await out.finish(413, jsonrpc.error(None, jsonrpc.INVALID_REQUEST, sentence), [(b"connection", b"close")])
            return
        except Malformed as error:
            await out.finish(400, jsonrpc.error(error.id, error.code, str(error)))
            return
        asked = Asked(caller, message, headers, eras.is_modern(headers, message), out)
        try:
            status, reply = await self._take(asked, target)
        except Refused as error:
            status, reply = error.refusal.status, error.refusal.message(message.get("id"))
        except Left:
            return
        except Exception:
            logger.exception("An MCP message could not be answered")
            status, reply = 500, jsonrpc.error(message.get("id"), jsonrpc.INTERNAL_ERROR, "Logos made a mistake.")
        await out.finish(status, reply)

    async def _take(self, asked: Asked, target: str) -> tuple[int, Message | None]:
        if "method" not in asked.message:
            self._answered_by_caller(asked)
            return 202, None
        if "id" not in asked.message:
            self._notified_by_caller(asked, target)
            return 202, None
        if asked.modern and (refusal := eras.check_envelope(asked.headers, asked.message)) is not None:
            raise Refused(refusal)
        if not target:
            return await self.hub.answer(asked)
        served = self.book().reach(asked.caller.agent_id, target)
        if served is None:
            self._note(asked, target, "", "denied", NO_ACCESS)
            if asked.method == "tools/call":
                return 200, self.reply(asked, jsonrpc.told_model(NO_ACCESS))
            raise Refused(Refusal(403, jsonrpc.UNAVAILABLE, NO_ACCESS))
        return await self._of_server(asked, served)

    async def _of_server(self, asked: Asked, served: Served) -> tuple[int, Message | None]:
        method = asked.method
        passed = eras.PASSED if asked.modern else eras.PASSED_HANDSHAKE
        if method == "ping" and not asked.modern:
            return 200, jsonrpc.result(asked.id, {})
        if method not in passed and method not in ("initialize", "server/discover", "subscriptions/listen"):
            raise Refused(no_method(asked))
        if (method == "initialize") == asked.modern and method in ("initialize", "server/discover"):
            raise Refused(no_method(asked))
        if method == "subscriptions/listen":
            return await self.listen(asked, {served.id: served})
        try:
            supervisor = await self.running(served)
        except LogosError as error:
            self._note(asked, served.name, served.id, "unavailable", error.message)
            if method == "tools/call":
                return 200, self.reply(asked, jsonrpc.told_model(f"{error.message} {error.action}"))
            raise Refused(Refusal(503, jsonrpc.UNAVAILABLE, error.message)) from error
        # While it was waited for, what agents may see of it may have been looked at, and access may have ended.
        now = self.book().reach(asked.caller.agent_id, served.name)
        if now is None:
            return self._failed(asked, NO_ACCESS)
        served = now
        if method == "initialize":
            return 200, jsonrpc.result(asked.id, introduction(asked.params, supervisor))
        if method == "server/discover":
            return 200, jsonrpc.result(asked.id, discovered(supervisor))
        if method == "tools/list":
            return 200, self.reply(asked, {"tools": served.shown(supervisor.known.tools, supervisor.known.marks)})
        if method == "tools/call":
            return await self.call(asked, served, supervisor, asked.params.get("name"))
        return await self._carry(asked, served, supervisor, asked.params)

    async def running(self, served: Served) -> Supervisor:
        """The server's supervisor once it is ready. Raises LogosError(reason="mcp_unavailable")."""
        supervisor = self.servers.get(served.id)
        if supervisor is None:
            raise LogosError(
                f"The MCP server {served.name} is not run by this process.", reason="mcp_unavailable", permanent=False
            )
        if supervisor.state != "ready" or supervisor.child is None or not supervisor.child.is_open:
            await supervisor.ready(STARTING_S)
        return supervisor

    async def call(self, asked: Asked, served: Served, supervisor: Supervisor, tool: Any) -> tuple[int, Message | None]:
        """Carry a ``tools/call`` to ``tool`` of this server, if agents may see it."""
        offered = [each for each in supervisor.known.tools if each["name"] == tool]
        found = next(iter(served.shown(offered, supervisor.known.marks)), None)
        if found is None:
            self._note(asked, served.name, served.id, "denied", "There is no such tool.")
            raise Refused(Refusal(200, jsonrpc.INVALID_PARAMS, f"Unknown tool: {str(tool)[:128]}"))
        if (
            asked.modern
            and (refusal := eras.check_arguments(asked.headers, asked.params, found.get("inputSchema"))) is not None
        ):
            raise Refused(refusal)
        params = {**asked.params, "name": found["name"]}
        return await self._carry(asked, served, supervisor, params, found)

    async def _carry(
        self,
        asked: Asked,
        served: Served,
        supervisor: Supervisor,
        params: Mapping[str, Any],
        tool: Mapping[str, Any] | None = None,
    ) -> tuple[int, Message | None]:
        agent = asked.caller.agent_id
        if why := await self._halted(agent, served.name):
            self._note(asked, served.name, served.id, "denied", why)
            return self._failed(asked, why)
        if self._counts.get(agent, 0) >= MAX_CALLS:
            self._note(asked, served.name, served.id, "denied", "Too many calls at once.")
            return self._failed(asked, f"At most {MAX_CALLS} calls of an agent go on at once; wait for some to end.")
        child = supervisor.child
        assert child is not None  # noqa: S101 (running() saw to it)
        known = supervisor.known
        if known.is_modern and not asked.modern:
            params = eras.for_modern_server(params)
        elif asked.modern and not known.is_modern:
            params = eras.for_handshake_server(params)
        try:
            call = child.ask(asked.method, params, asked.exchange.tell)
        except Gone as error:
            self._note(asked, served.name, served.id, "gone", str(error))
            return self._failed(asked, f"{served.name}: {error}")
        key = (agent, served.id, _key(asked.id))
        self._open.setdefault(key, []).append((child, call))
        self._counts[agent] = self._counts.get(agent, 0) + 1
        outcome: Done = "ok"
        try:
            found = await asked.exchange.until(call.answer, served.timeout_s)
            supervisor.answered(call)
            outcome = "error" if "error" in found or found.get("result", {}).get("isError") is True else "ok"
            return self._answered(asked, found)
        except TimeoutError:
            outcome = "timeout"
            child.forget(call, cancel=True, why="It took too long.")
            supervisor.timed_out()
            return self._failed(asked, f"{served.name} did not answer within {served.timeout_s:g} seconds.")
        except Gone as error:
            outcome = "gone"
            return self._failed(asked, f"{served.name}: {error} {_again(tool)}".strip())
        except (Left, asyncio.CancelledError) as error:
            outcome = "cancelled"
            child.forget(call, cancel=True)
            if isinstance(error, Left) or not call.answer.cancelled():
                raise
            return self._failed(asked, "The caller cancelled this.")
        finally:
            child.calls.pop(call.id, None)
            self._counts[agent] -= 1
            self._drop(key, call)
            self._note(asked, served.name, served.id, outcome, "", child_began=call.began, params=params)

    def _drop(self, key: tuple[str, str, str], call: Call) -> None:
        left = [each for each in self._open.get(key, ()) if each[1] is not call]
        if left:
            self._open[key] = left
        else:
            self._open.pop(key, None)
        if not self._counts.get(key[0]):
            self._counts.pop(key[0], None)

    def _answered(self, asked: Asked, found: Message) -> tuple[int, Message]:
        if "error" in found:
            reply = {"jsonrpc": "2.0", "id": asked.id, "error": found["error"]}
            return (eras.status_of(reply) if asked.modern else 200), reply
        result = found.get("result")
        if not asked.modern and isinstance(result, dict) and result.get("resultType") == "input_required":
            return self._failed(asked, "This tool asks for input in a way that needs a newer client.")
        return 200, self.reply(asked, result)

    def reply(self, asked: Asked, result: Any) -> Message:
        """``result`` as this caller's era wants it."""
        return jsonrpc.result(asked.id, eras.for_modern_caller(asked.method, result) if asked.modern else result)

    def _failed(self, asked: Asked, sentence: str) -> tuple[int, Message]:
        """A failure as the caller's model can read it, where there is one."""
        if asked.method == "tools/call":
            return 200, self.reply(asked, jsonrpc.told_model(sentence))
        return 200, jsonrpc.error(asked.id, jsonrpc.UNAVAILABLE, sentence)

    # What callers tell without asking.

    def _notified_by_caller(self, asked: Asked, target: str) -> None:
        if asked.method != "notifications/cancelled":
            return
        served = self.book().servers.get(target)
        key = (asked.caller.agent_id, served.id if served else "", _key(asked.params.get("requestId")))
        # Two clients of one agent may use one id: who of them is meant cannot be told, and then nobody is.
        if len(found := self._open.get(key, [])) == 1:
            found[0][0].forget(found[0][1], cancel=True)

    def _answered_by_caller(self, asked: Asked) -> None:
        pending = self._pending.get(str(asked.id))
        if pending is None or pending.agent_id != asked.caller.agent_id:
            return
        del self._pending[str(asked.id)]
        answer: Message = {name: asked.message[name] for name in ("result", "error") if name in asked.message}
        try:
            pending.child.send(answer | {"jsonrpc": "2.0", "id": pending.id})
        except Gone:
            logger.info("An MCP server ended before its question was answered")

    # What servers ask and tell.

    def asked_by_server(self, supervisor: Supervisor, child: Child, message: Message, served: Served | None) -> bool:
        """Pass a server's question to the caller it can only be about, if the server was set up so. False: not so."""
        call = child.only_call()
        if served is None or not served.asks_caller or call is None:
            return False
        owner = next((key for key, calls in self._open.items() if any(each[1] is call for each in calls)), None)
        if owner is None:
            return False
        id = f"logos-{uuid.uuid4().hex}"
        self._pending[id] = Pending(owner[0], child, message["id"])
        call.answer.add_done_callback(lambda done: self._pending.pop(id, None))
        call.heard({**message, "id": id})
        return True

    def said_by_server(self, supervisor: Supervisor, message: Message, server_id: str) -> None:
        """A notification that belongs to no call: changed lists go to listeners; what is logged goes to the one call
        it can only belong to."""
        if (word := LISTS.get(message["method"])) is not None:
            for each in list(self._listeners.get(server_id, ())):
                if word in each.wanted:
                    each.out.tell(_tagged(message["method"], each.id))
        elif message["method"] == "notifications/message" and supervisor.child is not None:
            call = supervisor.child.only_call()
            if call is not None:
                call.heard(message)

    async def listen(
        self, asked: Asked, servers: Mapping[str, Served], *, is_hub: bool = False
    ) -> tuple[int, Message | None]:
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
        entry = Listener(id, agent, asked.exchange, frozenset(wanted))
        acknowledged = {"notifications": dict.fromkeys(sorted(wanted), True)}
        asked.exchange.tell(_tagged("notifications/subscriptions/acknowledged", id, acknowledged))
        for server_id in servers:
            self._listeners.setdefault(server_id, set()).add(entry)
        if is_hub:
            self._hubs[entry] = (agent, self._reached(agent))
        try:
            await asked.exchange.stream_until_left()
        finally:
            self._hubs.pop(entry, None)
            for found in self._listeners.values():
                found.discard(entry)
        raise Left

    def changed(self) -> None:
        """The book is another: streams of hubs are told when their agent reaches other servers now, and streams of
        servers their agent has lost hear nothing more."""
        book = self.book()
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
        return tuple(each.id for each in self.book().reached(agent_id))

    def _note(
        self,
        asked: Asked,
        server: str,
        server_id: str,
        outcome: Done,
        reason: str,
        *,
        child_began: float = 0.0,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        if asked.method not in eras.NAMED and outcome == "ok":
            return  # lists and the like are no calls
        now = asyncio.get_running_loop().time()
        subject = asked.params.get(eras.NAMED.get(asked.method, ""), "")
        self._record(
            Record(
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
                run_id=self._run_of(asked.caller.sandbox_id) if asked.caller.sandbox_id else "",
            )
        )


def introduction(params: Mapping[str, Any], supervisor: Supervisor) -> dict[str, Any]:
    """The answer to ``initialize`` for this server."""
    known = supervisor.known
    found: dict[str, Any] = {
        "protocolVersion": eras.agreed(params.get("protocolVersion")),
        "capabilities": known.capabilities,
        "serverInfo": {"name": supervisor.name, "version": "", **known.info},
    }
    return found | ({"instructions": known.instructions} if known.instructions else {})


def discovered(supervisor: Supervisor) -> dict[str, Any]:
    """The answer to ``server/discover`` for this server."""
    known = supervisor.known
    gone = () if known.is_modern else ("logging", "tasks")
    found: dict[str, Any] = {
        "supportedVersions": list(eras.SUPPORTED),
        "capabilities": {name: value for name, value in known.capabilities.items() if name not in gone},
        "_meta": {eras.SERVER: {"name": supervisor.name, "version": "", **known.info}},
        "resultType": "complete",
        "ttlMs": eras.TTL_MS,
        "cacheScope": "private",
    }
    return found | ({"instructions": known.instructions} if known.instructions else {})


def no_method(asked: Asked) -> Refusal:
    return Refusal(404 if asked.modern else 200, jsonrpc.METHOD_NOT_FOUND, f"Method not found: {asked.method[:80]}")


def _tagged(method: str, id: str, params: Mapping[str, Any] | None = None) -> Message:
    return {"jsonrpc": "2.0", "method": method, "params": {**(params or {}), "_meta": {eras.SUBSCRIPTION: id}}}


def _key(id: Any) -> str:
    """A caller's id as a key: 1 and "1" are two."""
    return f"{type(id).__name__}:{id}"


def _again(tool: Mapping[str, Any] | None) -> str:
    """Whether a call that was cut off may simply be repeated."""
    hints = (tool or {}).get("annotations")
    is_safe = isinstance(hints, dict) and (hints.get("readOnlyHint") is True or hints.get("idempotentHint") is True)
    if is_safe:
        return "It is started again: repeat the call."
    return "It is started again. Whether the call had an effect is not known: look before you repeat it."
