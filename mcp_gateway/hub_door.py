"""``/mcp``: the tools of every server an agent has access to, and those of Logos itself, at one address."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeGuard

from agents.errors import LogosError
from mcp_gateway import (
    ask_person,
    calling_by_name,
    capabilities,
    eras,
    hub,
    jsonrpc,
    own_notes,
    own_rules,
    own_sessions,
    patience,
    requesting,
    send_message,
)
from mcp_gateway.ask_person import AskPerson
from mcp_gateway.asked import Answer, Asked, Refused, no_method
from mcp_gateway.book import Caller, Served
from mcp_gateway.calls import Done
from mcp_gateway.eras import Refusal
from mcp_gateway.own_notes import OwnNotes
from mcp_gateway.own_rules import OURS
from mcp_gateway.own_sessions import OwnSessions
from mcp_gateway.relay import Relay
from mcp_gateway.send_message import OwnMessages
from mcp_gateway.waits import CANCELLED, TakenBack

CAPABILITIES: dict[str, Any] = {"tools": {"listChanged": True}}
INSTRUCTIONS = (
    "Tools of MCP servers are called SERVER__TOOL. list_mcp_servers says which servers there are and which of them "
    "you may use; ask for another with request_mcp_access, and call what is not in your list with call_mcp_tool."
)
_OBJECT: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
OWN_TOOLS: list[dict[str, Any]] = [
    {
        "name": "list_mcp_servers",
        "description": "List the MCP servers there are for you: what each is for, and whether you may use it.",
        "inputSchema": {
            "type": "object",
            "properties": {"server": {"type": "string", "description": "Only this one, and what its tools take."}},
            "additionalProperties": False,
        },
        "annotations": {"readOnlyHint": True},
    },
    calling_by_name.TOOL,
    {
        "name": "request_mcp_access",
        "description": "Ask for access to an MCP server. A person may have to allow it; this waits a while for them.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "server": {"type": "string", "description": "Its name, from list_mcp_servers."},
                "reason": {"type": "string", "description": "Why you need it, for the person who decides."},
                "minutes": {"type": "integer", "description": "For how long; leave it out for no end."},
            },
            "required": ["server", "reason"],
            "additionalProperties": False,
        },
    },
    {
        "name": "mcp_access_status",
        "description": "What became of a request for access.",
        "inputSchema": {
            "type": "object",
            "properties": {"request_id": {"type": "string"}},
            "required": ["request_id"],
            "additionalProperties": False,
        },
        "annotations": {"readOnlyHint": True},
    },
    {
        "name": "current_time",
        "description": "The current date and time in UTC.",
        "inputSchema": _OBJECT,
        "annotations": {"readOnlyHint": True},
    },
    *ask_person.TOOLS,
    *own_sessions.TOOLS,
    *send_message.TOOLS,
    *own_notes.TOOLS,
]
_BY_NAME = {each["name"]: each for each in OWN_TOOLS}

Db = Callable[..., Awaitable[Any]]


class Hub:
    """Answers for the address without a server's name."""

    def __init__(self, relay: Relay, db: Db, run_of: Callable[[Asked], str] = lambda asked: "") -> None:
        self._relay, self._db, self._run_of = relay, db, run_of
        self._own: dict[str, Callable[[Asked], Awaitable[dict[str, Any]]]] = {
            "list_mcp_servers": self._list_servers,
            "request_mcp_access": self._request,
            "mcp_access_status": self._status,
            "current_time": self._time,
        }
        people = AskPerson(db, run_of)
        self._own |= {"ask_person": people.ask, "person_answer": people.look}
        self._own["search_my_sessions"] = OwnSessions(db, run_of).search
        kept = OwnNotes(db, run_of)
        self._own |= {"remember": kept.remember, "recall": kept.recall, "forget": kept.forget}
        self._own["send_message"] = OwnMessages(db, run_of).send

    async def answer(self, asked: Asked) -> Answer:
        """One request of an agent to its hub."""
        method = asked.method
        if method == "ping" and not asked.modern:
            return 200, jsonrpc.result(asked.id, {})
        if method == "initialize" and not asked.modern:
            version = eras.agreed(asked.params.get("protocolVersion"))
            said = {"protocolVersion": version, "capabilities": CAPABILITIES, "serverInfo": eras.OURSELVES}
            whose = {"_meta": {eras.AGENT: asked.caller.name}}
            return 200, jsonrpc.result(asked.id, said | whose | {"instructions": INSTRUCTIONS})
        if method == "server/discover" and asked.modern:
            return 200, jsonrpc.result(asked.id, eras.discovered(CAPABILITIES, INSTRUCTIONS))
        if method == "tools/list":
            names = await self.names(asked.caller)
            ours = own_rules.offered(OWN_TOOLS, self._relay.book().rules_for(asked.caller.agent_id))
            return 200, asked.reply({"tools": [*ours, *names.tools]})
        if method == "tools/call":
            return await self._call(asked)
        if method == "subscriptions/listen" and asked.modern:
            reached = self._relay.book().reached(asked.caller.agent_id)
            return await self._relay.listening.listen(asked, {each.id: each for each in reached}, is_hub=True)
        raise Refused(no_method(asked))

    async def names(self, caller: Caller) -> hub.Names:
        """What this agent's hub offers now: the tools of servers that run, and to clients outside those in its sandbox.
        Servers that start are waited for a little."""
        agent_id = caller.agent_id
        reached = self._relay.book().reached(agent_id)
        await asyncio.gather(*(self._waited_for(served) for served in reached))
        reached = self._relay.book().reached(agent_id)
        shown: dict[str, list[dict[str, Any]]] = {}
        if caller.via == "token":
            shown[capabilities.NAME] = self._relay.capabilities.tools()
        for served in reached:
            supervisor = self._relay.servers.get(served.id)
            if supervisor is not None and supervisor.state == "ready":
                shown[served.name] = self._relay.tools(served, agent_id)
        return hub.names(shown, [each["name"] for each in OWN_TOOLS])

    async def _waited_for(self, served: Served) -> None:
        supervisor = self._relay.servers.get(served.id)
        if supervisor is not None and supervisor.state == "starting":
            try:
                await supervisor.ready(5.0)
            except LogosError:
                return

    async def _call(self, asked: Asked) -> Answer:
        name = asked.params.get("name")
        own = self._own.get(name) if isinstance(name, str) else None
        if own is not None:
            return await self._made(asked, own)
        if name == calling_by_name.NAME:
            return await self._by_name(asked)
        place = (await self.names(asked.caller)).places.get(name) if isinstance(name, str) else None
        if place is not None and place.server == capabilities.NAME:
            return await self._relay.capabilities.call(asked, place.tool)
        if place is None:
            self._relay.carrier.note(asked, OURS, "", "denied", "There is no such tool.")
            raise Refused(Refusal(200, jsonrpc.INVALID_PARAMS, f"Unknown tool: {str(name)[:128]}"))
        inner = replace(asked, message={**asked.message, "params": {**asked.params, "name": place.tool}})
        return await self._relay.call_at(inner, place.server, place.tool)

    async def _by_name(self, asked: Asked) -> Answer:
        """A call that says itself where it goes: under the checks and the record of one that was made there."""
        found = calling_by_name.named(asked)
        if found is None:
            self._relay.carrier.note(asked, OURS, "", "error", "")
            return asked.failed("Say which server and which tool, and give the arguments as an object.")
        given = {"server": found.server, "tool": found.tool, "arguments": found.asked.params["arguments"]}
        return await self._relay.ruled(asked, calling_by_name.TOOL, given, lambda asked, reason: self._at(found))

    async def _at(self, found: calling_by_name.Named) -> Answer:
        try:
            return await self._relay.call_at(found.asked, found.server, found.tool, mirrors=False)
        except Refused as error:
            # Whoever calls it so reads results, not errors of the protocol.
            return found.asked.failed(error.refusal.sentence)

    async def _made(self, asked: Asked, own: Callable[[Asked], Awaitable[dict[str, Any]]]) -> Answer:
        """The call of a tool of ours: stopped, ruled and recorded as any other."""
        carrier, tool = self._relay.carrier, _BY_NAME[asked.params["name"]]
        if why := await carrier.halted(asked.caller.agent_id, OURS):
            carrier.note(asked, OURS, "", "denied", why)
            return asked.failed(why)
        given = asked.params.get("arguments")
        arguments = given if isinstance(given, dict) else {}
        if not jsonrpc.is_storable(arguments):
            carrier.note(asked, OURS, "", "error", "")
            return asked.failed("The arguments hold a character that no text has.")
        return await self._relay.ruled(asked, tool, arguments, lambda asked, reason: self._do(asked, own, reason))

    async def _do(self, asked: Asked, own: Callable[[Asked], Awaitable[dict[str, Any]]], reason: str) -> Answer:
        began = asyncio.get_running_loop().time()
        outcome: Done = "cancelled"
        try:
            result = await own(asked)
            outcome = "error" if result.get("isError") is True else "ok"
            return 200, asked.reply(result)
        except TakenBack:
            reason = CANCELLED
            return asked.failed(CANCELLED)
        finally:
            self._relay.carrier.note(asked, OURS, "", outcome, reason, child_began=began)

    async def _list_servers(self, asked: Asked) -> dict[str, Any]:
        found = await self._db(requesting.askable, asked.caller.agent_id)
        given = asked.params.get("arguments")
        if isinstance(only := given.get("server") if isinstance(given, dict) else None, str):
            found = [each for each in found if each["name"] == only]
            for each in found:
                each |= {"described": await self._described(asked, only)}
        reached = {each.name: each for each in self._relay.book().reached(asked.caller.agent_id)}
        for each in found:
            served = reached.get(each["name"])
            supervisor = self._relay.servers.get(served.id) if served is not None else None
            if served is not None and supervisor is not None:
                shown = [tool["name"] for tool in self._relay.tools(served, asked.caller.agent_id)]
                each |= {"state": supervisor.state, "tools": [hub.name_of(served.name, name) for name in shown]}
        return jsonrpc.told({"servers": found})

    async def _request(self, asked: Asked) -> dict[str, Any]:
        given = asked.params.get("arguments")
        given = given if isinstance(given, dict) else {}
        server, reason, minutes = given.get("server"), given.get("reason"), given.get("minutes")
        if not _is_text(server) or not _is_text(reason):
            return jsonrpc.told_model("Say which server, and why.")
        if minutes is not None and (isinstance(minutes, bool) or not isinstance(minutes, int)):
            return jsonrpc.told_model("Minutes are a whole number.")
        agent = asked.caller.agent_id
        answer = await self._db(requesting.ask, agent, server, reason, minutes, self._run_of(asked))
        if answer.status == "pending":
            answer = await self._held(asked, answer)
        return await self._granted(asked, answer) if answer.status == "granted" else _said(answer)

    async def _status(self, asked: Asked) -> dict[str, Any]:
        given = asked.params.get("arguments")
        id = given.get("request_id") if isinstance(given, dict) else None
        if not _is_text(id):
            return jsonrpc.told_model("Say which request.")
        answer = await self._db(requesting.status, asked.caller.agent_id, id)
        return await self._granted(asked, answer) if answer.status == "granted" else _said(answer)

    async def _granted(self, asked: Asked, answer: requesting.Answer) -> dict[str, Any]:
        """What was granted can be used at once: the answer tells what the tools take, and a caller of the older era,
        whose list stays as it was, that it should ask for it anew."""
        await self._known(asked.caller.agent_id, answer.server)
        if not asked.modern:
            asked.exchange.tell({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        return _said(answer, {"tools": await self._described(asked, answer.server)})

    async def _described(self, asked: Asked, server: str) -> list[dict[str, Any]]:
        """The tools of one server, if the agent may use it and it runs."""
        served = self._relay.book().reach(asked.caller.agent_id, server)
        if served is None:
            return []
        await self._waited_for(served)
        supervisor = self._relay.servers.get(served.id)
        if supervisor is None or supervisor.state != "ready":
            return []
        served = self._relay.book().reach(asked.caller.agent_id, server)
        if served is None:
            return []
        return calling_by_name.described(server, self._relay.tools(served, asked.caller.agent_id))

    async def _held(self, asked: Asked, answer: requesting.Answer) -> requesting.Answer:
        """Wait a while for the person. Raises Left when the caller does not."""
        agent, id = asked.caller.agent_id, answer.request_id
        return await patience.held(
            asked,
            answer,
            lambda found: found.status == "pending",
            lambda: self._db(requesting.status, agent, id),
            f"waiting for a person ({id})",
            patience.HOLD_S,
        )

    async def _known(self, agent_id: str, server: str) -> None:
        """Until the book knows it too: what was granted can be used at the next call."""
        for _ in range(20):
            if self._relay.book().reach(agent_id, server) is not None:
                return
            await asyncio.sleep(0.1)

    async def _time(self, asked: Asked) -> dict[str, Any]:
        return jsonrpc.told({"utc": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")})


def _said(answer: requesting.Answer, more: dict[str, Any] | None = None) -> dict[str, Any]:
    value = {"status": answer.status, "message": answer.sentence, "request_id": answer.request_id}
    return jsonrpc.told(value | (more or {})) | ({"isError": True} if answer.status == "refused" else {})


def told(value: dict[str, Any]) -> dict[str, Any]:
    """The result of a tool of ours: for models as text, for programs as it is."""
    return {"content": [{"type": "text", "text": jsonrpc.dumps(value).decode()}], "structuredContent": value}


def _is_text(value: Any) -> TypeGuard[str]:
    """A text that can be looked for in rows."""
    return isinstance(value, str) and jsonrpc.is_storable(value)
