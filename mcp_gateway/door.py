"""Who stands at the door and from where: hosts, origins, methods and identity, before anything of a message is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from mcp_gateway import jsonrpc
from mcp_gateway.book import Caller
from mcp_gateway.exchange import Exchange, Receive, Scope, Send
from mcp_gateway.relay import Relay

ROOT = "/mcp"
# What somebody without a token is told to show.
CHALLENGE = 'Bearer realm="Logos MCP"'
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]{1,5})?", re.ASCII)
# Said twice, one of them would be looked at and the other believed.
ONCE = (b"host", b"origin", b"authorization", b"content-type")

App = Callable[[Scope, Receive, Send], Any]


def is_ours(path: str) -> bool:
    """Is this address the gateway's?"""
    return path == ROOT or path.startswith(f"{ROOT}/")


@lru_cache(maxsize=1024)
def hostname(header: str) -> str:
    """The host in a Host header or an origin, small and without a port; "" when there is none, or anything else beside
    it, because readers differ in what they take for the host then."""
    found = _HOST.fullmatch(header.lower())
    return (found[1] or found[2]).rstrip(".") if found else ""


def is_allowed(host: str, allowed: Iterable[str]) -> bool:
    """Is this one of our names? As Django's ALLOWED_HOSTS; one's own machine always is."""
    if host in LOCAL:
        return True
    return any(
        host == each or each == "*" or (each.startswith(".") and (host.endswith(each) or host == each[1:]))
        for each in allowed
    )


class Door:
    """The relay for those ``find`` recognises: by the token they show, or, on a sandbox's own listener, by that."""

    def __init__(
        self, relay: Relay, find: Callable[[str], Caller | None], allowed: Callable[[], Iterable[str]]
    ) -> None:
        self._relay, self._find, self._allowed = relay, find, allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refuse(receive, send, *refusal)
            return
        secret = bearer(headers.get(b"authorization", b"").decode("latin-1"))
        caller = self._find(secret)
        if caller is None:
            challenge = [(b"www-authenticate", CHALLENGE.encode())]
            await refuse(receive, send, 401, "Show the token of an agent: Authorization: Bearer …", challenge)
            return
        target = scope["path"].removeprefix(ROOT).strip("/")
        if "/" in target:
            await refuse(receive, send, 404, "There is nothing here. Servers are at /mcp/NAME.")
            return
        await self._relay.answer(caller, target, scope, receive, send)

    def _refusal(
        self, scope: Scope, headers: dict[bytes, bytes]
    ) -> tuple[int, str] | tuple[int, str, list[Any]] | None:
        if not is_ours(scope["path"]):
            return 404, "There is nothing here. Servers are at /mcp/NAME."
        if len(headers) < len(scope["headers"]) and any(
            sum(name == each for name, _ in scope["headers"]) > 1 for each in ONCE
        ):
            return 400, "A header that may stand once stands twice."
        allowed = list(self._allowed())
        host = hostname(headers.get(b"host", b"").decode("latin-1"))
        if not host or not is_allowed(host, allowed):
            return 403, "This host is not one of ours."
        origin = headers.get(b"origin", b"").decode("latin-1")
        if origin and not is_allowed(hostname(origin.partition("://")[2]), allowed):
            return 403, "This origin is not one of ours."
        if scope["method"] != "POST":
            # No sessions: nothing to listen to with GET, nothing to end with DELETE.
            return 405, "Send messages with POST.", [(b"allow", b"POST")]
        if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != b"application/json":
            return 415, "A message is application/json."
        return None


def bearer(header: str) -> str:
    """The token in an Authorization header, "" when there is none."""
    scheme, _, secret = header.partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


async def refuse(
    receive: Receive, send: Send, status: int, sentence: str, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    """Refuse before a message was read."""
    out = Exchange(receive, send, may_stream=False)
    await out.finish(status, jsonrpc.error(None, jsonrpc.INVALID_REQUEST, sentence), headers)
