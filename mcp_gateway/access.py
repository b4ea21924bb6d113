"""Let agents use servers and take it back, and make the tokens of clients outside; the rules of every door."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from agents import audit, permissions
from agents.errors import Invalid, LogosError, NotFound
from agents.invisible import first_hidden
from agents.models import Agent, User
from mcp_gateway import categories
from mcp_gateway.models import AccessTier, McpAccess, McpServer, McpToken

MAX_MINUTES = 60 * 24 * 365
MAX_TOKENS = 40
DEFAULT_DAYS, MAX_DAYS = 90, 365


def rows() -> QuerySet[McpAccess]:
    """What agents were given, with what is shown of it."""
    return McpAccess.objects.select_related("agent", "server", "given_by", "revoked_by")


def living(accesses: QuerySet[McpAccess]) -> QuerySet[McpAccess]:
    """Those that hold now."""
    return accesses.filter(revoked_at=None).filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))


@transaction.atomic
def give(user: User, agent_id: str, server_id: str, *, minutes: int | None = None, reason: str = "") -> McpAccess:
    """Let the agent use the server, for ``minutes`` or without an end; what it had of it before ends. Raises NotFound,
    Invalid, and LogosError(reason="forbidden") for a server whose tier wants somebody else."""
    agent = permissions.fetch(user, "access.give", _agents(), pk=agent_id)
    server = permissions.fetch(user, "server.view", McpServer.objects.all(), pk=server_id)
    _check_tier(user, server)
    if minutes is not None and not 1 <= minutes <= MAX_MINUTES:
        raise Invalid(f"Access lasts 1 to {MAX_MINUTES:,} minutes.", field="minutes")
    reason = reason.strip()
    if len(reason) > 300 or first_hidden(reason) is not None or "\x00" in reason:
        raise Invalid("A reason has at most 300 visible characters.", field="reason")
    for old in living(McpAccess.objects.select_for_update().filter(agent=agent, server=server)):
        _end(old, user)
    ends = timezone.now() + timedelta(minutes=minutes) if minutes is not None else None
    given = McpAccess.objects.create(agent=agent, server=server, given_by=user, reason=reason, expires_at=ends)
    audit.note("mcp_access_given", actor=user, about=agent, server=server.name, minutes=minutes, reason=reason)
    return given


@transaction.atomic
def revoke(user: User, access_id: str, *, agent_id: str = "") -> McpAccess:
    """Take it back, at once. Whoever may give it may, and whoever manages the server. NotFound for what is over."""
    found = living(McpAccess.objects.select_for_update(of=("self",)).select_related("agent", "server"))
    row = found.filter(pk=access_id, **({"agent": agent_id} if agent_id else {})).first()
    if row is None or not (
        permissions.allows(user, "access.give", row.agent) or permissions.allows(user, "server.manage", row.server)
    ):
        raise NotFound("Access")
    _end(row, user)
    audit.note("mcp_access_revoked", actor=user, about=row.agent, server=row.server.name)
    return row


def agents_with(server: McpServer) -> int:
    """How many agents may use it now by what they were given."""
    return living(McpAccess.objects.filter(server=server)).values("agent").distinct().count()


@transaction.atomic
def end_all(user: User, server: McpServer) -> int:
    """Take back what every agent was given on it until now, for whoever manages it; of how many agents. Raises NotFound."""
    permissions.require(user, "server.manage", server)
    found = living(McpAccess.objects.select_for_update(of=("self",)).select_related("agent").filter(server=server))
    agents = {}
    for row in found:
        _end(row, user)
        agents[row.agent_id] = row.agent
    for agent in agents.values():
        audit.note("mcp_access_revoked", actor=user, about=agent, server=server.name)
    return len(agents)


def tokens_of(agent: Agent) -> QuerySet[McpToken]:
    """Those of this agent that are not revoked, the newest first."""
    return McpToken.objects.filter(agent=agent, revoked_at=None).select_related("made_by").order_by("-pk")


@transaction.atomic
def make_token(user: User, agent_id: str, name: str, days: int | None = None) -> tuple[McpToken, str]:
    """A token by which a client outside speaks as this agent, and its secret, which cannot be read again."""
    agent = permissions.fetch(user, "access.give", _agents().select_for_update(of=("self",)), pk=agent_id)
    name = name.strip()
    if not 1 <= len(name) <= 80 or first_hidden(name) is not None or "\n" in name:
        raise Invalid("A token needs a name of at most 80 visible characters that says what it is for.", field="name")
    days = DEFAULT_DAYS if days is None else days
    if not 1 <= days <= MAX_DAYS:
        raise Invalid(f"A token is valid for 1 to {MAX_DAYS} days.", field="days")
    if McpToken.objects.filter(agent=agent, revoked_at=None).count() >= MAX_TOKENS:
        raise Invalid(f"An agent has {MAX_TOKENS} tokens at most.", action="Revoke one it no longer needs.")
    secret = McpToken.secret()
    token = McpToken(agent=agent, name=name, made_by=user, expires_at=timezone.now() + timedelta(days=days))
    token.keep(secret)
    token.save()
    audit.note("mcp_token_made", actor=user, about=agent, token=token.pk, name=name, days=days)
    return token, secret


@transaction.atomic
def revoke_token(user: User, agent_id: str, token_id: int) -> None:
    """The token opens nothing any more, within a second. NotFound for one that is over."""
    agent = permissions.fetch(user, "access.give", Agent.objects.all(), pk=agent_id)
    token = McpToken.objects.select_for_update().filter(agent=agent, pk=token_id, revoked_at=None).first()
    if token is None:
        raise NotFound("Token")
    token.revoked_at = timezone.now()
    token.save(update_fields=["revoked_at"])
    audit.note("mcp_token_revoked", actor=user, about=agent, token=token.pk, name=token.name)


def _agents() -> QuerySet[Any]:
    return Agent.objects.alive().filter(archived_at=None)


def _check_tier(user: User, server: McpServer) -> None:
    tier = categories.tier_of(server)
    if tier == AccessTier.DENY:
        raise LogosError(
            "No agent may use this server.", reason="forbidden", action="Its tier or its category says so."
        )
    if tier == AccessTier.ADMIN and not permissions.allows(user, "server.manage", server):
        raise LogosError(
            "Only those who manage this server let agents use it.",
            reason="forbidden",
            action="Ask an admin, or an operator who manages it.",
        )


def _end(row: McpAccess, user: User) -> None:
    row.revoked_at, row.revoked_by = timezone.now(), user
    row.save(update_fields=["revoked_at", "revoked_by"])
