"""Put an earlier version of a row back: an edit like any other, by the rules of today, and a new version itself.

Who owns a row, who may use it, whether it is deleted, a person's role and name to sign in: none of that is put back,
because each has rules of its own and a page where it is changed. Keys and passwords are in no history.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Field, ForeignKey, Model, QuerySet

from agents import acting, composition, groups, permissions, policies, soul_library, souls
from agents.errors import Conflict, Invalid, LogosError
from agents.models import Agent, ModelRoute, Policy, Preset, Soul, User
from agents.models.history import one_record
from agents.past.comparing import FieldChange, compare, fields_of, member_keys, members_of
from agents.past.kinds import REVERTED, Past, edit_action, find
from agents.past.versions import Version, one
from agents.toolsets import LISTS, ToolsetLists

_NEVER = frozenset({"owner", "visibility"})
# Another provider or model is another route: runs already name this one.
_FIXED = {"route": frozenset({"provider", "model"})}
# Of a person what others see of them; what opens the account is no matter of history.
_ONLY = {"person": frozenset({"first_name", "last_name"})}
_SOUL_PARTS = ("name", "description", "category", "tags", "status", "text")


def changes(user: User, past: Past, version: Version) -> list[FieldChange]:
    """What putting this version back would change, as ``user`` may see it."""
    now = past.records.last()
    return [each for each in compare(user, now, version.record) if _comes_back(past.kind, version.record, each.name)]


def revert(user: User, kind: str, row_id: str, to: int, seen: int | None = None, reason: str = "") -> Past:
    """Put version ``to`` of a row back as a new version. ``seen`` is the newest version the person has looked at.

    Raises NotFound for who may not edit it, Conflict(reason="stale") when there is a newer version than ``seen``,
    Invalid when the row is gone, nothing would change, or the version breaks a rule of today, such as naming a soul
    that is gone or that the person may not use."""
    with transaction.atomic():
        past = find(user, kind, row_id)
        _require(user, past)
        past = _locked(past)
        newest = past.records.count()
        if seen is not None and seen != newest:
            raise Conflict(
                f"There is a newer version by now: {newest}.",
                reason="stale",
                action="Look at what it changed, then put yours back again.",
            )
        version = one(past, to)
        if not changes(user, past, version):
            raise Invalid(f"Nothing of version {to} differs from what is stored now.", field="to", reason="same")
        why = f"Version {to} put back" + (f": {reason.strip()}" if reason.strip() else "")
        with acting.because(why):
            _put_back(user, past, version.record, why)
    return find(user, kind, row_id)


def _require(user: User, past: Past) -> None:
    if past.is_gone:
        raise Invalid(
            "It was deleted, so nothing can be put back.", reason="deleted", action="Make a new one as it was."
        )
    if past.kind not in REVERTED:
        raise Invalid(f"A {past.kind} is changed on its own page, not put back here.", reason="not_reverted")
    action = edit_action(past.kind)
    permissions.require(user, action, None if action == "user.manage" else past.row)


def _locked(past: Past) -> Past:
    row = past.model._default_manager.select_for_update().get(pk=past.pk)
    return Past(past.kind, past.model, past.pk, row)


def _comes_back(kind: str, record: Any, name: str) -> bool:
    if name in {each for each, _ in members_of(record)}:
        return True
    if kind == "soul":
        return name in _SOUL_PARTS or name.removesuffix("_toolsets") in LISTS
    if kind in _ONLY:
        return name in _ONLY[kind]
    each = record.instance_type._meta.get_field(name)
    return each.editable and name not in _NEVER and name not in _FIXED.get(kind, ())


def _put_back(user: User, past: Past, record: Any, why: str) -> None:
    if isinstance(past.row, Soul):
        lists = ToolsetLists(**{kind: tuple(getattr(record, f"{kind}_toolsets")) for kind in LISTS})
        parts = {name: getattr(record, name) for name in _SOUL_PARTS}
        soul_library.check_status(user, past.row, parts["status"])
        souls.change(past.row, user, note=why, toolsets=lists, **parts)
        return
    row: Any = past.row
    values = {
        each: _allowed(user, row, each, getattr(record, each.attname))
        for each in fields_of(record)
        if _comes_back(past.kind, record, each.name)
    }
    members = {name: _members(user, row, name, target, record) for name, target in members_of(record)}
    if isinstance(row, Agent):
        _compose(user, row, {each.name: value for each, value in values.items()}, members["policies"])
        return
    for each, value in values.items():
        setattr(row, each.attname, value)
    _check(row)
    if isinstance(row, Policy):
        with one_record(row):
            row.presets.set(members["presets"])
            row.save()
        return
    row.save()
    if isinstance(row, User):
        _join(user, row, set(members["groups"]))


def _compose(user: User, agent: Agent, values: dict[str, Any], policies: QuerySet[Any]) -> None:
    """By the rules of whoever edits an agent. What they may not see of its policies stays anyway."""
    composition.change(
        user,
        agent,
        name=values["name"],
        description=values["description"],
        soul=Soul.objects.get(pk=values["soul"]),
        toolsets=values["toolsets"],
        route=ModelRoute.objects.filter(pk=values["route"]).first(),
        policies=permissions.visible(user, policies),
        sprite=(values["sprite_shape"], values["sprite_palette"]),
        sandbox=values.get("limits"),
    )


def _join(actor: User, person: User, wanted: set[Group]) -> None:
    held = set(person.groups.all())
    for group in wanted - held:
        groups.add(actor, group, person)
    for group in held - wanted:
        groups.remove(actor, group, person)


def _allowed(user: User, row: Any, each: Field, value: Any) -> Any:
    """The value, if it is no reference to something that is gone or that ``user`` may not use."""
    if isinstance(each, ForeignKey) and value is not None and value != getattr(row, each.attname):
        target: Any = each.remote_field.model
        if not permissions.visible(user, target._default_manager.filter(pk=value)).exists():
            raise _lost(each.name)
    return value


def _members(user: User, row: Any, name: str, target: type[Model], record: Any) -> QuerySet[Any]:
    held = set(getattr(row, name).values_list("pk", flat=True))
    wanted = member_keys(record, name)
    rows: QuerySet[Any] = target._default_manager.filter(pk__in=wanted - held)
    usable = rows if permissions.may(user, "user.manage") else permissions.visible(user, rows)
    if usable.count() < len(wanted - held):
        raise _lost(name)
    return target._default_manager.filter(pk__in=wanted)


def _lost(name: str) -> Invalid:
    word = name.replace("_", " ")
    return Invalid(
        f"The {word} of that version {'are' if word.endswith('s') else 'is'} gone, or not yours to use.",
        field=name,
        reason="reference_gone",
        action="Change it by hand instead.",
    )


def _check(row: Any) -> None:
    """The rules of today, as every door has them."""
    if isinstance(row, (Policy, Preset)):
        row.rules = policies.clean_rules(row.rules)
    try:
        row.full_clean()
    except ValidationError as error:
        raise _in_words(error) from error


def _in_words(error: ValidationError) -> LogosError:
    field, complaints = next(iter(error.message_dict.items()))
    return Invalid(f"That version cannot be put back: {complaints[0]}", field="" if field == "__all__" else field)
