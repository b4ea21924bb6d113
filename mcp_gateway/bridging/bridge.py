"""Carry a stdio client's messages to the gateway and its answers back, in whichever era of the protocol it speaks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from mcp_gateway import eras, jsonrpc
from mcp_gateway.bridging.names import Names
from mcp_gateway.bridging.pipes import Lines, Mouth, TooLong
from mcp_gateway.bridging.wire import Denied, Unreachable, Wire
from mcp_gateway.exchange import MAX_BODY
from mcp_gateway.jsonrpc import Malformed, Message

# What goes on may end this long after the client has closed its side.
DRAIN_S = 30.0
# A stream that tells of changes is opened again this often after it broke.
AGAIN_S, LONGEST_AGAIN_S = 1.0, 30.0
CHANGES = ("toolsListChanged", "promptsListChanged", "resourcesListChanged")


class Bridge:
    """``agent``: whose token it must be, "" for anybody's. ``say`` tells the person at the terminal."""

    def __init__(self, wire: Wire, lines: Lines, mouth: Mouth, *, agent: str = "", say: Callable[[str], None]) -> None:
        self._wire, self._lines, self._mouth, self._agent, self._say = wire, lines, mouth, agent, say
        self._names = Names()
        self._version = ""
        self._doing: dict[asyncio.Task[None], Message] = {}
        self._listening: asyncio.Task[None] | None = None
        self._denied: asyncio.Future[Denied] | None = None

    async def run(self) -> None:
        """Until the client closes its side. Raises Denied, and Unreachable before the client was listened to."""
        await self.check()
        self._denied = asyncio.get_running_loop().create_future()
        self._lines.start()
        reading = asyncio.ensure_future(self._read())
        try:
            ends: set[asyncio.Future[Any]] = {reading, self._denied}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._denied.done():
                error = self._denied.result()
                await self._answer_all(f"Logos does not accept the token any more: {error}")
                raise error
            reading.result()
            await self._drain()
        finally:
            ours: list[asyncio.Task[None]] = [reading, *self._doing, *([self._listening] if self._listening else [])]
            for task in ours:
                task.cancel()

    async def _drain(self) -> None:
        """The client has said all: what it waits for may still end, streams without an end do not count."""
        waiting = {task for task, message in self._doing.items() if message.get("method") != "subscriptions/listen"}
        if waiting:
            await asyncio.wait(waiting, timeout=DRAIN_S)

    async def _answer_all(self, sentence: str) -> None:
        for task, message in list(self._doing.items()):
            if task.cancel() and "method" in message and "id" in message:
                await self._mouth.say(_failed(message, sentence))

    async def check(self) -> None:
        """Is there a gateway, is the token good, and is it that agent's? Raises Unreachable, Denied."""
        hello = {"protocolVersion": eras.HANDSHAKE[0], "capabilities": {}, "clientInfo": {"name": "mcp-bridge"}}
        hub = self._wire.hub
        found = await self._own("initialize", hello, url=hub)
        if "error" in found:
            raise Unreachable(f"The gateway refused: {_sentence(found)}")
        meta = found.get("result", {}).get("_meta")
        whose = meta.get(eras.AGENT) if isinstance(meta, dict) else None
        if self._agent and whose != self._agent:
            raise Denied(f"The token is that of {whose or 'another agent'}, not of {self._agent}.")
        if hub != self._wire.url and "error" in (answer := await self._own("ping", {})):
            raise Denied(_sentence(answer))

    async def _own(self, method: str, params: dict[str, Any], *, url: str = "") -> Message:
        """The answer to a request of the bridge itself."""
        message = {"jsonrpc": "2.0", "id": "mcp-bridge", "method": method, "params": params}
        async with contextlib.aclosing(self._wire.ask(jsonrpc.dumps(message), url=url)) as answers:
            async for found in answers:
                if "method" not in found:
                    return found
        raise Unreachable(f"{self._wire.url} gave no answer.")

    async def _read(self) -> None:
        while not self._mouth.is_shut and (line := await self._lines.next()) is not None:
            if isinstance(line, TooLong):
                sentence = f"A message has {MAX_BODY // 1024 // 1024} MB at most."
                await self._mouth.say(jsonrpc.error(line.id, jsonrpc.TOO_LARGE, sentence))
                continue
            try:
                message = jsonrpc.read(line)
            except Malformed as error:
                await self._mouth.say(jsonrpc.error(error.id, error.code, str(error)))
                continue
            task = self._take(message)
            if task is not None and message.get("method") == "initialize":
                # What follows may depend on what was agreed.
                await asyncio.wait({task})

    def _take(self, message: Message) -> asyncio.Task[None] | None:
        if message.get("method") == "notifications/cancelled":
            # Closing the connection is what cancels a call at the gateway.
            id = message.get("params", {}).get("requestId")
            for task, asked in list(self._doing.items()):
                if "method" in asked and "id" in asked and (type(asked["id"]), asked["id"]) == (type(id), id):
                    task.cancel()
            return None
        task = asyncio.ensure_future(self._carry(message))
        self._doing[task] = message
        task.add_done_callback(self._done)
        if message.get("method") == "notifications/initialized" and self._listening is None:
            self._listening = asyncio.ensure_future(self._listen())
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._doing.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._say(f"A message was lost: {type(error).__name__}.")

    async def _carry(self, message: Message) -> None:
        asks = "method" in message and "id" in message
        try:
            body, headers = await self._prepared(message)
            async with contextlib.aclosing(self._wire.ask(body, headers)) as answers:
                async for answer in answers:
                    is_last = "method" not in answer
                    if asks or not is_last:  # a refusal of something nobody waits for is for nobody
                        await self._mouth.say(self._told(message, answer) if is_last else answer)
                    if is_last:
                        return
            if asks:
                raise Unreachable("The connection to Logos broke off before the answer.")
        except Unreachable as error:
            if asks:
                await self._mouth.say(_failed(message, str(error)))
        except Denied as error:
            if self._denied is not None and not self._denied.done():
                self._denied.set_result(error)
            await asyncio.Event().wait()  # it is answered with all the others

    async def _prepared(self, message: Message) -> tuple[bytes, dict[str, str]]:
        """The message with the gateway's names, and the headers that say the same."""
        method, params = message.get("method", ""), message.get("params", {})
        if method == "tools/call" and isinstance(name := params.get("name"), str):
            params = {**params, "name": await self._real(name)}
            message = {**message, "params": params}
        meta = params.get("_meta")
        version = meta.get(eras.VERSION) if isinstance(meta, dict) else None
        if not isinstance(version, str):
            headers = {"MCP-Protocol-Version": self._version} if self._version and method != "initialize" else {}
            return jsonrpc.dumps(message), headers
        headers = {"MCP-Protocol-Version": eras.encoded(version), "Mcp-Method": eras.encoded(method)}
        if (key := eras.NAMED.get(method)) is not None and isinstance(params.get(key), str):
            headers["Mcp-Name"] = eras.encoded(params[key])
        if method == "tools/call":
            headers |= eras.mirrored(params, self._names.schema(params["name"]) if "name" in params else None)
        return jsonrpc.dumps(message), headers

    async def _real(self, given: str) -> str:
        found = self._names.real(given)
        if found is None:
            answer = (await self._own("tools/list", {})).get("result")
            if isinstance(answer, dict) and isinstance(answer.get("tools"), list):
                self._names.learn(answer["tools"])
            found = self._names.real(given)
        return given if found is None else found

    def _told(self, message: Message, answer: Message) -> Message:
        """An answer as the client shall have it."""
        result = answer.get("result")
        if not isinstance(result, dict):
            return {**answer, "id": message["id"]}
        if message["method"] == "tools/list" and isinstance(result.get("tools"), list):
            return {**answer, "result": {**result, "tools": self._names.learn(result["tools"])}}
        if message["method"] == "initialize" and result.get("protocolVersion") in eras.HANDSHAKE:
            self._version = result["protocolVersion"]
        return answer

    async def _listen(self) -> None:
        """Tell a client of the handshake era when lists change: it cannot ask for the stream that says so."""
        wait, was_lost = AGAIN_S, False
        while True:
            with contextlib.suppress(Unreachable, Denied):  # of a token that ended the next message will tell
                async for message in self._wire.ask(*_subscription()):
                    if "method" not in message:
                        return  # there is nothing to hear here
                    if was_lost or message["method"].endswith("/list_changed"):
                        # What changed while nobody listened is not known.
                        method = "notifications/tools/list_changed" if was_lost else message["method"]
                        await self._mouth.say({"jsonrpc": "2.0", "method": method})
                    wait, was_lost = AGAIN_S, False
            was_lost = True
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_AGAIN_S)


def _subscription() -> tuple[bytes, dict[str, str]]:
    meta = {eras.VERSION: eras.MODERN, eras.CAPABILITIES: {}, eras.CLIENT: {"name": "mcp-bridge", "version": "1"}}
    params = {"notifications": dict.fromkeys(CHANGES, True), "_meta": meta}
    message = {"jsonrpc": "2.0", "id": "mcp-bridge-changes", "method": "subscriptions/listen", "params": params}
    return jsonrpc.dumps(message), {"MCP-Protocol-Version": eras.MODERN, "Mcp-Method": "subscriptions/listen"}


def _failed(message: Message, sentence: str) -> Message:
    """A failure as the client's model can read it, where there is one."""
    if message["method"] != "tools/call":
        return jsonrpc.error(message["id"], jsonrpc.UNAVAILABLE, sentence)
    meta = message.get("params", {}).get("_meta")
    is_modern = isinstance(meta, dict) and eras.VERSION in meta
    result = jsonrpc.told_model(f"{sentence} Whether the call had an effect is not known: look before you repeat it.")
    return jsonrpc.result(message["id"], eras.for_modern_caller("tools/call", result) if is_modern else result)


def _sentence(answer: Message) -> str:
    found = answer.get("error")
    return str(found.get("message", ""))[:300] if isinstance(found, dict) else ""
