"""What ``mcp_servers:`` and ``mcp_policy:`` of a file say, checked in shape and kind; what it may say is for the writers."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

from django.db import models

from agents.errors import Invalid
from agents.models import Visibility
from agents.secrets import redact
from mcp_gateway import servers
from mcp_gateway.declared.text import Path, Source
from mcp_gateway.launching import REFERENCE
from mcp_gateway.models import AccessTier, McpServer
from sandboxes.tool_server import outside
from sandboxes.tool_server.tiers import Tier

SERVERS, POLICY = "mcp_servers", "mcp_policy"
# How the file calls what the rows call otherwise; below ``tools`` of a server are include and exclude.
SPELLED = {"timeout_s": "timeout", "connect_timeout_s": "connect_timeout"}
NESTED = ("include", "exclude")
FIELDS: dict[str, str] = {
    SPELLED.get(name, name): name for name in servers.WRITTEN if name not in ("name", "kind", *NESTED)
}
_OTHERS = ("tools", "visibility", "secrets", "require_approval")
# The lists of categories in the policy, as the first Logos had them.
LISTS = {"auto_approve": "auto", "user_approve": "user", "admin_approve": "admin", "deny": "deny"}
_RULE = ("tier", "argument", "per_minute", "per_hour", "note")
_TIERS = (*AccessTier.values, *(f"{tier}_approve" for tier in ("auto", "user", "admin")))


@dataclass(frozen=True, slots=True)
class SecretFrom:
    """Where the value of a secret is: in a file, or in a variable of the environment."""

    name: str
    kind: str
    where: str
    path: Path


@dataclass(frozen=True, slots=True)
class DeclaredServer:
    """What the file says of one server. ``fields`` are named as in the row; A null in the file is what a new server has."""

    name: str
    path: Path
    fields: dict[str, Any] = field(default_factory=dict)
    visibility: str = ""
    secrets: tuple[SecretFrom, ...] = ()
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeclaredRule:
    """One rule of the site about calls of servers' tools."""

    tool: str
    path: Path
    tier: str
    argument: str = ""
    per_minute: int | None = None
    per_hour: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Declared:
    """A whole file. ``access`` and ``calls`` are by category, with where each is said."""

    servers: tuple[DeclaredServer, ...] = ()
    access: dict[str, tuple[str, Path]] = field(default_factory=dict)
    calls: dict[str, tuple[str, Path]] = field(default_factory=dict)
    rules: tuple[DeclaredRule, ...] = ()


def declared(source: Source) -> Declared:
    """What the file says. Raises Invalid with file, line, and the way forward."""
    _refuse_secrets(source)
    whole = _mapping(source, (), source.value, (SERVERS, POLICY))
    found, rules = [], []
    for name, said in _mapping(source, (SERVERS,), whole.get(SERVERS)).items():
        found.append(_server(source, name, said))
        rules += _approvals(source, name, said)
    policy = _mapping(source, (POLICY,), whole.get(POLICY), (*LISTS, "calls", "tools"))
    rules += _rules(source, policy.get("tools"))
    _refuse_doubles(source, rules)
    return Declared(tuple(found), _access(source, policy), _calls(source, policy.get("calls")), tuple(rules))


def default_of(name: str) -> Any:
    """What a new server has there."""
    return column_of(name).get_default()


def column_of(name: str) -> models.Field:
    """The column of this part of a server."""
    return cast(models.Field, McpServer._meta.get_field(name))


def _server(source: Source, name: str, said: Any) -> DeclaredServer:
    path: Path = (SERVERS, name)
    given = _mapping(source, path, said, (*FIELDS, *_OTHERS))
    fields = {FIELDS[key]: _typed(source, (*path, key), FIELDS[key], given[key]) for key in given if key in FIELDS}
    if isinstance(fields.get("tier"), str):
        if fields["tier"] not in _TIERS:
            raise _not_one_of(source, (*path, "tier"), AccessTier.values)
        fields["tier"] = fields["tier"].removesuffix("_approve")
    if "url" in given:
        fields["kind"] = "http" if fields["url"] else "stdio"
    elif "command" in given:
        fields["kind"] = "stdio"
    for key, value in _mapping(source, (*path, "tools"), given.get("tools"), NESTED).items():
        fields[key] = _typed(source, (*path, "tools", key), key, value)
    visibility = given.get("visibility") or ""
    if visibility and visibility not in Visibility.values:
        raise _not_one_of(source, (*path, "visibility"), Visibility.values)
    needs, secrets = _secrets(source, (*path, "secrets"), given.get("secrets"))
    return DeclaredServer(name, path, fields, str(visibility), secrets, needs)


def _typed(source: Source, path: Path, name: str, value: Any) -> Any:
    """``value`` of the kind this field has; null is what a new server has."""
    default = default_of(name)
    if value is None:
        return default
    column = column_of(name)
    if isinstance(column, models.BooleanField):
        if not isinstance(value, bool):
            raise source.refuse(path, "This is true or false.")
        return value
    if isinstance(column, models.PositiveIntegerField):
        if isinstance(value, bool) or not isinstance(value, int):
            raise source.refuse(path, "This is a whole number.")
        return value
    if isinstance(default, list):
        return [_text(source, (*path, at), each) for at, each in enumerate(_list(source, path, value))]
    if isinstance(default, dict):
        inner = _mapping(source, path, value)
        if name in ("env", "headers"):
            return {key: _text(source, (*path, key), each) for key, each in inner.items()}
        return inner
    return _text(source, path, value)


def _secrets(source: Source, path: Path, value: Any) -> tuple[tuple[str, ...], tuple[SecretFrom, ...]]:
    """Names that must be set, or where values are: ``NAME_file: path``, ``NAME_env: variable``."""
    if value is None:
        return (), ()
    if isinstance(value, list):
        return tuple(_text(source, (*path, at), each) for at, each in enumerate(value)), ()
    found = []
    for key, where in _mapping(source, path, value).items():
        name, _, kind = key.rpartition("_")
        if kind not in ("file", "env") or not REFERENCE.fullmatch(f"${{{name}}}"):
            raise source.refuse(
                (*path, key),
                "A secret is set from a file or a variable, and never stands in here.",
                "Write NAME_file: path, or NAME_env: VARIABLE.",
            )
        found.append(SecretFrom(name, kind, _text(source, (*path, key), where), (*path, key)))
    if len({each.name for each in found}) != len(found):
        raise source.refuse(path, "A secret is set twice.")
    return tuple(each.name for each in found), tuple(found)


def _approvals(source: Source, name: str, said: Any) -> list[DeclaredRule]:
    """``require_approval: true``, or the tools of the server that are asked for every time."""
    path: Path = (SERVERS, name, "require_approval")
    value = said.get("require_approval") if isinstance(said, dict) else None
    if value is None or value is False:
        return []
    tools = [("*", path)] if value is True else [
        (_text(source, (*path, at), each), (*path, at)) for at, each in enumerate(_list(source, path, value))
    ]  # fmt: skip
    return [DeclaredRule(outside.name_of(name, tool), where, Tier.ASK.value) for tool, where in tools]


def _rules(source: Source, value: Any) -> list[DeclaredRule]:
    found: list[DeclaredRule] = []
    for key, said in _mapping(source, (POLICY, "tools"), value).items():
        path: Path = (POLICY, "tools", key)
        tool = outside.EVERY if key == "*" else f"{outside.PREFIX}{key.removeprefix(outside.PREFIX)}"
        if not outside.is_name(tool):
            raise source.refuse(path, "This names no tool.", "Write SERVER.TOOL, SERVER.*, or * for every server.")
        several = list(enumerate(said)) if isinstance(said, list) else [(None, said)]
        for at, each in several:
            found.append(_rule(source, path if at is None else (*path, at), tool, each))
    return found


def _rule(source: Source, path: Path, tool: str, said: Any) -> DeclaredRule:
    given: dict[str, Any] = {"tier": said} if isinstance(said, str) else _mapping(source, path, said, _RULE)
    tier = given.get("tier")
    if tier not in Tier.values:
        raise _not_one_of(source, (*path, "tier") if isinstance(said, dict) else path, Tier.values)
    for name in ("per_minute", "per_hour"):
        if given.get(name) is not None and (isinstance(given[name], bool) or not isinstance(given[name], int)):
            raise source.refuse((*path, name), "A rate is a whole number.")
    argument, note = (
        "" if given.get(name) is None else _text(source, (*path, name), given[name]) for name in ("argument", "note")
    )
    return DeclaredRule(tool, path, str(tier), argument, given.get("per_minute"), given.get("per_hour"), note)


def _access(source: Source, policy: dict[str, Any]) -> dict[str, tuple[str, Path]]:
    found: dict[str, tuple[str, Path]] = {}
    for key, tier in LISTS.items():
        for at, each in enumerate(_list(source, (POLICY, key), policy.get(key) or [])):
            path: Path = (POLICY, key, at)
            category = _text(source, path, each).strip()
            if category in found:
                raise source.refuse(path, f"The category {category[:40]} stands in two places.", "Keep one of them.")
            found[category] = (tier, path)
    return found


def _calls(source: Source, value: Any) -> dict[str, tuple[str, Path]]:
    found = {}
    for category, tier in _mapping(source, (POLICY, "calls"), value).items():
        path: Path = (POLICY, "calls", category)
        if tier not in Tier.values:
            raise _not_one_of(source, path, Tier.values)
        found[category] = (str(tier), path)
    return found


def _refuse_secrets(source: Source) -> None:
    for path, text in source.texts():
        bare = REFERENCE.sub("", text)
        if redact(bare) != bare:
            raise source.refuse(
                path if isinstance(path[-1], int) or redact(path[-1]) == path[-1] else path[:-1],
                "This looks like a secret, and everybody who sees the server could read it.",
                "Write ${NAME}, and set the secret NAME: ./logos mcp secret, or NAME_file below secrets.",
                "secret_in_file",
            )


def _refuse_doubles(source: Source, rules: Iterable[DeclaredRule]) -> None:
    seen: set[tuple[str, str]] = set()
    for rule in rules:
        key = (rule.tool, rule.argument.strip())
        if key in seen:
            raise source.refuse(rule.path, f"There are two rules for {rule.tool.removeprefix(outside.PREFIX)}.")
        seen.add(key)


def _mapping(source: Source, path: Path, value: Any, known: Iterable[str] | None = None) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise source.refuse(path, "Names with values belong here, as in NAME: value.")
    names = list(known) if known is not None else list(value)
    for key in value:
        if key not in names:
            raise source.refuse((*path, key), "This means nothing here.", _meant(key, names))
    return value


def _list(source: Source, path: Path, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise source.refuse(path, "This is a list.", "Write one a line, each after a dash.")
    return value


def _text(source: Source, path: Path, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise source.refuse(path, "This is a text.", "Put it in quotes.")
    return str(value)


def _not_one_of(source: Source, path: Path, words: Iterable[str]) -> Invalid:
    return source.refuse(path, f"This is one of: {', '.join(words)}.")


def _meant(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, 1, 0.6)
    return f"Did you mean {close[0]}?" if close else f"Known here: {', '.join(known)}."
