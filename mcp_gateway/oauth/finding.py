"""Find the sign-in that an MCP server elsewhere trusts, and become known to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from mcp_gateway.oauth import metadata
from mcp_gateway.oauth.asking import Answer, Asker, Unreachable
from mcp_gateway.oauth.metadata import SignIn, Unusable
from mcp_gateway.remote import wording

CLIENT_NAME = "Logos"
# In the order of preference; "none" is a public client, protected by PKCE alone.
METHODS = ("none", "client_secret_basic", "client_secret_post")


@dataclass(frozen=True, slots=True)
class Found:
    """The sign-in of a server, what tokens are for, and what to ask it for."""

    sign_in: SignIn
    resource: str
    challenged: str
    says: dict[str, Any]


async def find(asker: Asker, url: str) -> Found:
    """Ask the server, then whom it names. Raises Unusable, Unreachable."""
    challenge = wording.challenge(await asker.challenge(url))
    said = await _resource_metadata(asker, url, challenge.get("resource_metadata", ""))
    if said is None:
        # Servers of before RFC 9728 are their own sign-in.
        parts = urlsplit(url)
        issuer, resource, said = urlunsplit((parts.scheme, parts.netloc, "", "", "")), url, {}
        found = await _first(asker, issuer)
    else:
        resource, named = metadata.resource(url, said), metadata.issuers(said)
        if not named:
            raise Unusable("The server does not say which sign-in it trusts.")
        found = await _first(asker, named[0])
    return Found(found, resource, challenge.get("scope", "")[:500], said)


async def _resource_metadata(asker: Asker, url: str, named: str) -> dict[str, Any] | None:
    for address in [named] if named else metadata.resource_addresses(url):
        answer = await asker.get(address)
        if answer.status == 200 and answer.said is not None:
            return answer.said
    if named:
        raise Unusable("The server does not publish which sign-in it trusts, where it says it does.")
    return None


async def _first(asker: Asker, issuer: str) -> SignIn:
    for address in metadata.sign_in_addresses(issuer):
        answer = await asker.get(address)
        if answer.status == 200 and answer.said is not None:
            found = metadata.sign_in(issuer, answer.said)
            for each in (found.authorization_endpoint, found.token_endpoint):
                asker.checked(each)
            return found
    raise Unusable(f"The sign-in {issuer[:200]} does not say how it is used.")


# The year 5138, in seconds: what is said to end later has no end, and calendars none for it.
FAR = 10**11


@dataclass(frozen=True, slots=True)
class Registered:
    """What a sign-in calls Logos now."""

    client_id: str
    secret: str
    auth_method: str
    expires_at: int


def method_of(found: SignIn, has_secret: bool) -> str:
    """How Logos shows who it is at the token endpoint."""
    if not has_secret:
        return "none"
    return next((each for each in METHODS[1:] if each in found.auth_methods), "client_secret_basic")


async def register(asker: Asker, found: SignIn, redirect_uri: str, scope: str) -> Registered:
    """Register as a new client (RFC 7591). Raises Unusable, Unreachable."""
    method = next((each for each in METHODS if each in found.auth_methods), "none")
    local = urlsplit(redirect_uri).hostname in ("localhost", "127.0.0.1", "::1")
    body = {
        "client_name": CLIENT_NAME,
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method,
        "application_type": "native" if local else "web",
        **({"scope": scope} if scope else {}),
    }
    answer = await asker.post(found.registration_endpoint, json=body)
    if answer.status not in (200, 201) or answer.said is None:
        raise Unusable(
            f"The sign-in {found.issuer[:200]} does not let Logos register{told(answer)}.",
            "Ask whoever runs it for a client id, and write that at the server.",
        )
    said = answer.said
    client_id, secret, ends = said.get("client_id"), said.get("client_secret", ""), said.get("client_secret_expires_at")
    if not isinstance(client_id, str) or not 0 < len(client_id) <= 1000 or not isinstance(secret, str):
        raise Unusable(f"The sign-in {found.issuer[:200]} registered Logos without a client id.")
    given = said.get("token_endpoint_auth_method")
    method = given if isinstance(given, str) and given in METHODS else method if secret else "none"
    until = ends if isinstance(ends, int) and not isinstance(ends, bool) and 0 < ends < FAR else 0
    return Registered(client_id, secret[:4000], method, until)


def told(answer: Answer) -> str:
    """What a refusal says of itself, in brackets."""
    said = answer.said or {}
    word, more = said.get("error"), said.get("error_description")
    words = [each[:200] for each in (word, more) if isinstance(each, str) and each.isprintable()]
    return f" ({': '.join(words) or f'status {answer.status}'})"


__all__ = ["Found", "Registered", "Unreachable", "find", "method_of", "register", "told"]
