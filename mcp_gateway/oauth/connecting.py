"""Connect an account at an MCP server elsewhere: a person goes to its sign-in and comes back with a code.

What belongs to the way there is kept in the person's own session, sealed, for ten minutes and for one return: a code
that anybody else brings, or that comes from another sign-in, is worth nothing here.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets as random
import time
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from agents import audit, permissions, secrets
from agents.errors import Conflict, Invalid, LogosError, NotFound
from agents.models import User
from mcp_gateway.models import AccountUse, ClientOrigin, McpAccount, McpClient, McpServer
from mcp_gateway.oauth import finding, metadata
from mcp_gateway.oauth.asking import Asker, authentication
from mcp_gateway.oauth.finding import Found, Registered
from mcp_gateway.oauth.metadata import Unusable
from mcp_gateway.remote.places import clean_url, origin

KEY, MOST, LASTS_S = "mcp_connecting", 5, 600
# The name of the server's secret that goes with a client id that was given.
CLIENT_SECRET = "OAUTH_CLIENT_SECRET"  # noqa: S105 (its name)
DOCUMENT = "/mcp-accounts/client.json"
CALLBACK = "/mcp-accounts/callback/"


@dataclass(frozen=True, slots=True)
class Leaving:
    """Where a person is about to go, and what will be asked there."""

    server: McpServer
    url: str
    host: str
    scopes: tuple[str, ...]


def document(base: str) -> dict[str, Any]:
    """What Logos publishes about itself: its address is its client id where a sign-in reads such documents."""
    return {
        "client_id": f"{base}{DOCUMENT}",
        "client_name": finding.CLIENT_NAME,
        "client_uri": base,
        "redirect_uris": [f"{base}{CALLBACK}"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "web",
    }


def public_base() -> str:
    """Logos's own address, if sign-ins on the open internet can read a document there; "" if not."""
    base = settings.LOGOS_URL.rstrip("/")
    try:
        clean_url(base, False)
    except Invalid:
        return ""
    return base


def begin(user: User, server_id: str, base: str, session: MutableMapping[str, Any]) -> Leaving:
    """Find out where ``user`` must go to connect an account, and remember in the session that they went. Raises
    NotFound, Conflict, Unusable, and LogosError(reason="forbidden") for a shared account of somebody without the
    right."""
    server = fetch(user, server_id)
    if server.account == AccountUse.NONE:
        raise Conflict("This server is used without an account.", reason="no_account")
    redirect_uri = f"{base}{CALLBACK}"
    known = McpClient.objects.filter(server=server, redirect_uri=redirect_uri)
    usable = {each.issuer: each for each in known if each.expires_at is None or each.expires_at > timezone.now()}
    found, scope, made = async_to_sync(_found)(server, redirect_uri, frozenset(usable))
    client = _client(server, found, redirect_uri, made) if made is not None else usable[found.sign_in.issuer]
    state, verifier = random.token_urlsafe(32), random.token_urlsafe(64)
    kept = {
        "server": server.pk,
        "person": user.pk,
        "issuer": found.sign_in.issuer,
        "says_who_answers": found.sign_in.says_who_answers,
        "token_endpoint": found.sign_in.token_endpoint,
        "revocation_endpoint": found.sign_in.revocation_endpoint,
        "client": client.pk,
        "resource": found.resource,
        "redirect_uri": redirect_uri,
        "scope": scope,
        "verifier": verifier,
        "until": time.time() + LASTS_S,
    }
    _remember(session, state, kept)
    asked = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": redirect_uri,
        "state": state,
        "code_challenge": challenge_of(verifier),
        "code_challenge_method": "S256",
        "resource": found.resource,
        **({"scope": scope} if scope else {}),
        **({"prompt": "consent"} if "offline_access" in scope.split() else {}),
    }
    endpoint = found.sign_in.authorization_endpoint
    url = f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}"
    return Leaving(server, url, origin(endpoint)[1], tuple(scope.split()))


def finish(user: User, returned: Mapping[str, str], session: MutableMapping[str, Any]) -> McpAccount:
    """The person is back. Raises LogosError with what went wrong; each way there is good for one return."""
    kept = _recall(session, returned.get("state", ""))
    if kept is None or kept["person"] != user.pk or kept["until"] < time.time():
        raise LogosError(
            "This is not an answer to something you asked for here, or it came too late.",
            reason="sign_in_unknown",
            action="Begin again with Connect.",
        )
    server = fetch(user, kept["server"])
    said = returned.get("iss", "")
    if (said or kept["says_who_answers"]) and said != kept["issuer"]:
        raise Unusable(
            "The answer comes from another sign-in than the one you were sent to.", "Do not try again there."
        )
    if returned.get("error"):
        words = [returned[name][:200] for name in ("error", "error_description") if returned.get(name)]
        raise LogosError(
            f"The sign-in did not connect the account ({': '.join(words)}).",
            reason="sign_in_refused",
            action="Connect again, and allow it there.",
        )
    client = McpClient.objects.filter(pk=kept["client"], server=server).first()
    if client is None or not returned.get("code"):
        raise Unusable("The sign-in answered without a code.", "Begin again with Connect.")
    tokens = async_to_sync(_exchanged)(server.allows_private, client, client.secret, kept, returned["code"][:4000])
    return _store(user, server, client, kept, tokens)


def fetch(user: User, server_id: str) -> McpServer:
    """The server, if this person may connect an account there. Raises NotFound."""
    server = permissions.fetch(user, "server.view", McpServer.objects.all(), pk=server_id)
    if server.account == AccountUse.SHARED:
        permissions.require(user, "server.edit", server)
    elif not permissions.may(user, "agent.create"):
        raise NotFound("Server")
    return server


def challenge_of(verifier: str) -> str:
    """The S256 challenge of PKCE."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


async def _found(server: McpServer, redirect_uri: str, known: frozenset[str]) -> tuple[Found, str, Registered | None]:
    """Where to go, what to ask for, and what Logos is called there if that is not known yet."""
    async with Asker(server.allows_private) as asker:
        found = await finding.find(asker, server.url)
        scope = metadata.scope(server.scopes, found.challenged, found.says, found.sign_in)
        if server.client_id:
            return found, scope, Registered(server.client_id, "", "given", 0)
        if found.sign_in.issuer in known:
            return found, scope, None
        base = public_base()
        if found.sign_in.reads_documents and base and redirect_uri == f"{base}{CALLBACK}":
            return found, scope, Registered(f"{base}{DOCUMENT}", "", "none", 0)
        if not found.sign_in.registration_endpoint:
            raise Unusable(
                f"The sign-in {found.sign_in.issuer[:200]} neither reads what Logos publishes nor lets it register.",
                "Ask whoever runs it for a client id, and write that at the server.",
            )
        return found, scope, await finding.register(asker, found.sign_in, redirect_uri, scope)


@transaction.atomic
def _client(server: McpServer, found: Found, redirect_uri: str, made: Registered) -> McpClient:
    secret, method, kind = made.secret, made.auth_method, ClientOrigin.REGISTERED
    if method == "given":
        row = server.secrets.filter(name=CLIENT_SECRET).first()
        secret, kind = (secrets.unseal(row.sealed) if row else ""), ClientOrigin.GIVEN
        method = finding.method_of(found.sign_in, bool(secret))
    elif made.client_id.endswith(DOCUMENT):
        kind = ClientOrigin.DOCUMENT
    ends = datetime.fromtimestamp(made.expires_at, UTC) if made.expires_at else None
    client, _ = McpClient.objects.update_or_create(
        server=server,
        issuer=found.sign_in.issuer,
        redirect_uri=redirect_uri,
        defaults={
            "client_id": made.client_id,
            "sealed_secret": secrets.seal(secret),
            "auth_method": method,
            "origin": kind,
            "expires_at": ends,
            "created_at": timezone.now(),
        },
    )
    return client


async def _exchanged(
    allows_private: bool, client: McpClient, secret: str, kept: Mapping[str, Any], code: str
) -> metadata.Tokens:
    fields, headers = authentication(client.auth_method, client.client_id, secret)
    form = {
        **fields,
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": kept["redirect_uri"],
        "code_verifier": kept["verifier"],
        "resource": kept["resource"],
    }
    async with Asker(allows_private) as asker:
        answer = await asker.post(kept["token_endpoint"], data=form, headers=headers)
    if answer.status != 200 or answer.said is None:
        raise Unusable(f"The sign-in did not give a token{finding.told(answer)}.", "Begin again with Connect.")
    return metadata.tokens(answer.said)


@transaction.atomic
def _store(
    user: User, server: McpServer, client: McpClient, kept: Mapping[str, Any], tokens: metadata.Tokens
) -> McpAccount:
    locked = McpServer.objects.select_for_update().filter(pk=server.pk).first()
    if locked is None or locked.account != server.account or origin(locked.url) != origin(server.url):
        raise Conflict("The server was changed meanwhile.", reason="stale", action="Begin again with Connect.")
    person = None if server.account == AccountUse.SHARED else user
    account = McpAccount.objects.filter(server=server, person=person).first() or McpAccount(
        server=server, person=person
    )
    account.client, account.resource = client, kept["resource"]
    account.token_endpoint, account.revocation_endpoint = kept["token_endpoint"], kept["revocation_endpoint"]
    account.connected_by, account.connected_at = user, timezone.now()
    account.refreshed_at, account.lost_at, account.reason = None, None, ""
    fill(account, tokens, kept["scope"])
    account.save()
    audit.note("mcp_account_connected", actor=user, about=server, account=server.account, issuer=client.issuer)
    return account


def fill(account: McpAccount, tokens: metadata.Tokens, asked: str = "") -> None:
    """Put tokens into a row; save it yourself."""
    account.sealed_access = secrets.seal(tokens.access)
    if tokens.refresh:
        account.sealed_refresh = secrets.seal(tokens.refresh)
    ends = None if tokens.expires_in is None else timezone.now() + timedelta(seconds=tokens.expires_in)
    account.expires_at = ends
    account.scopes = (tokens.scope or asked or account.scopes)[:1000]
    account.claim, account.claimed_until = "", None
    account.version += 1


def _name(state: str) -> str:
    return hashlib.sha256(state.encode("utf-8", "replace")).hexdigest()


def _remember(session: MutableMapping[str, Any], state: str, kept: dict[str, Any]) -> None:
    waiting = {name: each for name, each in session.get(KEY, {}).items() if each["until"] > time.time()}
    for name in sorted(waiting, key=lambda name: waiting[name]["until"])[: max(0, len(waiting) - MOST + 1)]:
        del waiting[name]
    session[KEY] = {**waiting, _name(state): {"until": kept["until"], "sealed": secrets.seal(json.dumps(kept))}}


def _recall(session: MutableMapping[str, Any], state: str) -> dict[str, Any] | None:
    """What was remembered under this state, which is forgotten by it."""
    waiting = dict(session.get(KEY, {}))
    name = next((each for each in waiting if hmac.compare_digest(each, _name(state))), None)
    if name is None:
        return None
    kept = waiting.pop(name)
    session[KEY] = waiting
    found: dict[str, Any] = json.loads(secrets.unseal(kept["sealed"]))
    return found
