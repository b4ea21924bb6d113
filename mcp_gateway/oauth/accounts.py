"""Which accounts at MCP servers a person sees, and disconnecting them; the rules of every door."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from asgiref.sync import async_to_sync
from django.db import transaction
from django.db.models import Prefetch, Q, QuerySet

from agents import audit, permissions, secrets
from agents.errors import LogosError, NotFound
from agents.exporting import values
from agents.models import User
from mcp_gateway.models import AccountUse, McpAccount, McpServer
from mcp_gateway.oauth.asking import Asker, authentication

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """A server that is used with an account, as one person sees it: everybody's account there, or their own."""

    server: McpServer
    account: McpAccount | None
    may_connect: bool

    @property
    def is_connected(self) -> bool:
        return self.account is not None and self.account.is_connected


def rows(user: User) -> QuerySet[McpServer]:
    """Every server with accounts that ``user`` sees, and of the accounts there everybody's and theirs."""
    found = permissions.visible(user, McpServer.objects.exclude(account=AccountUse.NONE)).select_related("health")
    mine = McpAccount.objects.filter(Q(person=None) | Q(person=user)).select_related("client", "connected_by")
    return found.prefetch_related(Prefetch("accounts", mine, to_attr="seen"))


def places(user: User, servers: Iterable[McpServer] | None = None) -> list[Place]:
    """These servers of ``rows`` (all by name, if left out) with what ``user`` may do there, in one more query."""
    found = list(rows(user).order_by("name") if servers is None else servers)
    asked = McpServer.objects.filter(pk__in=[row.pk for row in found])
    changeable = set(permissions.visible(user, asked, "server.edit").values_list("pk", flat=True))
    is_member = permissions.may(user, "agent.create")
    return [
        Place(row, _of(row), row.pk in changeable if row.account == AccountUse.SHARED else is_member) for row in found
    ]


def _of(server: McpServer) -> McpAccount | None:
    is_shared = server.account == AccountUse.SHARED
    seen: list[McpAccount] = server.seen  # type: ignore[attr-defined]
    return next((each for each in seen if (each.person_id is None) == is_shared), None)


def disconnect(user: User, server_id: str) -> bool:
    """Forget the account that ``user`` sees at this server, theirs or everybody's, at once; then tell the sign-in that
    its tokens are not used any more. Whether that was heard. Raises NotFound, LogosError(reason="forbidden")."""
    server = permissions.fetch(user, "server.view", McpServer.objects.all(), pk=server_id)
    if server.account == AccountUse.SHARED:
        permissions.require(user, "server.edit", server)
    person = None if server.account == AccountUse.SHARED else user
    with transaction.atomic():
        rows = McpAccount.objects.select_for_update(of=("self",)).select_related("client")
        account = rows.filter(server=server, person=person).first()
        if account is None:
            raise NotFound("Account")
        McpAccount.objects.filter(pk=account.pk).delete()
        audit.note("mcp_account_removed", actor=user, about=server, account=server.account)
    return _revoke(account, server.allows_private)


def erase(person: User) -> None:
    """Forget every account of a person who is erased; whose they were there is known there."""
    McpAccount.objects.filter(person=person).delete()


def _exported(person: User) -> Iterator[dict[str, Any]]:
    rows = McpAccount.objects.filter(person=person).order_by("pk")
    return values(rows, "server__name", "client__issuer", "scopes", "connected_at", "refreshed_at", "lost_at")


# For archives of what Logos holds about a person: never tokens.
EXPORTED = ("mcp_accounts.json", "Accounts at MCP servers you connected, without their tokens.", False, _exported)


def _revoke(account: McpAccount, allows_private: bool) -> bool:
    if not account.revocation_endpoint:
        return False
    try:
        tokens = [
            (kind, secrets.unseal(sealed))
            for kind, sealed in (("refresh_token", account.sealed_refresh), ("access_token", account.sealed_access))
            if sealed
        ]
        return async_to_sync(_told)(account, account.client.secret, allows_private, tokens)
    except LogosError as error:
        logger.info("A sign-in was not told of a disconnected account: %s", error.reason)
        return False


async def _told(account: McpAccount, secret: str, allows_private: bool, tokens: list[tuple[str, str]]) -> bool:
    fields, headers = authentication(account.client.auth_method, account.client.client_id, secret)
    heard = []
    async with Asker(allows_private) as asker:
        for kind, token in tokens:
            form = {**fields, "token": token, "token_type_hint": kind}
            answer = await asker.post(account.revocation_endpoint, data=form, headers=headers)
            heard.append(answer.status == 200)
    return bool(heard) and all(heard)
