"""Give the gateway the token of an account, renewed in time: by one process at a time, whoever asks.

A sign-in may give each refresh token for one use and take the account away when it sees one twice. So whoever renews
claims the row with one UPDATE first; everybody else waits for what comes of it.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db.models import F, Q
from django.utils import timezone

from agents import audit, secrets
from agents.errors import LogosError
from agents.models import Agent
from mcp_gateway.models import AccountUse, McpAccount, McpServer
from mcp_gateway.oauth import finding, metadata
from mcp_gateway.oauth.asking import Asker, Unreachable, authentication
from mcp_gateway.oauth.connecting import fill
from mcp_gateway.peers import Gone, NeedsAccount
from mcp_gateway.remote.credentials import Credential
from mcp_gateway.remote.places import origin
from sandboxes.egress.addresses import Lookup, system_lookup

logger = logging.getLogger(__name__)

# So long before its end a token is renewed; a claim is dead after this time, and a look costs one query.
AHEAD_S, CLAIM_S, LOOK_S = 60.0, 60.0, 0.2
# How long a token that was read is believed: what is disconnected must stop within a second.
BELIEVED_S = 0.8

Db = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Held:
    """An account as it was read."""

    id: str
    version: int
    access: str = field(repr=False)
    refresh: str = field(repr=False)
    ends_in: float | None
    token_endpoint: str
    resource: str
    client_id: str
    client_secret: str = field(repr=False)
    auth_method: str
    allows_private: bool
    is_shared: bool
    is_claimed: bool


class Accounts:
    """The accounts of one server as its peer asks for them."""

    def __init__(self, server_id: str, db: Db, lookup: Lookup = system_lookup) -> None:
        self._server_id, self._db, self._lookup = server_id, db, lookup
        self._read: dict[str, tuple[float, Held]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def __call__(self, agent_id: str, refused: Credential | None) -> Credential:
        """The token for this agent. ``refused`` was shown and not taken: it is renewed once. Raises NeedsAccount, and
        Gone when the sign-in cannot be reached."""
        now = asyncio.get_running_loop().time()
        known = self._read.get(agent_id)
        if known is not None and known[0] > now and refused is None:
            return _credential(known[1])
        async with self._locks.setdefault(agent_id, asyncio.Lock()):
            held = await self._held(agent_id)
            if held.access == (refused.bearer if refused is not None else None) or _ends_soon(held):
                held = await self._renewed(agent_id, held, must=refused is not None)
        if len(self._read) > 1000:
            self._read.clear()
        self._read[agent_id] = (now + BELIEVED_S, held)
        return _credential(held)

    async def _held(self, agent_id: str) -> Held:
        held = await self._db(read, self._server_id, agent_id)
        if isinstance(held, str):
            raise NeedsAccount(held)
        return held

    async def _renewed(self, agent_id: str, held: Held, *, must: bool) -> Held:
        """The account with another token, renewed by us or by whoever was first."""
        version = held.version
        while held.version == version:
            if not held.refresh:
                if must or (held.ends_in is not None and held.ends_in <= 0):
                    await self._db(lose, held.id, version, "its token has ended and cannot be renewed")
                    raise NeedsAccount("Its account must be connected again: the token has ended.")
                return held
            claim = uuid.uuid4().hex
            if not held.is_claimed and await self._db(take_claim, held.id, version, claim):
                # Cut off in the middle the new token would be lost, and with it the account.
                renewing = asyncio.ensure_future(renew(held, claim, self._db, self._lookup))
                try:
                    await asyncio.shield(renewing)
                except Unreachable as error:
                    if not must and held.ends_in is not None and held.ends_in > 1:
                        return held
                    raise Gone(f"Its account could not be renewed: {error.message}") from error
            else:
                await asyncio.sleep(LOOK_S)
            held = await self._held(agent_id)
        return held


def _ends_soon(held: Held) -> bool:
    return held.ends_in is not None and held.ends_in < AHEAD_S


def _credential(held: Held) -> Credential:
    return Credential(held.id, held.access)


async def renew(held: Held, claim: str, db: Db, lookup: Lookup = system_lookup) -> None:
    """Ask the sign-in for another token and keep it. Only for whoever holds ``claim``. Raises Unreachable."""
    fields, headers = authentication(held.auth_method, held.client_id, held.client_secret)
    form = {**fields, "grant_type": "refresh_token", "refresh_token": held.refresh, "resource": held.resource}
    try:
        async with Asker(held.allows_private, lookup) as asker:
            answer = await asker.post(held.token_endpoint, data=form, headers=headers)
        if answer.status >= 500 or answer.status == 429:
            raise Unreachable(f"The sign-in answered with status {answer.status}.")
        if answer.status != 200 or answer.said is None:
            logger.warning("The sign-in of an MCP server does not renew an account any more")
            await db(lose, held.id, held.version, f"the sign-in does not renew it{finding.told(answer)}")
            return
        await db(keep, held.id, claim, metadata.tokens(answer.said))
    except Unreachable:
        await db(give_claim, held.id, claim)
        raise
    except LogosError as error:
        await db(lose, held.id, held.version, error.message)


# What is asked of the rows, each in one go.


def read(server_id: str, agent_id: str) -> Held | str:
    """The account to use for an agent ("" for Logos itself), or why there is none."""
    server = McpServer.objects.filter(pk=server_id).first()
    if server is None:
        return "The server is not there any more."
    account = account_for(server, agent_id)
    if account is None:
        return _missing(server, agent_id)
    if not account.is_connected:
        return f"Its account must be connected again: {account.reason or 'it was lost'}."[:300]
    if origin(account.resource) != origin(server.url):
        return "Its account was connected at another address: connect it again."
    try:
        access, refresh = secrets.unseal(account.sealed_access), secrets.unseal(account.sealed_refresh)
        client_secret = account.client.secret
    except LogosError as error:
        return error.message
    now = timezone.now()
    return Held(
        id=account.pk,
        version=account.version,
        access=access,
        refresh=refresh,
        ends_in=(account.expires_at - now).total_seconds() if account.expires_at else None,
        token_endpoint=account.token_endpoint,
        resource=account.resource,
        client_id=account.client.client_id,
        client_secret=client_secret,
        auth_method=account.client.auth_method,
        allows_private=server.allows_private,
        is_shared=account.person_id is None,
        is_claimed=account.claimed_until is not None and account.claimed_until > now,
    )


def account_for(server: McpServer, agent_id: str) -> McpAccount | None:
    """The account with which this agent, or Logos itself, asks the server."""
    rows = McpAccount.objects.select_related("client").filter(server=server)
    if server.account == AccountUse.SHARED:
        return rows.filter(person=None).first()
    if not agent_id:
        # What the server offers is read with its owner's account, else with the oldest there is.
        mine = rows.filter(person=server.owner_id).first() if server.owner_id else None
        if mine is not None and mine.is_connected:
            return mine
        living = rows.exclude(person=None).filter(lost_at=None).exclude(sealed_access="")
        return living.filter(person__is_active=True).order_by("connected_at", "pk").first()
    owner = Agent.objects.filter(pk=agent_id).values_list("owner_id", flat=True).first()
    return rows.filter(person=owner, person__is_active=True).first() if owner else None


def _missing(server: McpServer, agent_id: str) -> str:
    if server.account == AccountUse.SHARED:
        return "Nobody has connected an account yet."
    if not agent_id:
        return "Nobody has connected an account yet: each person connects their own."
    return "The owner of this agent has connected no account there; they can under Accounts at MCP servers."


def take_claim(account_id: str, version: int, claim: str) -> bool:
    """Become the one who renews this account; False when somebody else is, or was quicker."""
    now = timezone.now()
    rows = McpAccount.objects.filter(pk=account_id, version=version, lost_at=None)
    free = rows.filter(Q(claimed_until=None) | Q(claimed_until__lt=now))
    return bool(free.update(claim=claim, claimed_until=now + timedelta(seconds=CLAIM_S)))


def give_claim(account_id: str, claim: str) -> None:
    """Let the next one try."""
    McpAccount.objects.filter(pk=account_id, claim=claim).update(claim="", claimed_until=None)


def keep(account_id: str, claim: str, tokens: metadata.Tokens) -> None:
    """Store what the sign-in gave, unless the account was connected anew or disconnected meanwhile."""
    account = McpAccount.objects.filter(pk=account_id, claim=claim).first()
    if account is None:
        return
    fill(account, tokens)
    values = ("sealed_access", "sealed_refresh", "expires_at", "scopes", "claim", "claimed_until", "version")
    changed = {name: getattr(account, name) for name in values}
    McpAccount.objects.filter(pk=account_id, claim=claim).update(**changed, refreshed_at=timezone.now())


def lose(account_id: str, version: int, reason: str) -> None:
    """The account is of no use any more; its tokens are forgotten. Once, whoever notices."""
    rows = McpAccount.objects.filter(pk=account_id, version=version, lost_at=None)
    lost = rows.update(
        lost_at=timezone.now(),
        reason=reason[:300],
        sealed_access="",
        sealed_refresh="",
        claim="",
        claimed_until=None,
        version=F("version") + 1,
    )
    if lost:
        account = McpAccount.objects.select_related("server", "person").get(pk=account_id)
        audit.note("mcp_account_lost", person=account.person, about=account.server, reason=reason)
