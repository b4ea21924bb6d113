"""A sign-in (authorization server) written from the RFCs, and an MCP server that trusts it; scripted to misbehave.

8414 metadata, 9728 of the resource, 7591 registration, 7636 PKCE, 8707 resources, 9207 issuer in the answer, 7009
revocation. Refresh tokens are for one use: a second one takes everything away. It has no pages: ``allow`` is what a
browser would do.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from aiohttp import web

from tests.mcp_gateway.elsewhere import Elsewhere


@dataclass
class SignIn:
    """``metadata`` and ``resource`` overwrite what is published (None removes)."""

    metadata: dict[str, Any] = field(default_factory=dict)
    resource: dict[str, Any] = field(default_factory=dict)
    server: Elsewhere = field(default_factory=lambda: Elsewhere(bearers=set()))
    lasts_s: int | None = 3600
    rotates: bool = True
    publishes_resource: bool = True
    challenges: bool = True
    refresh_delay_s: float = 0.0
    refuses: dict[str, tuple[int, Any]] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)
    clients: dict[str, dict[str, Any]] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    refreshes: set[str] = field(default_factory=set)
    spent: set[str] = field(default_factory=set)
    revoked: list[str] = field(default_factory=list)
    base: str = ""
    _count: int = 0

    async def serve(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if path == "/mcp":
            self.server.challenge = (
                f'Bearer resource_metadata="{self.base}/about/resource", scope="tickets:read"'
                if self.challenges
                else "Bearer"
            )
            return await self.server.serve(request)
        body = dict(await request.post()) if request.content_type.startswith("application/x-www") else {}
        form = {name: str(value) for name, value in body.items()}
        self.requests.append((path, dict(request.headers), form))
        if path in self.refuses:
            status, said = self.refuses[path]
            return web.json_response(said, status=status)
        if path in ("/about/resource", "/.well-known/oauth-protected-resource/mcp") and self.publishes_resource:
            said = {"resource": f"{self.base}/mcp", "authorization_servers": [self.base]}
            return web.json_response(without_nothing({**said, **self.resource}))
        if path == "/.well-known/oauth-authorization-server":
            return web.json_response(without_nothing({**self._metadata(), **self.metadata}))
        if path == "/register":
            return await self._register(request)
        if path == "/token":
            return await self._token(request, form)
        if path == "/revoke":
            self.revoked.append(form["token"])
            self.server.bearers.discard(form["token"])  # type: ignore[union-attr]
            return web.Response(status=200)
        return web.Response(status=404)

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.base,
            "authorization_endpoint": f"{self.base}/authorize",
            "token_endpoint": f"{self.base}/token",
            "registration_endpoint": f"{self.base}/register",
            "revocation_endpoint": f"{self.base}/revoke",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic"],
            "scopes_supported": ["tickets:read", "offline_access"],
            "authorization_response_iss_parameter_supported": True,
        }

    async def _register(self, request: web.Request) -> web.Response:
        said = await request.json()
        client_id = f"client-{len(self.clients) + 1}"
        self.clients[client_id] = said
        return web.json_response({"client_id": client_id, **said}, status=201)

    def allow(self, url: str, **changed: str) -> dict[str, str]:
        """What a person who says yes at the sign-in brings back to the redirect address."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert url.startswith(f"{self.base}/authorize?")
        assert asked["code_challenge_method"] == "S256"
        self._count += 1
        code = f"code-{self._count}"
        self.codes[code] = asked
        return {"code": code, "state": asked["state"], "iss": self.base, **changed}

    async def _token(self, request: web.Request, form: dict[str, str]) -> web.Response:
        if form["grant_type"] == "authorization_code":
            asked = self.codes.pop(form["code"], None)
            digest = hashlib.sha256(form["code_verifier"].encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            if asked is None or (challenge, form["redirect_uri"], form["resource"]) != (
                asked["code_challenge"],
                asked["redirect_uri"],
                asked["resource"],
            ):
                return refused("invalid_grant")
            return self._give(asked.get("scope", ""))
        await asyncio.sleep(self.refresh_delay_s)
        if form["refresh_token"] in self.spent:
            # Somebody has it twice: nobody may have it.
            self.refreshes.clear()
            self.server.bearers = set()
            return refused("invalid_grant")
        if form["refresh_token"] not in self.refreshes:
            return refused("invalid_grant")
        if self.rotates:
            self.refreshes.discard(form["refresh_token"])
            self.spent.add(form["refresh_token"])
        return self._give("")

    def _give(self, scope: str) -> web.Response:
        self._count += 1
        access, refresh = f"access-token-{self._count}", f"refresh-token-{self._count}"
        assert self.server.bearers is not None
        self.server.bearers.add(access)
        said: dict[str, Any] = {"access_token": access, "token_type": "Bearer"}
        if self.lasts_s is not None:
            said["expires_in"] = self.lasts_s
        if self.rotates or not self.refreshes:
            self.refreshes.add(refresh)
            said["refresh_token"] = refresh
        return web.json_response({**said, **({"scope": scope} if scope else {})})

    def asked(self, path: str) -> list[dict[str, str]]:
        """The forms that were posted to this address."""
        return [form for each, _, form in self.requests if each == path]

    def refreshed(self) -> int:
        return sum(form.get("grant_type") == "refresh_token" for form in self.asked("/token"))


def refused(word: str) -> web.Response:
    return web.json_response({"error": word, "error_description": "No."}, status=400)


def without_nothing(said: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if value is not None}


@contextlib.contextmanager
def a_sign_in(**options: Any) -> Iterator[SignIn]:
    """Such a sign-in and its server on one port, on a loop of a thread of its own: pages ask it while they wait."""
    made = SignIn(**options)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="sign-in", daemon=True)
    thread.start()

    async def start() -> web.AppRunner:
        application = web.Application()
        application.router.add_route("*", "/{rest:.*}", made.serve)
        runner = web.AppRunner(application, handle_signals=False, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        made.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(60)
    try:
        yield made
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


def address_of(returned: dict[str, str]) -> str:
    """The redirect address with what was brought back."""
    return f"/mcp-accounts/callback/?{urlencode(returned)}"
