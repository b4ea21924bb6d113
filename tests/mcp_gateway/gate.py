"""A relay in front of real servers on a real socket, with a book written by hand; no rows."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp

from mcp_gateway import eras
from mcp_gateway.book import Book, Served, Token, digest
from mcp_gateway.calls import Record
from mcp_gateway.children import Launch
from mcp_gateway.door import Door
from mcp_gateway.hub_door import Hub
from mcp_gateway.peers import Launchable, Peer
from mcp_gateway.reading import PINS
from mcp_gateway.relay import Relay
from mcp_gateway.supervisor import Supervisor, Times
from sandboxes.inference.serve import PassedListeners

EVERYTHING = Path(__file__).with_name("everything.py")
PATIENCE_S = 120.0
ATLAS, BRUNO = "token of atlas", "token of bruno"


class Servers(dict[str, Supervisor]):
    """One of each for everybody."""

    def met(self, server_id: str, agent_id: str) -> Supervisor | None:
        return self.get(server_id)

    async def own(self, server_id: str, agent_id: str) -> Supervisor | None:
        return self.get(server_id)


class Gate:
    """``atlas`` may use every server; ``bruno`` none."""

    def __init__(self) -> None:
        self.servers = Servers()
        self.records: list[Record] = []
        tokens = {digest(ATLAS): Token(1, "agent_atlas"), digest(BRUNO): Token(2, "agent_bruno")}
        self.book = Book({}, {"agent_atlas": "atlas", "agent_bruno": "bruno"}, tokens, {"agent_atlas": {}})
        self.relay = Relay(lambda: self.book, self.servers, self.records.append)
        self.relay.hub = Hub(self.relay, self._db)
        self.door = Door(self.relay, lambda secret: self.book.by_token(secret), lambda: ["logos.example"])
        self.url = ""
        self._http: aiohttp.ClientSession | None = None

    async def _db(self, function: Any, *args: Any) -> Any:
        """There are no rows: every server within reach is known, and none can be asked for."""
        return [{"name": each.name} for each in self.book.reached(args[0])]

    def add(
        self,
        name: str,
        *args: str,
        times: Times | None = None,
        command: str = sys.executable,
        start: Launchable | None = None,
        **rules: Any,
    ) -> Supervisor:
        """One more server, started; with ``args`` for ``everything.py``, another ``command``, or as ``start`` says."""
        served = Served(f"id-{name}", name, **{"timeout_s": 30.0, **rules})
        words = (str(EVERYTHING), *args) if command == sys.executable else args

        async def launch() -> Launchable:
            return start or Launch(command, words, {"PYTHONUNBUFFERED": "1"}, Path("/tmp"))

        def said(supervisor: Supervisor, message: Any) -> None:
            self.relay.listening.said(supervisor, message, served.id)

        def asked(supervisor: Supervisor, child: Peer, message: Any) -> bool:
            return self.relay.listening.asked(supervisor, child, message, self.book.servers.get(name))

        supervisor = Supervisor(
            name, launch, times or Times(30, PATIENCE_S, 0.05), said=said, asked=asked, pins=PINS["pinned"]
        )
        self.servers[served.id] = supervisor
        held = {**self.book.grants["agent_atlas"], served.id: None}
        self.rewrite(servers={**self.book.servers, name: served}, grants={"agent_atlas": held})
        supervisor.start()
        return supervisor

    def rewrite(self, **parts: Any) -> None:
        """Another book, as after a change of the rows."""
        self.book = replace(self.book, **parts)
        self.relay.listening.changed()

    def rule(self, name: str, **rules: Any) -> None:
        """Other rules for a server."""
        self.rewrite(servers={**self.book.servers, name: replace(self.book.servers[name], **rules)})

    async def post(
        self, path: str, message: Any, *, token: str = ATLAS, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """The status of a POST below /mcp, and the last message of its answer."""
        status, messages = await self.hear(path, message, token=token, headers=headers)
        return status, messages[-1] if messages else None

    async def hear(
        self, path: str, message: Any, *, token: str = ATLAS, headers: dict[str, str] | None = None
    ) -> tuple[int, list[Any]]:
        """The same with every message of a stream."""
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        assert self._http is not None
        async with self._http.post(
            f"{self.url}{path}", data=body, headers={**usual(token), **(headers or {})}
        ) as answer:
            text = await answer.text()
            if "event-stream" in answer.headers.get("Content-Type", ""):
                return answer.status, [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
            return answer.status, [json.loads(text)] if text else []

    async def call(self, server: str, tool: str, id: Any = 1, token: str = ATLAS, **arguments: Any) -> Any:
        """The answer to a tool call of a handshake caller."""
        path = f"/{server}" if server else ""
        return (await self.post(path, request("tools/call", id, name=tool, arguments=arguments), token=token))[1]

    async def listed(self, server: str, token: str = ATLAS) -> list[str]:
        """Names of the tools at an address."""
        path = f"/{server}" if server else ""
        found = (await self.post(path, request("tools/list"), token=token))[1]
        return [tool["name"] for tool in found["result"]["tools"]]

    async def counts(self, server: str) -> dict[str, int]:
        """How often the server itself was asked for what."""
        found = await self.call(server, "counts")
        return found["result"]["counts"]


def usual(token: str) -> dict[str, str]:
    """The headers every client sends."""
    return {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        **({"Authorization": f"Bearer {token}"} if token else {}),
    }


def request(method: str, id: Any = 1, **params: Any) -> dict[str, Any]:
    """A request of a caller of the handshake era."""
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def modern(method: str, id: Any = 1, **params: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """A request of a caller of the era without, and its headers."""
    meta = {eras.VERSION: eras.MODERN, eras.CAPABILITIES: {}}
    headers = {"MCP-Protocol-Version": eras.MODERN, "Mcp-Method": method}
    if method in eras.NAMED:
        headers["Mcp-Name"] = eras.encoded(params[eras.NAMED[method]])
    return request(method, id, **params, _meta={**meta, **params.pop("_meta", {})}), headers


@contextlib.asynccontextmanager
async def a_gate() -> AsyncIterator[Gate]:
    """A gate on a port of its own; everything it started is gone afterwards."""
    gate, listeners = Gate(), PassedListeners(drain_s=1)
    listener = socket.create_server(("127.0.0.1", 0))
    gate.url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    await listeners.add("gate", listener, gate.door)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=PATIENCE_S * 2)) as http:
        gate._http = http
        try:
            yield gate
        finally:
            await asyncio.gather(*(supervisor.stop() for supervisor in gate.servers.values()))
            await listeners.close()


async def until(look: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """What ``look`` gives as soon as it is true."""
    async with asyncio.timeout(patience_s):
        while not (found := look()):
            await asyncio.sleep(0.02)
        return found
    raise AssertionError(what)


def lives(pid: int) -> bool:
    """Is there such a process, and not only its remains?"""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def held() -> tuple[int, int, int]:
    """What this process has open: descriptors, tasks of the loop, children."""
    return len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks()), len(children_of(os.getpid()))


async def nothing_more(before: tuple[int, int, int], what: str) -> None:
    """Return once there is no child more than ``before``, and no more than a few descriptors and tasks of a connection."""
    room = (2, 2, 0)
    await until(lambda: all(now <= then + more for now, then, more in zip(held(), before, room, strict=True)), what)


def children_of(pid: int) -> list[int]:
    """Processes directly below this one."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
                found += [int(name)] if int(fields[1]) == pid and fields[0] not in "ZX" else []
    return found
