"""Configuration as it was at a moment, read-only: rows of one kind, and how an agent was composed.

The version of a row at a moment is the newest record that is not younger. Whose past one may read is the rule of
``agents.past.kinds``; a row that refers to one whose past is closed to the reader names it no further.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import ForeignKey, Max, Model, QuerySet

from agents import permissions
from agents.errors import Invalid
from agents.models import Agent, ModelRoute, Policy, Preset, Provider, Soul, User
from agents.past.comparing import HIDDEN, fields_of, items, label, member_keys, members_of, shown
from agents.past.kinds import kinds, name_of_record, readable
from agents.reach import parse, summary
from agents.souls import digest
from agents.toolsets import LISTS, ToolsetLists, toolsets_for

# What an agent is made of; people and groups have their own history pages.
SHOWN = ("agent", "soul", "route", "policy", "preset", "provider")
# What a list shows of a long text; the row's history has all of it.
PREVIEW = 160
NOT_OPEN = "not open to you"


@dataclass(frozen=True, slots=True)
class Then:
    """One row as it was: its name, what it said, whether it is another by now, and whether it is gone."""

    kind: str
    id: str
    name: str
    facts: list[tuple[str, str]]
    record_id: int
    since: datetime
    has_changed: bool
    is_gone: bool


@dataclass(frozen=True, slots=True)
class Composed:
    """How an agent was composed at a moment; "" for a part that is not open to the reader or was not there."""

    soul: str = ""
    revision: int = 0
    sha256: str = ""
    tools: tuple[str, ...] | None = None
    runtime: str = ""
    provider: str = ""
    model: str = ""
    hosts: tuple[str, ...] | None = None


def records(user: User, model: Any, at: datetime) -> QuerySet[Any]:
    """The records of ``model`` that were the newest at ``at``, of rows that were there and whose past is open."""
    key = model._meta.pk.attname
    allowed = readable(user, model)
    older = model.history.filter(history_date__lte=at)
    if allowed is not None:
        older = older.filter(**{f"{key}__in": allowed.order_by().values("pk")})
    newest = older.order_by().values(key).annotate(newest=Max("history_id")).values("newest")
    found: QuerySet[Any] = model.history.filter(history_id__in=newest).exclude(history_type="-")
    return found.filter(deleted_at=None) if model is Agent else found


def facts(user: User, kind: str, found: list[Any], at: datetime) -> list[Then]:
    """These records as people read them, references by the names they had at ``at``. The same number of queries
    however many there are."""
    model: Any = kinds()[kind]
    key = model._meta.pk.attname
    ids = [getattr(record, key) for record in found]
    latest = model.history.filter(**{f"{key}__in": ids}).order_by().values(key).annotate(newest=Max("history_id"))
    newest = {row[key]: row["newest"] for row in latest}
    living = set(model._default_manager.filter(pk__in=ids).values_list("pk", flat=True))
    members = {
        name: _members(user, found, name, target, at) for name, target in (members_of(found[0]) if found else ())
    }
    names = {
        each.name: _names(user, each.remote_field.model, {getattr(record, each.attname) for record in found}, at)
        for each in (fields_of(found[0]) if found else ())
        if isinstance(each, ForeignKey)
    }
    return [
        Then(
            kind,
            str(getattr(record, key)),
            name_of_record(record),
            [
                *_own(user, record, names),
                *((label(name), of[record.pk]) for name, of in members.items() if of[record.pk]),
            ],
            record.history_id,
            record.history_date,
            newest[getattr(record, key)] != record.history_id,
            getattr(record, key) not in living,
        )
        for record in found
    ]


def _own(user: User, record: Any, names: dict[str, dict[Any, str]]) -> list[tuple[str, str]]:
    found = []
    for each in fields_of(record):
        value = getattr(record, each.attname)
        if each.name in ("name", "username") or value in (None, "", [], {}, False):
            continue
        if each.name in names:
            text = names[each.name][value]
        else:
            text = ", ".join(items(each, value)) if isinstance(value, list) else shown(user, each, value)
        text = " ".join(text[: PREVIEW * 2].split())
        found.append((label(str(each.verbose_name)), text if len(text) <= PREVIEW else f"{text[:PREVIEW]}…"))
    return found


def _names(user: User, model: Any, keys: set[Any], at: datetime) -> dict[Any, str]:
    """What these rows were called at ``at``; the names people have now, because people know each other."""
    keys = keys - {None}
    if model is User:
        now = dict(User.objects.filter(pk__in=keys).values_list("pk", "username"))
        return {key: now.get(key, "somebody whose account is gone") for key in keys}
    if not hasattr(model, "history"):  # never changed: called as it always was
        seen = permissions.visible(user, model._default_manager.filter(pk__in=keys))
        return dict.fromkeys(keys, HIDDEN) | {row.pk: str(row) for row in seen}
    then = {getattr(each, model._meta.pk.attname): each for each in _at(user, model, keys, at)}
    return {key: name_of_record(then[key]) if key in then else HIDDEN for key in keys}


def _members(user: User, found: list[Any], name: str, model: type[Model], at: datetime) -> dict[int, str]:
    through: Any = getattr(type(found[0]), name).model if found else None
    target = next(each for each in found[0]._history_m2m_fields if each.name == name).m2m_reverse_field_name()
    held: dict[int, list[Any]] = {record.pk: [] for record in found}
    for owner, key in through.objects.filter(history__in=held).values_list("history_id", f"{target}_id"):
        held[owner].append(key)
    names = _names(user, model, {key for keys in held.values() for key in keys}, at)
    return {owner: ", ".join(sorted(names[key] for key in keys)) for owner, keys in held.items()}


def _at(user: User, model: Any, keys: Iterable[Any], at: datetime) -> list[Any]:
    key = model._meta.pk.attname
    return list(records(user, model, at).filter(**{f"{key}__in": list(keys)}))


def composed(user: User, agent_id: str, at: datetime) -> Composed | None:
    """How the agent was composed at ``at``; None when its past is not open to ``user`` or it was not there."""
    agent = next(iter(_at(user, Agent, [agent_id], at)), None)
    if agent is None:
        return None
    soul = next(iter(_at(user, Soul, [agent.soul_id], at)), None)
    routes = records(user, ModelRoute, at)
    route = (routes.filter(id=agent.route_id) if agent.route_id else routes.filter(is_default=True)).first()
    # Whoever may use a route is told its provider's name with it, as everywhere.
    provider = _newest(Provider, route.provider_id, at) if route else None
    wanted = member_keys(agent, "policies")
    policies = _at(user, Policy, wanted, at)
    lists = ToolsetLists(**{kind: tuple(getattr(soul, f"{kind}_toolsets")) for kind in LISTS}) if soul else None
    return Composed(
        soul.name if soul else "",
        soul.revision if soul else 0,
        digest(soul.text) if soul else "",
        tuple(sorted(toolsets_for(lists, agent.toolsets))) if lists else None,
        agent.runtime,
        provider.name if provider else "",
        route.model if route else "",
        _reach(policies, at) if len(policies) == len(wanted) else None,
    )


def _reach(policies: Iterable[Any], at: datetime) -> tuple[str, ...] | None:
    """Whoever reads a policy's past reads that of the presets it included."""
    presets = {key for policy in policies for key in member_keys(policy, "presets")}
    held = [*policies, *(_newest(Preset, key, at) for key in presets)]
    try:
        return summary(rule for each in held if each is not None for rule in parse(each.rules))
    except Invalid:
        return None


def _newest(model: Any, pk: str, at: datetime) -> Any:
    return model.history.filter(id=pk, history_date__lte=at).order_by("-history_id").first()
