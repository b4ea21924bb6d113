"""Signing in with a provider, for tests: a real one on this machine, one that forges, and a browser without a screen.

corporate(settings, **trust)   a real OpenID provider, configured here as "corp" with that much trust
Forger()                       a provider that says whatever a test puts into ``claims``, signed or not
visit(client, sub)             leave for the provider, sign in there as ``sub``, and come back
"""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from django.http import HttpResponse
from django.test import Client
from oidc_provider_mock import User as Known
from oidc_provider_mock import run_server_in_thread

from logos_site.oidc.configuration import Issuer

PEOPLE = (
    Known(sub="s-alice", claims={"email": "alice@example.org", "email_verified": True, "name": "Alice Liddell"}),
    Known(sub="s-ada", claims={"email": "ada@example.org", "email_verified": True}),
    Known(sub="s-liar", claims={"email": "alice@example.org", "email_verified": False}),
    Known(sub="s-vague", claims={"email": "alice@example.org"}),
    Known(sub="s-word", claims={"email": "alice@example.org", "email_verified": "true"}),
    Known(
        sub="s-new",
        claims={
            "email": "new@example.org",
            "email_verified": True,
            "preferred_username": "newcomer",
            "given_name": "New",
            "family_name": "Comer",
            "groups": ["staff", "ops"],
        },
    ),
)


@contextmanager
def corporate(settings: Any, **trust: Any) -> Iterator[Issuer]:
    """A real provider that knows PEOPLE."""
    with run_server_in_thread(user_claims=PEOPLE, require_nonce=True) as server:
        yield configured(settings, f"http://localhost:{server.server_port}", **trust)


def configured(settings: Any, issuer: str, **trust: Any) -> Issuer:
    """Known here as "corp"."""
    one = Issuer("corp", "Corp", issuer, "logos", "s3cret-of-corp", **trust)
    settings.LOGOS_OIDC = {"corp": one}
    return one


def leave(client: Client, address: str = "/accounts/oidc/corp/login/", **data: str) -> str:
    """Press the button; where it leads."""
    answer = client.post(address, data)
    assert answer.status_code == 200, answer
    found = re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', answer.content.decode())
    assert found, answer.content.decode()
    return html.unescape(found[1])


def agree(there: str, sub: str) -> str:
    """Sign in at the provider; the path it sends the browser back to."""
    answer = httpx.post(there, data={"sub": sub}, trust_env=False)
    assert answer.status_code == 302, answer.text
    back = urlsplit(answer.headers["location"])
    return f"{back.path}?{back.query}"


def visit(client: Client, sub: str, **data: str) -> HttpResponse:
    """The whole way; the answer to coming back."""
    return client.get(agree(leave(client, **data), sub))


def is_in(client: Client) -> str:
    """Who is signed in; "" for nobody."""
    answer = client.get("/api/me")
    return answer.json()["username"] if answer.status_code == 200 else ""


def said(client: Client) -> str:
    """What the next page shows of what happened."""
    return html.unescape(client.get("/accounts/login/", follow=True).content.decode())


class Forger:
    """A provider of one's own making. ``claims`` go over what would be right; ``sign`` makes the token of them."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.claims: dict[str, Any] = {}
        self.document: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {}
        self.sign = lambda claims: jwt.encode(claims, self.key, "RS256", headers={"kid": "1"})
        forger = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(forger.get(urlsplit(self.path).path))

            def do_POST(self) -> None:
                sent = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                forger.asked = {name: values[0] for name, values in sent.items()}
                self._answer({"access_token": "at", "token_type": "Bearer", "id_token": forger.token()})

            def _answer(self, what: Any) -> None:
                body = json.dumps(what).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self.nonce = ""
        self.asked: dict[str, str] = {}
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def get(self, path: str) -> dict[str, Any]:
        """What it says of itself, its keys, and whom it calls the person."""
        if path == "/jwks":
            public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
            return {"keys": [{**public, "kid": "1", "alg": "RS256", "use": "sig"}]}
        if path == "/userinfo":
            return self.userinfo
        pages = {"authorization_endpoint": "auth", "token_endpoint": "token", "jwks_uri": "jwks"}
        pages["userinfo_endpoint"] = "userinfo"
        return {
            "issuer": self.issuer,
            **{name: f"{self.issuer}/{page}" for name, page in pages.items()},
            **self.document,
        }

    def token(self) -> str:
        """The ID token for whoever comes."""
        now = int(time.time())
        right = {"iss": self.issuer, "aud": "logos", "sub": "s-1", "iat": now, "exp": now + 60, "nonce": self.nonce}
        email = {"email": "alice@example.org", "email_verified": True}
        claims = {**right, **email, **self.claims}
        return self.sign({name: value for name, value in claims.items() if value is not None})

    def send_back(self, there: str) -> str:
        """Note the nonce and send the browser back with a code."""
        query = parse_qs(urlsplit(there).query)
        self.nonce = query["nonce"][0]
        return f"/accounts/oidc/corp/login/callback/?code=c&state={query['state'][0]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
