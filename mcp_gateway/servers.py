"""Write MCP servers: add, change and delete them, set their secrets, ask for a new start; the rules of every door."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from agents import audit, permissions
from agents.agent_secrets import check_value
from agents.editing import editing
from agents.errors import Conflict, Invalid, NotFound
from agents.invisible import first_hidden
from agents.models import User, Visibility
from mcp_gateway import access, boxes, launching, renaming
from mcp_gateway.models import AccountUse, Children, McpHealth, McpSecret, McpServer, Place, Resources, ServerKind
from mcp_gateway.remote import places, writing
from mcp_gateway.sampling import setting
from sandboxes.tool_server import outside

# What decides which program runs on this machine, what steers it, and what stands between it and the host.
LAUNCH = ("kind", "command", "args", "env", "cwd", "limits", "place", "shows", "hosts", "allows_private")
# Those of a program only, and those of its sandbox only.
PROGRAM, BOX = ("command", "args", "env", "cwd", "limits", "shows", "hosts"), ("shows", "hosts")
# Where a server elsewhere is, and so who gets the secrets that are set for it.
REACH = ("url", "headers", "account", "client_id")
WRITTEN = (
    *("name", "description", "category"),
    *LAUNCH,
    *REACH,
    "scopes",
    *("timeout_s", "connect_timeout_s", "enabled", "tier", "asks_caller", "allows_new", "include", "exclude"),
    *("children", "idle_s", "max_children", "resources"),
    *("max_result_kb", "max_argument_kb", "masks_keys"),
    *setting.FIELDS,
)
MAX_SECRETS = 40


def rows() -> QuerySet[McpServer]:
    """Servers with everything that is shown of them, in two queries."""
    return McpServer.objects.select_related("owner", "health").prefetch_related("secrets")


@transaction.atomic
def create(
    owner: User, name: str, command: str = "", *, visibility: str = Visibility.PRIVATE, **fields: Any
) -> McpServer:
    """A new server of ``owner``, who must be allowed to add servers and, unless it is one on the open internet, to say
    what runs on this machine."""
    permissions.require(owner, "server.create")
    if fields.get("kind") != ServerKind.HTTP or fields.get("allows_private"):
        permissions.require(owner, "server.launch")
    server = McpServer(owner=owner, visibility=visibility)
    given = setting.with_models(owner, {**fields, "name": name, "command": command})
    _fill(server, setting.with_route(owner, given))
    _saved(server)
    McpHealth.objects.create(server=server)
    return server


def change(user: User, server_id: str, version: int | None, *, end_access: bool = False, **fields: Any) -> McpServer:
    """Set these fields; ``end_access`` also takes back what agents were given until now. Raises NotFound, Stale when somebody saved since ``version``, Invalid, Conflict for a name
    that is taken or that rules name, LogosError(reason="forbidden") for a launch command of somebody without the right. Nothing is
    saved when nothing differs."""
    with editing(user, "server.edit", McpServer.objects.all(), server_id, version) as server:
        before = written(server)
        fields = setting.with_models(user, fields, server.sampling_models)
        _fill(server, setting.with_route(user, fields, server.sampling_route_id))
        differs = require_change(user, server, before)
        forget_accounts(server, before)
        saved = _saved(server) if differs else server
        if end_access:
            access.end_all(user, saved)
        return saved


def written(server: McpServer) -> dict[str, Any]:
    """What people have set of it, as it is."""
    return {name: getattr(server, name) for name in WRITTEN}


def require_change(user: User, server: McpServer, before: dict[str, Any]) -> list[str]:
    """The names of what differs from ``before``. Raises LogosError(reason="forbidden"), NotFound or Conflict unless this
    person may change just that."""
    differs = [name for name in WRITTEN if getattr(server, name) != before[name]]
    if set(differs) & set(LAUNCH) or (set(differs) & set(REACH) and holds_secrets(server)):
        permissions.require(user, "server.launch")
    if "tier" in differs or setting.widens(before, server):
        permissions.require(user, "server.manage", server)
    if "name" in differs:
        renaming.require_name(before["name"])
    if "category" in differs:
        renaming.require_category(user, server, before["category"])
    return differs


def forget_accounts(server: McpServer, before: dict[str, Any]) -> None:
    """Accounts were connected for another place, or for others than those who would use them now."""
    if before["account"] != server.account or places.origin(before["url"]) != places.origin(server.url):
        server.accounts.all().delete()


def remove(user: User, server_id: str) -> None:
    """Delete a server, its secrets and everything agents were given on it; the gateway ends its process."""
    with editing(user, "server.manage", McpServer.objects.all(), server_id, None) as server:
        server.delete()


def restart(user: User, server_id: str) -> McpServer:
    """Have it started anew, also when it is parked. Raises Conflict for a disabled one."""
    server = permissions.fetch(user, "server.edit", rows(), pk=server_id)
    if not server.enabled:
        raise Conflict("This server is disabled.", reason="disabled", action="Enable it instead.")
    with transaction.atomic():
        McpHealth.objects.filter(server=server).update(restarts_asked=F("restarts_asked") + 1)
        audit.note("mcp_restarted", actor=user, about=server)
    return server


@transaction.atomic
def put_secret(user: User, server_id: str, name: str, value: str) -> McpSecret:
    """Store ``value`` under ``name``; the server is started anew with it. Raises NotFound, Invalid."""
    server = permissions.fetch(user, "server.edit", McpServer.objects.select_for_update(of=("self",)), pk=server_id)
    name, value = name.strip(), check_value(value)
    if not launching.REFERENCE.fullmatch(f"${{{name}}}"):
        raise Invalid("A secret is named in capital letters, digits and underscores.", field="name")
    row = McpSecret.objects.filter(server=server, name=name).first()
    if row is None:
        if McpSecret.objects.filter(server=server).count() >= MAX_SECRETS:
            raise Invalid(f"A server may have {MAX_SECRETS} secrets.", field="name", reason="too_many")
        row = McpSecret(server=server, name=name)
    row.set_value(value)
    row.set_by, row.set_at = user, timezone.now()
    row.save()
    audit.note("mcp_secret_set", actor=user, about=server, name=name)
    return row


@transaction.atomic
def remove_secret(user: User, server_id: str, name: str) -> None:
    """Forget a secret; a server that names it cannot start any more."""
    server = permissions.fetch(user, "server.edit", McpServer.objects.all(), pk=server_id)
    row = McpSecret.objects.filter(server=server, name=name).first()
    if row is None:
        raise NotFound("Secret")
    row.delete()
    audit.note("mcp_secret_removed", actor=user, about=server, name=name)


def families(user: User) -> list[str]:
    """What this person's rules about tools can name of the servers they see."""
    seen = permissions.visible(user, McpServer.objects.all()).order_by("name")
    return [outside.name_of(name, "*") for name in seen.values_list("name", flat=True)[:200]]


def warnings(server: McpServer) -> list[str]:
    """What people should know of a server before they trust it, and what it lacks."""
    return [
        *launching.warnings(server.command, server.args),
        *(f"It names the secret {name}, which is not set." for name in lacking(server)),
    ]


def lacking(server: McpServer) -> list[str]:
    """Secrets that it names and does not have."""
    held = {row.name for row in server.secrets.all()}
    return [name for name in launching.references({**server.env, **server.headers}) if name not in held]


def check(fields: dict[str, Any], *, allows_private: bool = False) -> dict[str, Any]:
    """``fields`` in their one spelling. Raises Invalid. ``allows_private`` counts where they do not say it."""
    cleaned = dict(fields)
    if unknown := set(fields) - set(WRITTEN):
        raise Invalid(f"A server has no {sorted(unknown)[0][:40]!r}.", field=sorted(unknown)[0][:40])
    for name, clean in _CLEAN.items():
        if name in fields:
            cleaned[name] = clean(fields[name])
    if fields.get("url"):
        cleaned["url"] = places.clean_url(str(fields["url"]), bool(fields.get("allows_private", allows_private)))
    for name, longest in (("description", 300), ("category", 40)):
        if name in fields:
            cleaned[name] = str(fields[name]).strip()
            if len(cleaned[name]) > longest or "\x00" in cleaned[name]:
                raise Invalid(f"The {name} may have {longest} characters.", field=name)
            if first_hidden(cleaned[name]) is not None:
                raise Invalid(f"The {name} holds a character that nobody sees.", field=name)
    return cleaned


def check_whole(server: McpServer) -> None:
    """Raises Invalid unless the server has what its kind needs, and nothing of the other."""
    if server.kind == ServerKind.STDIO:
        if not server.command:
            raise Invalid("Say which program is the server.", field="command")
        if unfit := next((name for name in (*REACH, "scopes", "allows_private") if _says(server, name)), ""):
            raise Invalid("A program of this host has no address, headers or account.", field=unfit)
        if server.place == Place.HOST and (unfit := next((name for name in BOX if getattr(server, name)), "")):
            raise Invalid(
                "On the host it sees and reaches everything anyway: this is for a sandbox of its own.", field=unfit
            )
        if server.place == Place.SANDBOX:
            if server.cwd and not boxes.is_own(server.cwd):
                boxes.check_shown([server.cwd], "cwd")
                boxes.check_real(server.cwd, secret_places(), "cwd")
            for path in server.shows:
                boxes.check_real(path, secret_places())
        return
    if not server.url:
        raise Invalid("Say where the server is.", field="url", action="For instance https://example.org/mcp.")
    places.clean_url(server.url, server.allows_private)
    if server.account != AccountUse.NONE and any(name.lower() == "authorization" for name in server.headers):
        raise Invalid("With an account, Authorization is its token: take the header away.", field="headers")
    if server.children == Children.PER_AGENT:
        raise Invalid("Only a program of this machine can have a copy for each agent.", field="children")
    if unfit := next((name for name in PROGRAM if getattr(server, name)), ""):
        raise Invalid("A server elsewhere is not started here: it has an address and headers only.", field=unfit)


def secret_places() -> tuple[Path, ...]:
    """Files of Logos itself, which no sandbox of a server is shown."""
    return Path(settings.LOGOS_HOME), Path(settings.BASE_DIR) / ".env"


def holds_secrets(server: McpServer) -> bool:
    """Would whoever the server is next get to know something?"""
    return server.secrets.exists() or server.accounts.exists()


def _says(server: McpServer, name: str) -> bool:
    return getattr(server, name) not in ("", {}, False, AccountUse.NONE)


def _clean_place(place: Any) -> str:
    if place not in Place.values:
        raise Invalid(f"A program runs in one of: {', '.join(Place.values)}.", field="place")
    return str(place)


def _clean_children(children: Any) -> str:
    if children not in Children.values:
        raise Invalid(f"A process serves one of: {', '.join(Children.values)}.", field="children")
    return str(children)


def _clean_resources(resources: Any) -> str:
    if resources not in Resources.values:
        raise Invalid(f"Resources are one of: {', '.join(Resources.values)}.", field="resources")
    return str(resources)


def _clean_number(value: Any, field: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise Invalid(f"This is a whole number from {low:,} to {high:,}.", field=field)
    return value


def _clean_kind(kind: Any) -> str:
    if kind not in ServerKind.values:
        raise Invalid(f"A server is one of: {', '.join(ServerKind.values)}.", field="kind")
    return str(kind)


_CLEAN: dict[str, Any] = {
    "name": launching.clean_name,
    "kind": _clean_kind,
    "command": lambda value: launching.clean_command(value) if value else "",
    "headers": writing.clean_headers,
    "allows_private": bool,
    "account": writing.clean_account,
    "client_id": writing.clean_client_id,
    "scopes": writing.clean_scopes,
    "args": launching.clean_args,
    "env": launching.clean_env,
    "cwd": launching.clean_cwd,
    "limits": launching.clean_limits,
    "place": _clean_place,
    "shows": boxes.clean_shown,
    "hosts": boxes.clean_hosts,
    "allows_new": bool,
    "children": _clean_children,
    "resources": _clean_resources,
    "idle_s": lambda value: _clean_number(value, "idle_s", 10, 86_400),
    "max_children": lambda value: _clean_number(value, "max_children", 1, 64),
    "timeout_s": lambda value: launching.clean_seconds(value, "timeout_s"),
    "connect_timeout_s": lambda value: launching.clean_seconds(value, "connect_timeout_s"),
    "enabled": bool,
    "tier": launching.clean_tier,
    "asks_caller": bool,
    "max_result_kb": lambda value: launching.clean_size(value, "max_result_kb"),
    "max_argument_kb": lambda value: launching.clean_size(value, "max_argument_kb"),
    "masks_keys": bool,
    "include": lambda value: launching.clean_tools(value, "include"),
    "exclude": lambda value: launching.clean_tools(value, "exclude"),
    **setting.CLEAN,
}


def _fill(server: McpServer, fields: dict[str, Any]) -> None:
    for name, value in check(fields, allows_private=server.allows_private).items():
        setattr(server, name, value)
    check_whole(server)
    if {"sampling", "sampling_route"} & set(fields):
        setting.check_whole(server)


def _saved(server: McpServer) -> McpServer:
    try:
        with transaction.atomic():
            server.save()
    except IntegrityError as error:
        raise Conflict("This name is taken.", reason="name_taken", action="Choose another one.") from error
    return server
