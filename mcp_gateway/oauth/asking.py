"""Ask a sign-in something over HTTP: only where the server itself may be, small, quick, and following nothing."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp

from agents.errors import Invalid
from mcp_gateway import eras, jsonrpc
from mcp_gateway.oauth.metadata import Unusable
from mcp_gateway.peers import Gone
from mcp_gateway.remote import places, streams
from sandboxes.egress.addresses import Lookup, system_lookup

MAX_ANSWER = 256 * 1024
PATIENCE_S = 20.0


# Asked without a token: the answer to it says where tokens come from.
_HELLO = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": eras.HANDSHAKE[0], "capabilities": {}, "clientInfo": eras.OURSELVES},
}


class Unreachable(Unusable):
    """Nobody answered, or not now: it may be tried again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, headers, and the JSON object of the body, if it was one."""

    status: int
    headers: Mapping[str, str]
    said: dict[str, Any] | None


class Asker:
    """Use as an async context manager. ``allows_private`` is the server's own rule, for every address it leads to."""

    def __init__(self, allows_private: bool, lookup: Lookup = system_lookup) -> None:
        self._allows_private, self._lookup = allows_private, lookup

    async def __aenter__(self) -> Asker:
        self._http = {
            plain: places.open_session(self._allows_private, self._lookup, plain=plain) for plain in (False, True)
        }
        return self

    async def __aexit__(self, *about: object) -> None:
        for each in self._http.values():
            await each.close()

    async def get(self, url: str) -> Answer:
        """Raises Unusable for an address nobody may be asked at, Unreachable."""
        return await self._ask("GET", url)

    async def post(self, url: str, **body: Any) -> Answer:
        """With ``json=`` or ``data=`` and ``headers=``. Raises Unusable, Unreachable."""
        return await self._ask("POST", url, **body)

    async def challenge(self, url: str) -> Mapping[str, str]:
        """The headers with which an MCP server answers somebody it does not know. Its answer is not read: it may be a
        stream without an end."""
        return (await self._ask("POST", url, reads=False, json=_HELLO)).headers

    async def _ask(self, method: str, url: str, *, reads: bool = True, **body: Any) -> Answer:
        address = self.checked(url)
        headers = {"Accept": "application/json, text/event-stream;q=0.1", **body.pop("headers", {})}
        try:
            async with asyncio.timeout(PATIENCE_S):
                async with self._http[places.is_plain(address)].request(
                    method, address, headers=headers, allow_redirects=False, **body
                ) as response:
                    said = await _object(response) if reads else None
                    return Answer(response.status, response.headers.copy(), said)
        except (aiohttp.ClientError, OSError, ValueError, Gone) as error:
            host = places.origin(address)[1]
            raise Unreachable(f"{host}: {places.why(error)}", "Try again later.") from error

    def checked(self, url: str) -> str:
        """The address, if it may be asked or sent to. Raises Unusable."""
        try:
            return places.clean_url(url, self._allows_private)
        except Invalid as error:
            raise Unusable(f"The server leads to {url[:200]!r}. {error.message}") from error


async def _object(response: aiohttp.ClientResponse) -> dict[str, Any] | None:
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        return None
    try:
        found = jsonrpc.loads(await streams.body(response, MAX_ANSWER))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def authentication(method: str, client_id: str, secret: str) -> tuple[dict[str, str], dict[str, str]]:
    """The form fields and headers by which Logos shows a token endpoint who it is."""
    if method == "client_secret_basic" and secret:
        pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}".encode()
        return {}, {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    if method == "client_secret_post" and secret:
        return {"client_id": client_id, "client_secret": secret}, {}
    return {"client_id": client_id}, {}
