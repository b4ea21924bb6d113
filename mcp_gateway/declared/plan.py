"""What a file would change, and changing it: both by the same writers as every other door, the plan taken back at the end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from agents import four_eyes, permissions, secrets, sharing
from agents.errors import Conflict, Invalid, LogosError, NotFound
from agents.models import User, Visibility
from mcp_gateway import categories, servers
from mcp_gateway.declared import differing
from mcp_gateway.declared.form import (
    FIELDS,
    NESTED,
    SPELLED,
    Declared,
    DeclaredRule,
    DeclaredServer,
    SecretFrom,
    declared,
    default_of,
)
from mcp_gateway.declared.text import Path, Source, read
from mcp_gateway.models import AccessTier, McpCategory, McpSecret, McpServer
from mcp_gateway.sampling import setting
from sandboxes.tool_server import argument_patterns, outside, rules
from sandboxes.tool_server.models import Condition, Layer, ToolRule
from sandboxes.tool_server.tiers import Tier

# What gives the value of a secret: ("file" or "env", which). Only a shell on the host has one.
Values = Callable[[str, str], str]
SHOWN = 50
ADD, CHANGE, SAME, WAITS = "add", "change", "unchanged", "waits"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing the file names: what becomes of it, and what of it changes, as words."""

    what: str
    verb: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a file does. ``kept`` is what it does not name, ``digest`` stands for exactly this plan."""

    steps: tuple[Step, ...]
    kept: tuple[str, ...]
    warnings: tuple[str, ...]
    digest: str

    @property
    def changes(self) -> int:
        """How many things it changes."""
        return sum(step.verb != SAME for step in self.steps)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {**asdict(self), "changes": self.changes}


def plan(user: User, text: str, name: str = "The file", values: Values | None = None) -> Plan:
    """What ``apply`` would do now. Nothing is kept of it. Raises what ``apply`` raises."""
    with transaction.atomic():
        found = _carried_out(user, text, name, values)
        transaction.set_rollback(True)
    return found


def apply(
    user: User, text: str, name: str = "The file", values: Values | None = None, digest: str | None = None
) -> Plan:
    """All of the file, or nothing: by the rights and rules of every other door. Raises Invalid with file and line, LogosError
    for what this person may not do, Conflict(reason="stale") when it would do other than the plan of this ``digest``."""
    with transaction.atomic():
        found = _carried_out(user, text, name, values)
        if digest is not None and digest != found.digest:
            raise Conflict(
                "Something has changed since this plan was made.", reason="stale", action="Look at the new plan."
            )
    return found


def _carried_out(user: User, text: str, name: str, values: Values | None) -> Plan:
    permissions.require(user, "server.create")
    source = read(text, name)
    said = declared(source)
    steps, warnings = [], []
    for each in said.servers:
        step, server = _server(user, source, each, values)
        steps.append(step)
        warnings += [f"{server.name}: {words}" for words in servers.warnings(server)]
        held = {row.name for row in server.secrets.all()}
        named = {word for word in each.needs if word not in held}
        warnings += [f"{server.name}: The secret {word} is not set." for word in sorted(named)]
    steps += [_category(user, source, said, name) for name in dict.fromkeys([*said.access, *said.calls])]
    steps += [_rule(user, source, each) for each in said.rules]
    marks = [[step.what, step.verb, step.lines] for step in steps]
    digest = hashlib.sha256(json.dumps([text, marks]).encode("utf-8", "replace")).hexdigest()
    return Plan(tuple(steps), _kept(user, said), tuple(dict.fromkeys(warnings)), digest)


def _server(user: User, source: Source, said: DeclaredServer, values: Values | None) -> tuple[Step, McpServer]:
    seen = permissions.visible(user, McpServer.objects.all()).filter(name=said.name).first()
    try:
        if seen is None:
            visibility = said.visibility or Visibility.PRIVATE
            server = servers.create(user, said.name, **{"command": "", **said.fields, "visibility": visibility})
            before = {name: default_of(name) for name in servers.WRITTEN}
            verb, lines = ADD, differing.differences(before, server)
        else:
            before = {name: getattr(seen, name) for name in servers.WRITTEN}
            server = _changed(user, seen, said)
            lines = differing.differences(before, server)
            verb = CHANGE if lines else SAME
        shown = str(Visibility.PRIVATE if seen is None else seen.visibility)
        if said.visibility and said.visibility != shown:
            if seen is not None:
                sharing.set_visibility(user, server, said.visibility)
            lines.append(f"visibility: {shown} → {said.visibility}")
    except LogosError as error:
        raise _placed(source, said, error) from error
    lines += [line for each in said.secrets if (line := _secret(user, source, server, each, values))]
    return Step(f"server {said.name}", CHANGE if verb == SAME and lines else verb, tuple(lines)), servers.rows().get(
        pk=server.pk
    )


def _changed(user: User, seen: McpServer, said: DeclaredServer) -> McpServer:
    """Only what differs is written, so that a file that says what is there needs no right but to see it."""
    given = setting.with_models(user, said.fields, seen.sampling_models)
    given = setting.with_route(user, given, seen.sampling_route_id)
    cleaned = servers.check(given, allows_private=seen.allows_private)
    fields = {name: value for name, value in cleaned.items() if getattr(seen, name) != value}
    return servers.change(user, seen.pk, seen.version, **fields) if fields else seen


@sensitive_variables("value")
def _secret(user: User, source: Source, server: McpServer, said: SecretFrom, values: Values | None) -> str:
    """What changes of a secret, without its value; "" when it has this value already."""
    if values is None:
        raise source.refuse(
            said.path,
            "Files and variables of the host are read by the command only.",
            "Use ./logos mcp apply on the host, or set the secret on the server's page and list its name here.",
        )
    try:
        value = values(said.kind, said.where)
        permissions.require(user, "server.edit", server)
        row = McpSecret.objects.filter(server=server, name=said.name).first()
        if row is not None and secrets.unseal(row.sealed) == value.strip():
            return ""
        servers.put_secret(user, server.pk, said.name, value)
    except LogosError as error:
        raise _told(source, said.path, error) from error
    place = f"the file {said.where}" if said.kind == "file" else f"the variable {said.where}"
    return f"secret {said.name}: {'another value' if row else 'set'} from {place}"


def _category(user: User, source: Source, said: Declared, name: str) -> Step:
    row = McpCategory.objects.filter(pk=name).first()
    was = (row.access, row.calls) if row is not None else (AccessTier.USER.value, Tier.ALLOW.value)
    (access, path), (calls, calls_path) = said.access.get(name, (was[0], ())), said.calls.get(name, (was[1], ()))
    if (access, calls) == was:
        return Step(f"category {name}", SAME)
    try:
        categories.put(user, name, access, calls)
    except LogosError as error:
        raise _told(source, path or calls_path, error) from error
    pairs = (("access", was[0], access), ("calls", was[1], calls))
    lines = tuple(f"{word}: {old} → {new}" for word, old, new in pairs if old != new)
    return Step(f"category {name}", CHANGE if row is not None else ADD, lines)


def _rule(user: User, source: Source, said: DeclaredRule) -> Step:
    about = f" where {said.argument}" if said.argument else ""
    what = f"rule for {said.tool.removeprefix(outside.PREFIX)}{about}"
    try:
        permissions.require(user, "tool.site")
        pattern = argument_patterns.spelled(said.argument) if said.argument else ""
        condition = Condition.ARGUMENT.value if pattern else ""
        row = rules.for_all().filter(tool=said.tool, condition=condition, pattern=pattern).first()
        wanted = {name: getattr(said, name) for name in ("tier", "per_minute", "per_hour", "note")}
        was = {name: getattr(row, name) if row is not None else None for name in wanted}
        if row is not None and was == wanted:
            return Step(what, SAME)
        lines = tuple(
            differing.line(name, was[name], value)
            for name, value in wanted.items()
            if (was[name] or None) != (value or None)
        )
        rules.put(
            user, None, layer=Layer.SITE, tool=said.tool, condition=condition, pattern=pattern,
            version=row.version if row is not None else 0, **wanted,
        )  # fmt: skip
    except four_eyes.SecondPerson:
        return Step(what, WAITS, (*lines, "a second person has to agree"))
    except LogosError as error:
        raise _told(source, said.path, error) from error
    return Step(what, CHANGE if row is not None else ADD, lines)


def _kept(user: User, said: Declared) -> tuple[str, ...]:
    """What there is and the file does not name, as far as this person sees it."""
    named = [each.name for each in said.servers]
    seen = permissions.visible(user, McpServer.objects.all()).exclude(name__in=named).order_by("name")
    found = [f"server {name}" for name in seen.values_list("name", flat=True)[:SHOWN]]
    kinds = McpCategory.objects.exclude(name__in=[*said.access, *said.calls]).order_by("name")
    found += [f"category {name}" for name in kinds.values_list("name", flat=True)[:SHOWN]]
    if permissions.may(user, "tool.site"):
        told = {(each.tool, each.argument.strip()) for each in said.rules}
        found += [
            f"rule for {row.tool.removeprefix(outside.PREFIX)}{f' where {row.pattern}' if row.pattern else ''}"
            for row in outside_rules()[:SHOWN]
            if (row.tool, row.pattern) not in told
        ]
    return tuple(found)


def outside_rules() -> Any:
    """The site's rules about calls of servers' tools."""
    return ToolRule.objects.filter(agent=None, tool__startswith=outside.PREFIX).order_by("tool", "pattern")


def _placed(source: Source, said: DeclaredServer, error: LogosError) -> Exception:
    """The refusal of a writer, at the key of the server it is about."""
    name = getattr(error, "field", "")
    key: Path = ("tools", name) if name in NESTED else (SPELLED.get(name, name),) if name in FIELDS.values() else ()
    inner = said.fields.get(name)
    if isinstance(inner, dict) and (which := next((each for each in inner if error.message.startswith(each)), "")):
        key = (*key, which)
    if isinstance(error, NotFound):
        error = LogosError("You may see this server, and not change it.", reason="forbidden", action="Take it out.")
    return _told(source, (*said.path, *key), error)


def _told(source: Source, path: Path, error: LogosError) -> Exception:
    """The same refusal with its place in the file; what it is about stays what it is."""
    placed = source.refuse(path, error.message, error.action, error.reason)
    if isinstance(error, Invalid):
        return placed
    error.message, error.args = placed.message, (placed.message,)
    return error
