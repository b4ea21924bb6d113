"""An agent asks for a server by itself: given at once, asked of a person through approvals, or refused, by its tier."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from agents import audit, permissions
from agents.errors import Conflict, LogosError
from agents.invisible import first_hidden
from agents.models import Agent
from mcp_gateway import access, categories
from mcp_gateway.models import AccessTier, McpAccess, McpCategory, McpServer
from runs import approvals
from runs.models import Approval, ApprovalKind, ApprovalRule, ApprovalState, Tier

MAX_REASON = 300
# So many questions of one agent wait at once, and so long a refusal stands before it may ask for that server again.
MAX_OPEN = 10
COOL_DOWN_S = 900
# How long access lasts that somebody allows and for which the agent named no time; without an end it is given on pages only.
FOR_MINUTES = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request: "granted", "pending", "denied" or "refused", and a sentence for the model."""

    status: str
    sentence: str
    request_id: str = ""
    server: str = ""


def askable(agent_id: str) -> list[dict[str, Any]]:
    """The servers an agent may know of: those its owner sees; each with what it has of it."""
    agent = Agent.objects.alive().select_related("owner").filter(pk=agent_id).first()
    if agent is None:
        return []
    held = set(access.living(McpAccess.objects.filter(agent=agent)).values_list("server_id", flat=True))
    seen = permissions.visible(agent.owner, McpServer.objects.filter(enabled=True)).order_by("name")
    given = McpServer.objects.filter(enabled=True, pk__in=held)
    found = {row.pk: row for row in (*seen, *given)}
    kinds = dict(McpCategory.objects.values_list("name", "access"))
    return [
        {
            "name": row.name,
            "description": row.description,
            "category": row.category,
            "access": "not for agents"
            if _tier(row, kinds) == AccessTier.DENY
            else "granted"
            if row.pk in held
            else "none",
        }
        for row in sorted(found.values(), key=lambda row: row.name)
    ]


@transaction.atomic
def ask(agent_id: str, name: str, reason: str, minutes: int | None, run_id: str = "") -> Answer:
    """The agent asks for access to a server, saying why. The same question twice is one."""
    agent = Agent.objects.select_for_update(of=("self",)).alive().select_related("owner").filter(pk=agent_id).first()
    server = None
    if agent is not None and agent.owner is not None:
        server = permissions.visible(agent.owner, McpServer.objects.filter(enabled=True)).filter(name=name[:80]).first()
    if agent is None or server is None:
        return Answer("refused", "There is no MCP server of this name to ask for; list_mcp_servers names them.")
    if access.living(McpAccess.objects.filter(agent=agent, server=server)).exists():
        return Answer("granted", f"You may use {server.name} already. {_how(server.name)}", server=server.name)
    held_by = categories.tier_of(server)
    if held_by == AccessTier.DENY:
        return Answer("refused", f"{server.name} is not for agents.")
    reason = " ".join(reason.split())
    if not reason or len(reason) > MAX_REASON or first_hidden(reason) is not None:
        return Answer("refused", f"Say why you need it, in 1 to {MAX_REASON} visible characters.")
    if minutes is not None and not 1 <= minutes <= access.MAX_MINUTES:
        return Answer("refused", f"Ask for 1 to {access.MAX_MINUTES:,} minutes, or leave the time out.")
    if held_by == AccessTier.AUTO:
        _give(agent, server, minutes, reason)
        return Answer("granted", _granted(server.name), server=server.name)
    return _ask_people(agent, server, minutes, reason, run_id)


def _tier(server: McpServer, kinds: dict[str, str]) -> str:
    return kinds.get(server.category, AccessTier.USER) if server.tier == AccessTier.CATEGORY else server.tier


def status(agent_id: str, request_id: str) -> Answer:
    """What became of a request of this agent."""
    row = Approval.objects.filter(pk=request_id[:40], agent=agent_id, kind=ApprovalKind.MCP_ACCESS).first()
    if row is None:
        return Answer("refused", "There is no request of yours with this id.")
    return _said(row)


def _ask_people(agent: Agent, server: McpServer, minutes: int | None, reason: str, run_id: str) -> Answer:
    mine = Approval.objects.filter(agent=agent, kind=ApprovalKind.MCP_ACCESS)
    same = mine.filter(key=server.pk).order_by("-created_at").first()
    if same is not None and same.state == ApprovalState.PENDING and same.expires_at > timezone.now():
        return _said(same)
    lately = timezone.now() - timedelta(seconds=COOL_DOWN_S)
    if same is not None and same.state == ApprovalState.DENIED and (same.decided_at or same.created_at) > lately:
        return _said(same)
    if mine.filter(state=ApprovalState.PENDING, expires_at__gt=timezone.now()).count() >= MAX_OPEN:
        return Answer("refused", f"{MAX_OPEN} of your requests wait already; wait until they are answered.")
    asked = approvals.ask(
        ApprovalKind.MCP_ACCESS,
        subject={
            "server": server.name,
            "description": server.description,
            "category": server.category,
            "minutes": minutes or FOR_MINUTES,
            "reason": reason,
        },
        title=f"{agent.name} asks to use the MCP server {server.name}",
        agent=agent,
        run_id=run_id,
        asked_for=None if run_id else agent.owner,
        tier=Tier.ADMIN if categories.tier_of(server) == AccessTier.ADMIN else Tier.USER,
        purpose=reason,
        key=server.pk,
    )
    return _said(asked)


def decided(approval: Approval) -> None:
    """What a decision does, inside its transaction: an allowed request becomes access, if it still can."""
    if approval.state != ApprovalState.ALLOWED or approval.agent is None:
        return
    server = McpServer.objects.filter(pk=approval.key, enabled=True).first()
    if server is None or approval.agent.is_deleted or approval.agent.archived_at is not None:
        return
    if (problem := _not_any_more(approval, server)) is not None:
        if approval.decided_by is not None:
            raise problem
        return
    # Requests of older versions name no time.
    minutes = approval.subject.get("minutes") or FOR_MINUTES
    _give(approval.agent, server, int(minutes), str(approval.subject.get("reason", "")), approval)


def _not_any_more(approval: Approval, server: McpServer) -> LogosError | None:
    """Why what was asked for cannot be given by this decision, by the rules of this moment."""
    agent, tier = approval.agent, categories.tier_of(server)
    sees = agent is not None and agent.owner is not None and permissions.allows(agent.owner, "server.view", server)
    if tier == AccessTier.DENY or not sees:
        return Conflict(f"{server.name} is not for this agent any more.", reason="changed", action="Deny it.")
    by = approval.decided_by
    if tier == AccessTier.ADMIN and (by is None or not permissions.allows(by, "server.manage", server)):
        return LogosError(
            f"Only those who manage {server.name} let agents use it by now.",
            reason="forbidden",
            action="Leave it to an admin, or to an operator who manages it.",
        )
    return None


def on_rule_ended(rule: ApprovalRule) -> None:
    """What was allowed for a run or by a rule ends with it, also before its time is over."""
    first = rule.approval
    if first is None:
        return
    allowed = Approval.objects.filter(
        agent=rule.agent_id, kind=ApprovalKind.MCP_ACCESS, key=rule.key, state=ApprovalState.ALLOWED,
        created_at__gte=first.created_at,
    )  # fmt: skip
    reasons = {str(each.subject.get("reason", ""))[:300] for each in allowed}
    given = McpAccess.objects.filter(
        Q(given_by=rule.made_by) | Q(given_by=None), agent=rule.agent_id, server=rule.key, reason__in=reasons,
        created_at__gte=first.created_at,
    )  # fmt: skip
    for row in access.living(given.select_related("agent", "server")):
        McpAccess.objects.filter(pk=row.pk).update(revoked_at=timezone.now())
        audit.note("mcp_access_revoked", about=row.agent, server=row.server.name)


def _give(agent: Agent, server: McpServer, minutes: int | None, reason: str, approval: Approval | None = None) -> None:
    if access.living(McpAccess.objects.filter(agent=agent, server=server)).exists():
        return
    by = approval.decided_by if approval is not None else None
    ends = timezone.now() + timedelta(minutes=minutes) if minutes else None
    McpAccess.objects.create(agent=agent, server=server, given_by=by, reason=reason[:300], expires_at=ends)
    audit.note("mcp_access_given", actor=by, about=agent, server=server.name, minutes=minutes, reason=reason)


def _said(row: Approval) -> Answer:
    name = str(row.subject.get("server", ""))
    if row.state == ApprovalState.ALLOWED:
        held = McpAccess.objects.filter(agent=row.agent_id, server=row.key)
        if not access.living(held).exists():
            return Answer("denied", f"You were allowed {name}, and that has ended. Ask again if you need it.", row.pk)
        return Answer("granted", _granted(name), row.pk, name)
    if row.state == ApprovalState.PENDING and row.expires_at > timezone.now():
        sentence = f"A person was asked ({row.pk}). Go on with something else, and look again with mcp_access_status."
        return Answer("pending", sentence, row.pk)
    if row.state == ApprovalState.DENIED:
        note = f" {row.note}" if row.note else ""
        return Answer("denied", f"{name} was refused to you.{note} Do not ask again for it now.", row.pk)
    return Answer("denied", f"Nobody answered your request for {name} in time.", row.pk)


def _granted(name: str) -> str:
    return f"You may use {name} now. {_how(name)}"


def _how(name: str) -> str:
    return f"Its tools are called {name}__TOOL; one that is not in your list is called with call_mcp_tool."
