"""The way to one MCP server elsewhere: requests with the headers it wants, and its bytes without what it was shown."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from agents import secrets
from mcp_gateway import eras, jsonrpc
from mcp_gateway.jsonrpc import Message
from mcp_gateway.peers import Gone
from mcp_gateway.remote import places, wording
from mcp_gateway.remote.credentials import Credential
from sandboxes.egress.addresses import Lookup

GOODBYE_S = 2.0


@dataclass(slots=True, eq=False)
class Line:
    """A session of the older era with one account; ``ready`` once both sides have introduced themselves."""

    credential: Credential
    session: str = ""
    version: str = ""
    ready: asyncio.Event = field(default_factory=asyncio.Event)


class Unreached(Gone):
    """There was no connection: nothing was asked. ``may_pass``: it may be reached later."""

    def __init__(self, sentence: str, *, may_pass: bool) -> None:
        super().__init__(sentence)
        self.may_pass = may_pass


class Wire:
    """``known`` are the secrets that are shown to the server, in ``headers`` or in its address."""

    def __init__(
        self, url: str, headers: Mapping[str, str], known: Iterable[str], *, allows_private: bool, lookup: Lookup
    ) -> None:
        self._url, self._headers = url, headers
        self._http = places.open_session(allows_private, lookup, plain=places.is_plain(url))
        self._mirrored: dict[str, dict[str, str]] = {}
        self._hidden = _bytes_of(known)
        self._hidden_bearers: dict[str, tuple[bytes, ...]] = {}

    @contextlib.asynccontextmanager
    async def post(
        self, message: Message, credential: Credential, line: Line | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one message; the answer as it begins. Raises Gone, and Unreached when it was not heard at all."""
        if credential.bearer:
            self._hidden_bearers[credential.key] = _bytes_of([credential.bearer])
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            **self._headers,
            **credential.headers,
            **self._said(message, line),
        }
        try:
            response = await self._http.post(
                self._url, data=jsonrpc.dumps(message), headers=headers, allow_redirects=False
            )
        except (aiohttp.ClientError, ValueError, OSError) as error:
            if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
                raise Unreached(places.why(error), may_pass=places.may_pass(error)) from error
            raise Gone(places.why(error)) from error
        try:
            yield response
        finally:
            response.release() if response.content.at_eof() else response.close()

    @contextlib.asynccontextmanager
    async def news(self, line: Line) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask for the stream of what answers nothing. Raises what aiohttp raises."""
        headers = {"Accept": "text/event-stream", **self._headers, **line.credential.headers}
        async with self._http.get(self._url, headers=headers | self._said({}, line), allow_redirects=False) as response:
            yield response

    async def close(self, lines: Iterable[Line]) -> None:
        """End these sessions and every connection."""
        if not self._http.closed:
            await asyncio.gather(*(self._say_goodbye(line) for line in lines if line.session))
            await self._http.close()

    def learn(self, tools: Any) -> None:
        """What these tools want repeated in headers."""
        self._mirrored |= wording.mirrored(tools)

    def blotted(self, data: bytes) -> bytes:
        """What the server said, without what it was shown."""
        mask = secrets.MASK.encode()
        for secret in (*self._hidden, *(each for known in self._hidden_bearers.values() for each in known)):
            if secret in data:
                data = data.replace(secret, mask)
        return data

    def _said(self, message: Message, line: Line | None) -> dict[str, str]:
        """The headers that repeat what the message says."""
        method = message.get("method")
        params: dict[str, Any] = message.get("params") or {}
        meta = params.get("_meta")
        if isinstance(meta, dict) and meta.get(eras.VERSION) == eras.MODERN:
            headers = {"MCP-Protocol-Version": eras.MODERN, "Mcp-Method": str(method)}
            name = params.get(eras.NAMED.get(str(method), ""))
            if isinstance(name, str):
                headers["Mcp-Name"] = eras.encoded(name)
                arguments = params.get("arguments")
                given = arguments if isinstance(arguments, dict) else {}
                for key, header in self._mirrored.get(name, {}).items():
                    if (value := eras.written(given.get(key))) is not None:
                        headers[f"Mcp-Param-{header}"] = eras.encoded(value)
            return headers
        if line is None:
            return {}
        version = {"MCP-Protocol-Version": line.version} if line.version else {}
        return version | ({"Mcp-Session-Id": line.session} if line.session else {})

    async def _say_goodbye(self, line: Line) -> None:
        headers = {**self._headers, **line.credential.headers, **self._said({}, line)}
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with asyncio.timeout(GOODBYE_S):
                async with self._http.delete(self._url, headers=headers, allow_redirects=False):
                    return


def _bytes_of(known: Iterable[str]) -> tuple[bytes, ...]:
    forms = secrets.forms(known)
    # Results of tools are often JSON inside of JSON.
    nested = {json.dumps(each)[1:-1] for each in forms}
    return tuple(each.encode() for each in sorted(forms | nested, key=len, reverse=True))
