"""Keep the library of presets: write, change and delete them, put back what was shipped, and bring what a new version ships.

What an admin has edited stays edited when Logos is upgraded; what nobody has touched becomes what the new version
says, recorded like any change. One that was deleted stays deleted until somebody asks for it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from django.apps import AppConfig
from django.db import DEFAULT_DB_ALIAS, IntegrityError, transaction

from agents import acting, permissions, presets
from agents.editing import editing
from agents.errors import Conflict, Invalid
from agents.invisible import first_hidden
from agents.models import Agent, Policy, Preset, PresetCategory, User
from agents.models.presets import SLUG
from agents.policies import MAX_NAMED, clean_name, clean_rules
from agents.presets import Shipped

FIELDS = ("name", "category", "description", "rules")


@dataclass(frozen=True, slots=True)
class Use:
    """Who includes a preset: what the reader may see of it, and how much there is beside that."""

    policies: list[Policy]
    more_policies: int
    agents: list[Agent]
    more_agents: int

    @property
    def sentence(self) -> str:
        """The same in words; "" for nobody. Of what may not be seen only the number is told."""
        found = [
            _named("policy", "policies", [row.name for row in self.policies], self.more_policies),
            _named("agent", "agents", [row.name for row in self.agents], self.more_agents),
        ]
        return " and through them by ".join(filter(None, found))


def use_of(user: User, preset: Preset) -> Use:
    """The policies that include it and the living agents that have one of those."""
    policies = Policy.objects.filter(presets=preset)
    agents = Agent.objects.alive().filter(policies__presets=preset).distinct()
    return Use(*_seen(user, policies), *_seen(user, agents))


def create(user: User, name: str, rules: Any = (), *, id: str = "", **fields: Any) -> Preset:
    """A new preset; who may is for admins. ``id`` is made from the name when there is none."""
    permissions.require(user, "preset.edit")
    preset = Preset()
    _fill(preset, {"name": name, "rules": rules, **fields})
    preset.id = _clean_id(id) if id else id_from(preset.name)
    if Preset.objects.filter(pk=preset.pk).exists():
        raise Conflict("A preset has this id already.", reason="id_taken", action="Choose another one.")
    return _saved(preset, force_insert=True)


def change(user: User, preset_id: str, version: int, **fields: Any) -> Preset:
    """Set these of name, category, description and rules; it counts at once for every agent that includes it. Raises
    NotFound, Stale when somebody saved since ``version``, Invalid, Conflict. Nothing is saved when nothing differs."""
    with editing(user, "preset.edit", Preset.objects.all(), preset_id, version) as preset:
        before = _content(preset)
        _fill(preset, fields)
        return preset if before == _content(preset) else _saved(preset)


def remove(user: User, preset_id: str) -> None:
    """Delete a preset that no policy includes; Conflict otherwise, saying which."""
    with editing(user, "preset.edit", Preset.objects.all(), preset_id, None) as preset:
        if used := use_of(user, preset).sentence:
            raise Conflict(
                f"This preset is used by {used}.", reason="in_use", action="Take it out of those policies first."
            )
        preset.delete()


def shipped(preset: Preset) -> Shipped | None:
    """What came with Logos under its id, if something did."""
    return next((each for each in presets.every() if each.slug == preset.pk), None)


def is_edited(preset: Preset) -> bool:
    """Does it say something else than what came with Logos?"""
    came = shipped(preset)
    return came is not None and digest(preset) != came.sha256


def restore(user: User, preset_id: str, version: int) -> Preset:
    """Make it say what came with Logos. Raises NotFound when nothing did."""
    with editing(user, "preset.edit", Preset.objects.all(), preset_id, version) as preset:
        came = presets.get(preset.pk)
        if digest(preset) == came.sha256:
            return preset
        with acting.because("back to what came with Logos"):
            _take(preset, came)
            return _saved(preset)


def missing() -> list[Shipped]:
    """What comes with Logos and was deleted."""
    there = set(Preset.objects.order_by().values_list("pk", flat=True))
    return [each for each in presets.every() if each.slug not in there]


def bring_back(user: User, slug: str) -> Preset:
    """Add one of those again; the one that is there when somebody did so first."""
    permissions.require(user, "preset.edit")
    came = presets.get(slug)
    there = Preset.objects.filter(pk=slug)
    if (row := there.first()) is not None:
        return row
    try:
        with acting.because("comes with Logos"):
            return _saved(_take(Preset(pk=slug), came), force_insert=True)
    except Conflict:
        if (row := there.first()) is not None:  # somebody did so in the same moment
            return row
        raise


def digest(preset: Preset) -> str:
    """Compares with that of what was shipped."""
    return presets.digest(preset.name, preset.category, preset.description, preset.rules)


def seed(sender: AppConfig | None = None, using: str = DEFAULT_DB_ALIAS, apps: Any = None, **signal: Any) -> None:
    """Receiver of ``post_migrate``: what this version ships is there, unless somebody has deleted it."""
    if using != DEFAULT_DB_ALIAS or not _is_whole(apps):
        return
    there = {row.pk: row for row in Preset.objects.all()}
    gone = set(Preset.history.order_by().values_list("id", flat=True).distinct()) - there.keys()
    for came in presets.every():
        row = there.get(came.slug)
        if row is None and came.slug not in gone:
            row = Preset(pk=came.slug)
        # Not one that people wrote or edited; and not again what is the same.
        if row is not None and row.shipped != came.sha256 and (row._state.adding or row.shipped == digest(row)):
            before = _content(row)
            if row._state.adding or _content(_take(row, came)) != before:
                with acting.because("comes with this version of Logos"), transaction.atomic():
                    _take(row, came).save()


def _is_whole(apps: Any) -> bool:
    """Are the tables those of this code? They are not while somebody migrates back."""
    try:
        state = None if apps is None else apps.get_model("agents", "Preset")
    except LookupError:
        return False
    return state is None or {f.column for f in state._meta.fields} == {f.column for f in Preset._meta.fields}


def _take(preset: Preset, came: Shipped) -> Preset:
    preset.category, preset.description, preset.rules = came.category, came.description, list(came.rules)
    is_taken = Preset.objects.filter(name=came.name).exclude(pk=preset.pk).exists()
    preset.name = f"{came.name} (of Logos)" if is_taken else came.name
    preset.shipped = digest(preset) if is_taken else came.sha256
    return preset


def _fill(preset: Preset, fields: dict[str, Any]) -> None:
    if "name" in fields:
        preset.name = clean_name(fields["name"], "A preset")
    if "category" in fields:
        if fields["category"] not in PresetCategory.values:
            raise Invalid(
                "There is no such category.", field="category", action=f"There are: {', '.join(PresetCategory.values)}."
            )
        preset.category = fields["category"]
    if "description" in fields:
        preset.description = " ".join(fields["description"].split())
        if len(preset.description) > 300 or first_hidden(preset.description) is not None:
            raise Invalid("A description may have 300 visible characters.", field="description")
    if "rules" in fields:
        preset.rules = clean_rules(fields["rules"])


def _content(preset: Preset) -> tuple[Any, ...]:
    return tuple(getattr(preset, name) for name in FIELDS)


def _clean_id(text: str) -> str:
    if not re.fullmatch(SLUG, text):
        raise Invalid("An id has up to 40 small letters, digits and hyphens.", field="id")
    return text


def id_from(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    stem = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:36].strip("-") or "preset"
    # Also not one that was there once: its records would tell of another.
    known = set(Preset.history.filter(id__startswith=stem).values_list("id", flat=True))
    known |= {each.slug for each in presets.every()}
    return next(
        each for number in range(1, 10_000) if (each := stem if number == 1 else f"{stem}-{number}") not in known
    )


def _saved(preset: Preset, *, force_insert: bool = False) -> Preset:
    try:
        with transaction.atomic():
            preset.save(force_insert=force_insert)
    except IntegrityError as error:
        raise Conflict("This name is taken.", reason="name_taken", action="Choose another one.") from error
    return preset


def _seen(user: User, rows: Any) -> tuple[list[Any], int]:
    seen = permissions.visible(user, rows)
    return list(seen.order_by("name")), rows.count() - seen.count()


def _named(one: str, many: str, names: list[str], more: int) -> str:
    if not names and not more:
        return ""
    total = len(names) + more
    if not names:
        return f"{total} {one if total == 1 else many} you may not see"
    rest = total - min(len(names), MAX_NAMED)
    return f"the {one if total == 1 else many} {', '.join(names[:MAX_NAMED])}" + (f" and {rest} more" if rest else "")
