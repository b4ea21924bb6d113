"""The door to MCP servers: a plain ASGI application that carries JSON-RPC between agents and servers as it is.

``/mcp/{server}`` is one server, ``/mcp`` the hub of an agent. Both eras of the protocol are spoken on both, without
sessions: whatever a request needs it carries, so a restart of Logos is invisible. What a caller may reach is asked of
the ``Book`` at every message.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from agents.errors import Code, LogosError
from agents.numbers import whole
from mcp_gateway import (
    capabilities,
    carrying,
    describing,
    eras,
    exchange,
    holding,
    jsonrpc,
    own_rules,
    resources,
)
from mcp_gateway.asked import Answer, Asked, Refused, no_method
from mcp_gateway.book import Book, Caller, Served
from mcp_gateway.calls import Record
from mcp_gateway.capabilities import Capabilities
from mcp_gateway.carrying import Carrier, Halted
from mcp_gateway.eras import Refusal
from mcp_gateway.exchange import Exchange, Left, Receive, Scope, Send
from mcp_gateway.holding import Holder, Wanted
from mcp_gateway.jsonrpc import Malformed
from mcp_gateway.judging import Judge
from mcp_gateway.listening import Listening
from mcp_gateway.sampling.answering import Sampler
from mcp_gateway.supervisor import Supervisor
from sandboxes.tool_server.tiers import Tier

logger = logging.getLogger(__name__)

# How long a call waits for a server that is being started.
STARTING_S = 30.0

NO_ACCESS = "This agent has no access to an MCP server of this name."
OTHER_RULES = "The rules have changed since this was asked for, so it was not done. Make the call again if you need it."
# By what a client of the newer era answers what a server asked inside of a result.
ANSWERS = frozenset({"inputResponses", "requestState"})

# What is no tool and may read or do anything there, with arguments of the agent's own.
RULED = frozenset({"resources/read", "resources/subscribe", "prompts/get", "completion/complete"})


@dataclass(frozen=True, slots=True)
class Reached:
    """A server that an agent may use now, and its running supervisor."""

    served: Served
    supervisor: Supervisor


class Servers(Protocol):
    """Where running servers are found: ``fleet.Fleet``, or a fake."""

    def get(self, server_id: str) -> Supervisor | None: ...

    def met(self, server_id: str, agent_id: str) -> Supervisor | None: ...

    async def own(self, server_id: str, agent_id: str) -> Supervisor | None: ...


class Relay:
    """``book`` is asked anew at every message; ``record`` gets every call that ended. ``halted``, ``run_of`` and
    ``begin`` are those of ``Carrier``; ``holder`` asks people about calls where a rule wants that, and without one those are refused. ``sampler`` answers what servers ask of a model."""

    def __init__(
        self,
        book: Callable[[], Book],
        servers: Servers,
        record: Callable[[Record], None] = lambda record: None,
        *,
        halted: Halted = carrying.running,
        run_of: Callable[[Asked], str] = lambda asked: "",
        holder: Holder | None = None,
        begin: Callable[[Record], None] | None = None,
        sampler: Sampler | None = None,
    ) -> None:
        self.book, self.servers, self._holder = book, servers, holder
        self.judge = Judge()
        self.capabilities = Capabilities(run_of)
        self.carrier = Carrier(record, halted, run_of, begin, sampler)
        self.listening = Listening(book, self.carrier)
        self.hub: Any = None

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
        asked = Asked(
            caller, message, headers, eras.is_modern(headers, message), out, len(body), target, waits=self.carrier.waits
        )
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

    async def _take(self, asked: Asked, target: str) -> Answer:
        if "method" not in asked.message:
            self.listening.answered(asked)
            return 202, None
        if "id" not in asked.message:
            if asked.method == "notifications/cancelled":
                self.carrier.cancel(asked)
            return 202, None
        if asked.modern and (refusal := eras.check_envelope(asked.headers, asked.message)) is not None:
            raise Refused(refusal)
        if not target:
            return await self.hub.answer(asked)
        if target == capabilities.NAME:
            return await self.capabilities.answer(asked)
        served = self.book().reach(asked.caller.agent_id, target)
        return self._no_access(asked, target) if served is None else await self._of_server(asked, served)

    def _no_access(self, asked: Asked, target: str) -> Answer:
        self.carrier.note(asked, target, "", "denied", NO_ACCESS)
        if asked.method == "tools/call":
            return 200, asked.reply(jsonrpc.told_model(NO_ACCESS))
        raise Refused(Refusal(403, jsonrpc.UNAVAILABLE, NO_ACCESS))

    async def _of_server(self, asked: Asked, served: Served) -> Answer:
        method = asked.method
        passed = eras.PASSED if asked.modern else eras.PASSED_HANDSHAKE
        if method == "ping" and not asked.modern:
            return 200, jsonrpc.result(asked.id, {})
        if served.resources == "off" and resources.is_about(method, asked.params):
            raise Refused(no_method(asked))
        if method not in passed and method not in ("initialize", "server/discover", "subscriptions/listen"):
            raise Refused(no_method(asked))
        if (method == "initialize") == asked.modern and method in ("initialize", "server/discover"):
            raise Refused(no_method(asked))
        if method == "subscriptions/listen":
            return await self.listening.listen(asked, {served.id: served})
        try:
            # What the server is, is the same for all; what is done there is done by the agent's own copy, if it has one.
            agent = "" if describing.is_known(method, served) else asked.caller.agent_id
            supervisor = await self.running(served, agent)
        except LogosError as error:
            self.carrier.note(asked, served.name, served.id, "unavailable", error.message)
            if method == "tools/call":
                return 200, asked.reply(jsonrpc.told_model(f"{error.message} {error.action}"))
            raise Refused(Refusal(503, jsonrpc.UNAVAILABLE, error.message)) from error
        # While it was waited for, what agents may see of it may have been looked at, and access may have ended.
        now = self.book().reach(asked.caller.agent_id, served.name)
        if now is None:
            return asked.failed(NO_ACCESS)
        served = now
        if method in passed and asked.size > served.max_argument:
            return self._too_long(asked, served)
        if method == "initialize":
            return 200, jsonrpc.result(asked.id, describing.introduction(asked.params, supervisor, served))
        if method == "server/discover":
            return 200, jsonrpc.result(asked.id, describing.discovered(supervisor, served))
        if method == "tools/list":
            return 200, asked.reply({"tools": self.tools(served, asked.caller.agent_id)})
        if method == "logging/setLevel" and not supervisor.agent_id:
            return _level(asked)
        if method == "tools/call":
            return await self.call(asked, served, supervisor, asked.params.get("name"))
        if method in ("prompts/list", "prompts/get"):
            prompts = describing.prompts(served, supervisor if method == "prompts/get" else self._met(served, asked))
            if method == "prompts/list":
                return 200, asked.reply({"prompts": prompts})
            if asked.params.get("name") not in [each["name"] for each in prompts]:
                raise Refused(Refusal(200, jsonrpc.INVALID_PARAMS, "Unknown prompt."))
        kind = resources.LISTS.get(method, "")
        if kind and (kind in supervisor.pins or served.resources == "pinned"):
            return 200, asked.reply({kind: resources.accepted(served, self._met(served, asked).known, kind)})
        if method == "resources/list":
            status, reply = await self.carrier.carry(asked, served, supervisor, asked.params)
            return status, resources.as_they_are(reply)
        if method in resources.OF_ONE and resources.waits(served, supervisor.known, asked.params.get("uri")):
            raise Refused(Refusal(200, jsonrpc.INVALID_PARAMS, "Unknown resource."))
        if method in RULED:
            return await self._other(asked, served, supervisor)
        return await self.carrier.carry(asked, served, supervisor, asked.params)

    async def _other(self, asked: Asked, served: Served, supervisor: Supervisor) -> Answer:
        """What is no tool and does something there all the same: under the rules for the whole server, or for its name."""
        agent, given = asked.caller.agent_id, {name: each for name, each in asked.params.items() if name != "_meta"}
        verdict = self.judge.judge(agent, served, asked.method, given, self.book().rules_for(agent))
        asked = replace(asked, decision=str(verdict.tier))
        if verdict.tier == Tier.BLOCK:
            self.carrier.note(asked, served.name, served.id, "denied", verdict.reason)
            return asked.failed(f"This call is not allowed. {verdict.reason}")
        if verdict.tier == Tier.ALLOW:
            return await self.carrier.carry(asked, served, supervisor, asked.params)
        basis = self._basis(agent, served, asked.method)
        wanted = Wanted(served.name, {"name": asked.method}, given, verdict, basis)
        return await self._hold(asked, served, wanted, lambda: self._other_allowed(asked, served.name, wanted))

    async def _other_allowed(self, asked: Asked, name: str, wanted: Wanted) -> Answer:
        found = await self._still(asked, name, wanted)
        if isinstance(found, tuple):
            return found
        params = holding.as_shown(asked.params, wanted.arguments)
        return await self.carrier.carry(
            asked, holding.asking_us(found.served), found.supervisor, params, reason=holding.told_why(wanted)
        )

    def _basis(self, agent_id: str, served: Served, tool: str) -> tuple[Any, ...]:
        return self.judge.basis(served, tool, self.book().rules_for(agent_id))

    def _met(self, served: Served, asked: Asked) -> Supervisor:
        """Where it stands what a server that runs offers this caller."""
        found = self.servers.met(served.id, asked.caller.agent_id)
        if found is None:
            raise Refused(Refusal(503, jsonrpc.UNAVAILABLE, f"{served.name} has just ended."))
        return found

    def tools(self, served: Served, agent_id: str) -> list[dict[str, Any]]:
        """What the agent sees of a server that runs: in a copy of its own, what that copy has as it was accepted."""
        supervisor = self.servers.met(served.id, agent_id)
        return served.shown(supervisor.known.tools, supervisor.known.marks) if supervisor is not None else []

    async def running(self, served: Served, agent_id: str = "") -> Supervisor:
        """The server's supervisor once it is ready, or that of the agent's own copy of it. Raises
        LogosError(reason="mcp_unavailable")."""
        is_own = served.has_copies and agent_id
        if is_own and (why := await self.carrier.halted(agent_id, served.name)):
            raise LogosError(why, reason=Code.HALTED, permanent=False)  # a copy is not started to be ended again
        supervisor = await self.servers.own(served.id, agent_id) if is_own else self.servers.get(served.id)
        if supervisor is None:
            raise LogosError(
                f"The MCP server {served.name} is not run by this process.", reason="mcp_unavailable", permanent=False
            )
        if supervisor.state != "ready" or supervisor.child is None or not supervisor.child.is_open:
            await supervisor.ready(STARTING_S)
        return supervisor

    async def call(
        self, asked: Asked, served: Served, supervisor: Supervisor, tool: Any, *, mirrors: bool = True
    ) -> Answer:
        """Carry a ``tools/call`` to ``tool`` of this server, if agents may see it. ``mirrors``: the caller has seen the
        tool's schema, and repeats in headers what that wants there."""
        offered = [each for each in supervisor.known.tools if each["name"] == tool]
        found = next(iter(served.shown(offered, supervisor.known.marks)), None)
        if found is None:
            self.carrier.note(asked, served.name, served.id, "denied", "There is no such tool.")
            raise Refused(Refusal(200, jsonrpc.INVALID_PARAMS, f"Unknown tool: {str(tool)[:128]}"))
        if (
            asked.modern
            and mirrors
            and (refusal := eras.check_arguments(asked.headers, asked.params, found.get("inputSchema"))) is not None
        ):
            raise Refused(refusal)
        arguments = asked.params.get("arguments") or {}
        if not isinstance(arguments, dict):
            raise Refused(Refusal(200, jsonrpc.INVALID_PARAMS, "Arguments are an object."))
        if asked.size > served.max_argument:
            return self._too_long(asked, served)
        agent = asked.caller.agent_id
        verdict = self.judge.judge(agent, served, found["name"], arguments, self.book().rules_for(agent))
        asked = replace(asked, decision=str(verdict.tier))
        if verdict.tier == Tier.BLOCK:
            self.carrier.note(asked, served.name, served.id, "denied", verdict.reason, params=found)
            return asked.failed(f"This call is not allowed. {verdict.reason}")
        if verdict.tier in (Tier.ASK, Tier.NOTIFY):
            wanted = Wanted(served.name, found, arguments, verdict, self._basis(agent, served, found["name"]))
            return await self._hold(asked, served, wanted, lambda: self._allowed(asked, served.name, wanted))
        params = {**asked.params, "name": found["name"]}
        if not served.asks_caller and not ANSWERS.isdisjoint(params):
            # What the server asks is not for the agent to answer, so it does not answer beforehand either.
            params = {name: each for name, each in params.items() if name not in ANSWERS}
        return await self.carrier.carry(asked, served, supervisor, params, found)

    async def call_at(self, asked: Asked, target: str, tool: str, *, mirrors: bool = True) -> Answer:
        """A ``tools/call`` that names its server instead of having been sent to it."""
        served = self.book().reach(asked.caller.agent_id, target)
        if served is None:
            return self._no_access(asked, target)
        try:
            supervisor = await self.running(served, asked.caller.agent_id)
        except LogosError as error:
            self.carrier.note(asked, served.name, served.id, "unavailable", error.message)
            return asked.failed(f"{error.message} {error.action}")
        now = self.book().reach(asked.caller.agent_id, target)
        if now is None:
            return self._no_access(asked, target)
        return await self.call(asked, now, supervisor, tool, mirrors=mirrors)

    async def ruled(
        self,
        asked: Asked,
        tool: Mapping[str, Any],
        arguments: dict[str, Any],
        make: Callable[[Asked, str], Awaitable[Answer]],
    ) -> Answer:
        """``make`` a call of a tool of Logos itself, unless a rule that names it refuses it or wants it asked for."""
        found = own_rules.about(self.book().rules_for(asked.caller.agent_id))
        if not found:
            return await make(asked, "")
        verdict = self.judge.judge(asked.caller.agent_id, own_rules.SERVED, tool["name"], arguments, found)
        asked = replace(asked, decision=str(verdict.tier))
        if verdict.tier == Tier.BLOCK:
            self.carrier.note(asked, own_rules.OURS, "", "denied", verdict.reason)
            return asked.failed(f"This call is not allowed. {verdict.reason}")
        if verdict.tier not in (Tier.ASK, Tier.NOTIFY):
            return await make(asked, "")
        if self._holder is None:
            return asked.failed(f"This call has to be asked for, and nobody can be asked. {verdict.reason}")
        reason = verdict.reason if verdict.tier == Tier.NOTIFY else ""
        wanted = Wanted(own_rules.OURS, tool, arguments, verdict)

        async def allowed() -> Answer:
            now = own_rules.about(self.book().rules_for(asked.caller.agent_id))
            if now != found or self.book().lasts(asked.caller) == 0.0:
                return asked.failed(OTHER_RULES)
            return await make(asked, reason)

        held = await self._holder.hold(asked, wanted, allowed)
        if held.outcome is not None:
            self.carrier.note(asked, own_rules.OURS, "", held.outcome, held.reason)
        return held.answer

    def _too_long(self, asked: Asked, served: Served) -> Answer:
        sentence = f"A call to {served.name} may have {served.max_argument // 1024:,} KB. Send less at a time."
        self.carrier.note(asked, served.name, served.id, "denied", sentence)
        return asked.failed(sentence)

    async def _hold(
        self, asked: Asked, served: Served, wanted: Wanted, make: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        if self._holder is None:
            return asked.failed(f"People have to hear of this call, and nobody can be told. {wanted.verdict.reason}")
        held = await self._holder.hold(asked, wanted, make)
        if held.outcome is not None:
            params = wanted.tool if asked.method == "tools/call" else None
            self.carrier.note(asked, served.name, served.id, held.outcome, held.reason, params=params)
        return held.answer

    async def _still(self, asked: Asked, name: str, wanted: Wanted) -> Reached | Answer:
        """The server, if the agent may use it at this moment, also after it was waited for, and the same rules hold that
        the question came from; else the answer that says no."""
        served = self.book().reach(asked.caller.agent_id, name)
        if served is None:
            return asked.failed(NO_ACCESS)
        try:
            supervisor = await self.running(served, asked.caller.agent_id)
        except LogosError as error:
            return asked.failed(f"{error.message} {error.action}")
        served, agent = self.book().reach(asked.caller.agent_id, name), asked.caller.agent_id
        if served is None or self.book().lasts(asked.caller) == 0.0:
            return asked.failed(NO_ACCESS)
        if self._basis(agent, served, wanted.tool["name"]) != wanted.judged_by:
            return asked.failed(OTHER_RULES)
        return Reached(served, supervisor)

    async def _allowed(self, asked: Asked, name: str, wanted: Wanted) -> Answer:
        """Make a call that people know of, if it is still the same call and the agent may still make it."""
        found = await self._still(asked, name, wanted)
        if isinstance(found, tuple):
            return found
        served, supervisor, tool = found.served, found.supervisor, wanted.tool["name"]
        offered = [each for each in supervisor.known.tools if each["name"] == tool]
        if served.shown(offered, supervisor.known.marks) != [wanted.tool]:
            return asked.failed(f"{tool} is another tool than the one that was asked about, so it was not called.")
        params = holding.as_shown(asked.params, {"name": tool, "arguments": wanted.arguments})
        return await self.carrier.carry(
            asked, holding.asking_us(served), supervisor, params, wanted.tool, reason=holding.told_why(wanted)
        )


def _level(asked: Asked) -> Answer:
    """Taken, and nothing changes: the server logs for everybody, and one agent must not silence it for the others."""
    if asked.params.get("level") not in eras.LEVELS:
        raise Refused(Refusal(200, jsonrpc.INVALID_PARAMS, f"A level is one of {', '.join(eras.LEVELS)}."))
    return 200, asked.reply({})
