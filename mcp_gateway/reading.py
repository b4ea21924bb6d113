"""Read the rows for the gateway in whole functions: who may reach what, what should run and how, and the lease."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Count, Max, Q, Sum
from django.utils import timezone

from agents import secrets
from agents.errors import NotFound
from agents.models import Agent, AgentSecret, ModelRoute
from mcp_gateway import boxes, launching, own_secrets, resources
from mcp_gateway.book import Book, Served, Token
from mcp_gateway.boxed import BoxedLaunch
from mcp_gateway.children import Launch
from mcp_gateway.fleet import Health, Wanted
from mcp_gateway.models import (
    AccessTier,
    AccountUse,
    Children,
    McpAccess,
    McpAccount,
    McpCategory,
    McpHealth,
    McpLease,
    McpPin,
    McpSecret,
    McpServer,
    McpToken,
    Place,
    Resources,
    ServerKind,
)
from mcp_gateway.oauth import renewing
from mcp_gateway.remote import writing
from mcp_gateway.remote.peer import RemoteLaunch
from mcp_gateway.sampling import setting
from mcp_gateway.servers import secret_places
from mcp_gateway.supervisor import Times
from sandboxes.claimants import is_dead
from sandboxes.models import Sandbox
from sandboxes.tool_server import outside, rules
from sandboxes.tool_server.deciding import Rule
from sandboxes.tool_server.models import ToolRule
from sandboxes.tool_server.tiers import Tier

LEASE_S = 15
GATEWAY = "gateway"
# Below LOGOS_HOME: a folder for each server that runs here.
FOLDERS = "mcp"
# What besides tools and prompts is pinned of a server, by what becomes of its resources.
PINS: dict[str, tuple[str, ...]] = {
    Resources.PINNED: (resources.TEMPLATES, resources.RESOURCES),
    Resources.OPEN: (resources.TEMPLATES,),
    Resources.OFF: (),
}


def mark() -> tuple[Any, ...]:
    """What tells whether anything has changed that ``book`` or ``wanted`` would say otherwise now."""
    agents = Agent.objects.aggregate(Count("pk"), Max("updated_at"))
    servers = McpServer.objects.aggregate(Count("pk"), Max("updated_at"))
    secrets_ = McpSecret.objects.aggregate(Count("pk"), Max("set_at"))
    tokens = McpToken.objects.aggregate(Count("pk"), Max("pk"), Max("revoked_at"))
    access = McpAccess.objects.aggregate(Count("pk"), Max("pk"), Max("revoked_at"), Max("expires_at"))
    asked = McpHealth.objects.aggregate(Sum("restarts_asked"))
    pinned = McpPin.objects.aggregate(Count("pk"), Max("updated_at"))
    boxes = Sandbox.objects.aggregate(Count("pk"), Max("pk"))
    accounts = McpAccount.objects.aggregate(Count("pk"), Max("connected_at"), Count("lost_at"))
    ruled = ToolRule.objects.aggregate(Count("pk"), Max("pk"), Sum("version"))
    kinds = McpCategory.objects.aggregate(Count("pk"), Max("updated_at"))
    own = AgentSecret.objects.aggregate(Count("pk"), Sum("version"))
    found = (agents, servers, secrets_, tokens, access, asked, pinned, boxes, accounts, ruled, kinds, own)
    return tuple(value for each in found for value in each.values())


def book() -> Book:
    """Who may reach what, from the rows as they are."""
    now = timezone.now()
    pins: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {}
    for pin in McpPin.objects.exclude(digest="").values_list("server_id", "tool", "digest", "definition"):
        pins.setdefault(pin[0], {})[pin[1]] = (pin[2], pin[3])
    calls = dict(McpCategory.objects.values_list("name", "calls"))
    shut = set(McpCategory.objects.filter(access=AccessTier.DENY).values_list("name", flat=True))
    models = dict(ModelRoute.objects.values_list("pk", "model"))
    servers = {
        row.name: Served(
            row.pk,
            row.name,
            row.description,
            row.category,
            frozenset(row.include),
            frozenset(row.exclude),
            row.asks_caller,
            row.timeout_s,
            pins.get(row.pk, {}),
            calls=calls.get(row.category, Tier.ALLOW),
            max_result=row.max_result_kb * 1024,
            max_argument=row.max_argument_kb * 1024,
            sampling=setting.bounds_of(row, models),
            has_copies=row.children == Children.PER_AGENT,
            resources=row.resources,
        )
        for row in McpServer.objects.filter(enabled=True).exclude(tier=AccessTier.DENY)
        if row.tier != AccessTier.CATEGORY or row.category not in shut
    }
    agents = dict(Agent.objects.alive().filter(archived_at=None).values_list("pk", "name"))
    tokens = {
        row.digest: Token(row.pk, row.agent_id, row.expires_at.timestamp() if row.expires_at else None)
        for row in McpToken.objects.filter(revoked_at=None)
    }
    grants: dict[str, dict[str, float | None]] = {}
    for row in McpAccess.objects.filter(revoked_at=None).filter(Q(expires_at=None) | Q(expires_at__gt=now)):
        held = grants.setdefault(row.agent_id, {})
        held[row.server_id] = _later(held.get(row.server_id, 0.0), row.expires_at)
    boxes = dict(Sandbox.objects.values_list("pk", "agent_id"))
    ruled: dict[str, list[Rule]] = {}
    for rule in ToolRule.objects.filter(Q(tool="*") | Q(tool__startswith=outside.PREFIX)).order_by("pk"):
        ruled.setdefault(rule.agent_id or "", []).append(rules.as_rule(rule))
    return Book(servers, agents, tokens, grants, boxes, ruled, own_secrets.blots(grants))


def wanted() -> list[Wanted]:
    """The servers that should run."""
    marks: dict[str, list[Any]] = {}
    for server_id, name, version in McpSecret.objects.order_by("pk").values_list("server_id", "name", "version"):
        marks.setdefault(server_id, []).append([name, version])
    found = []
    for row in McpServer.objects.filter(enabled=True).select_related("health"):
        where = [row.kind, row.url, row.headers, row.allows_private, row.account, _account_mark(row)]
        box = [row.place, row.shows, row.hosts, row.masks_keys]
        identity = [row.command, row.args, row.env, row.cwd, row.limits, *box, *where, marks.get(row.pk)]
        times = Times(float(row.timeout_s), float(row.connect_timeout_s))
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        asked = row.health.restarts_asked if hasattr(row, "health") else 0
        copies = row.max_children if row.children == Children.PER_AGENT else 0
        found.append(Wanted(row.pk, row.name, digest, times, asked, copies, float(row.idle_s), PINS[row.resources]))
    return found


def _account_mark(server: McpServer) -> list[Any]:
    """What tells whether the account with which Logos itself asks the server is another one."""
    account = renewing.account_for(server, "") if server.account != AccountUse.NONE else None
    return [account.pk, account.connected_at.isoformat(), account.is_connected] if account is not None else []


def launch(server_id: str, agent_id: str = "") -> Launch | BoxedLaunch | RemoteLaunch:
    """What to start for everybody, or for this agent alone, with its secrets. Raises NotFound, Invalid for a secret that is not set, and
    LogosError(reason="seal_broken")."""
    row = McpServer.objects.prefetch_related("secrets").filter(pk=server_id).first()
    if row is None:
        raise NotFound("Server")
    values = {each.name: secrets.unseal(each.sealed) for each in row.secrets.all()}
    if row.kind == ServerKind.HTTP:
        headers = writing.resolved(row.headers, values)
        return RemoteLaunch(
            row.url,
            headers,
            tuple(values.values()),
            row.allows_private,
            is_personal=row.account == AccountUse.PERSON,
            uses_account=row.account != AccountUse.NONE,
            masks_keys=row.masks_keys,
        )
    env = launching.resolved(row.env, values)
    known = tuple(values.values())
    if row.place == Place.SANDBOX:
        top = settings.LOGOS_HOME / FOLDERS
        return BoxedLaunch(
            row.name, row.command, tuple(row.args), env, row.cwd, row.limits, top, boxes.folder(top, row.pk, agent_id or boxes.SHARED),
            tuple(row.shows), tuple(row.hosts), secret_places(),
            known, row.masks_keys,
        )  # fmt: skip
    where = launching.directory(row.cwd, settings.LOGOS_HOME / FOLDERS / row.pk / agent_id)
    return Launch(row.command, tuple(row.args), env, where, row.limits, known=known, masks_keys=row.masks_keys)


def write(changes: Iterable[Health]) -> None:
    """Keep how servers are."""
    for each in changes:
        rows = McpHealth.objects.filter(server_id=each.id)
        before = rows.values_list("state", flat=True).first()
        since = {} if before == each.state else {"since": timezone.now()}
        rows.update(
            state=each.state,
            reason=secrets.redact(each.reason),
            starts=each.starts,
            protocol=each.protocol,
            title=_storable(each.title),
            tools=[{name: _storable(text) for name, text in tool.items()} for tool in each.tools],
            errors=_storable(secrets.redact(each.errors)),
            walls=each.walls,
            children=[{**child, "errors": _storable(secrets.redact(child["errors"]))} for child in each.children],
            restarts_done=each.restarts_done,
            **since,
        )


def ids() -> frozenset[str]:
    """Every server there is, also those that do not run."""
    return frozenset(McpServer.objects.values_list("pk", flat=True))


def all_stopped() -> None:
    """Nobody runs any server now."""
    McpHealth.objects.exclude(state="stopped").update(state="stopped", reason="", children=[], since=timezone.now())


def note_disabled(wanted_ids: Iterable[str]) -> None:
    """Those that should not run say so."""
    rows = McpHealth.objects.exclude(server_id__in=list(wanted_ids)).exclude(state="disabled")
    rows.update(state="disabled", reason="", children=[], since=timezone.now())


def take_lease(owner: str) -> bool:
    """Become, or stay, the one process that runs MCP servers; False while another one is."""
    now = timezone.now()
    until = now + timedelta(seconds=LEASE_S)
    rows = McpLease.objects.filter(name=GATEWAY)
    holder = rows.values_list("owner", flat=True).first()
    if holder is None:
        try:
            with transaction.atomic():
                McpLease.objects.create(name=GATEWAY, owner=owner, until=until)
        except IntegrityError:
            return False
        return True
    free = Q(owner=owner) | Q(until__lt=now)
    if is_dead(holder):
        free |= Q(owner=holder)
    return bool(rows.filter(free).update(owner=owner, until=until))


def give_lease(owner: str) -> None:
    """Let another process have it at once."""
    McpLease.objects.filter(name=GATEWAY, owner=owner).delete()


def _later(known: float | None, ends: datetime | None) -> float | None:
    """The later of two ends; None is none."""
    return None if known is None or ends is None else max(known, ends.timestamp())


def _storable(text: str) -> str:
    """``text`` as a database can hold it."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
