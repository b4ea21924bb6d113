"""Who calls in ``mcp_calls``: clients that cost little themselves, so that servers are measured and not they."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httptools

ECHO = Path(__file__).with_name("mcp_echo.py")
PATIENCE_S = 30.0


class Wire(asyncio.Protocol):
    """One kept connection; one request at a time."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[tuple[dict[str, str], bytes]] | None = None
        self._lost: Exception | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    async def ask(self, request: bytes) -> tuple[dict[str, str], bytes]:
        """Headers and body of the answer."""
        if self._lost is not None:
            raise self._lost
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body = b""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((self._headers, self._body))

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = ConnectionResetError("It closed the connection.")
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(self._lost)


class Caller:
    """One client: its connection and its session."""

    def __init__(self, url: str, token: str, tool: str) -> None:
        self._tool, self._url = tool, urlsplit(url)
        self._more = f"Authorization: Bearer {token}\r\n" if token else ""
        self._id = 0
        self._wire: Wire | None = None

    async def ask(self, message: dict[str, Any]) -> Any:
        """The answer to one message; None when it is empty."""
        assert self._wire is not None
        body = json.dumps(message)
        head = (
            f"POST {self._url.path} HTTP/1.1\r\nHost: {self._url.netloc}\r\nContent-Type: application/json\r\n"
            f"Accept: application/json, text/event-stream\r\n{self._more}Content-Length: {len(body)}\r\n\r\n"
        )
        async with asyncio.timeout(PATIENCE_S):
            headers, text = await self._wire.ask((head + body).encode())
        if session := headers.get("mcp-session-id"):
            self._more += f"Mcp-Session-Id: {session}\r\n"
        return json.loads(text) if text else None

    async def request(self, method: str, params: dict[str, Any]) -> Any:
        self._id += 1
        found = await self.ask({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params})
        if found.get("id") != self._id:
            raise RuntimeError(f"Another's answer: {found!r:.300}")
        return found

    async def open(self) -> None:
        """The connection and the handshake."""
        loop, place = asyncio.get_running_loop(), self._url
        _, self._wire = await loop.create_connection(Wire, place.hostname or "", place.port or 80)
        info = {"name": "benchmark", "version": "1"}
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info}
        found = await self.request("initialize", hello)
        self._more += f"MCP-Protocol-Version: {found['result']['protocolVersion']}\r\n"
        await self.ask({"jsonrpc": "2.0", "method": "notifications/initialized"})

    async def echo(self, text: str) -> bool:
        """Is it said again?"""
        found = await self.request("tools/call", {"name": self._tool, "arguments": {"text": text}})
        is_good = found.get("result", {}).get("content", [{}])[0].get("text") == text
        if not is_good:
            print(f"Wrong at {self._url.geturl()}: {json.dumps(found)[:300]}", flush=True)  # noqa: T201
        return is_good

    async def close(self) -> None:
        if self._wire is not None:
            self._wire.transport.close()


class Pipe:
    """The stdio server itself."""

    def __init__(self) -> None:
        self._id = 0

    async def open(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, str(ECHO), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )

    async def echo(self, text: str) -> bool:
        self._id += 1
        params = {"name": "echo", "arguments": {"text": text}}
        message = {"jsonrpc": "2.0", "id": self._id, "method": "tools/call", "params": params}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        found = json.loads(await self._process.stdout.readline())
        return found["result"]["content"][0]["text"] == text

    async def close(self) -> None:
        self._process.kill()
        await self._process.wait()
