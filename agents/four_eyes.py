"""A second person for what newly allows something: while it is on, a wider policy waits until somebody else agrees.

What only takes away, and renames, are saved at once. A room above keeps the proposal (``DESK``) and, once it is agreed
to, carries it out inside ``agreed``. Whether it is on is decided by admins, in the site's settings with their history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models.signals import m2m_changed, pre_save

from agents import audit, people
from agents.errors import Conflict
from agents.models import Policy, Preset, SiteSettings, User
from agents.reach import Rule, parse
from agents.reaching import rules_in

_agreed: ContextVar[bool] = ContextVar("agreed", default=False)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change of a policy that waits: everything to carry it out with, and what people read."""

    policy_id: str
    name: str
    version: int
    fields: dict[str, Any]
    adds: tuple[str, ...]
    drops: tuple[str, ...]
    figures: str


class SecondPerson(Conflict):
    """This allows more than before, so somebody else has to agree."""

    def __init__(self, waits_as: str = "") -> None:
        action = (
            "It waits in the inbox until somebody else who may edit the policy agrees; you need not save it again."
            if waits_as
            else "Change the policy itself, on its page or by program: there it can wait for a second person."
        )
        super().__init__(
            "This allows more than before, so a second person has to agree.", reason="second_person", action=action
        )
        self.approval_id = waits_as


# Keeps a proposal of this person and answers its id; filled by a room above.
DESK: list[Callable[[User, Proposal], str]] = []


def connect() -> None:
    """Watch every door by which a policy could come to allow more."""
    pre_save.connect(_guard, sender=Policy)
    pre_save.connect(_guard, sender=Preset)
    m2m_changed.connect(_guard_presets, sender=Policy.presets.through)


def is_on() -> bool:
    """Does what allows more need a second person?"""
    return SiteSettings.objects.filter(four_eyes=True).exists()


def switch(actor: User, on: bool) -> bool:
    """Turn it; whether anything changed. Noted, with history."""
    people.require(actor)
    with transaction.atomic():
        row, _ = SiteSettings.objects.select_for_update().get_or_create(pk=1)
        if row.four_eyes == on:
            return False
        row.four_eyes = on
        row.save()
        audit.note("four_eyes_on" if on else "four_eyes_off", actor=actor)
    return True


@contextmanager
def agreed() -> Iterator[None]:
    """Inside, a second person has agreed."""
    token = _agreed.set(True)
    try:
        yield
    finally:
        _agreed.reset(token)


def waits() -> bool:
    """Has what allows more to wait, here and now?"""
    return not _agreed.get() and is_on()


def widens(old: Iterable[Rule], new: Iterable[Rule]) -> bool:
    """May anything pass with ``new`` that could not with ``old``? Said too often rather than too seldom: a rule that
    another one covers counts as new."""
    old, new = list(old), list(new)
    return bool(_ways(new, allows=True) - _ways(old, allows=True)) or bool(
        _ways(old, allows=False) - _ways(new, allows=False)
    )


def _ways(rules: Iterable[Rule], *, allows: bool) -> set[tuple[str, int, str]]:
    return {
        (host, port, binary)
        for rule in rules
        if rule.allows == allows
        for host in rule.hosts
        for port in rule.ports
        for binary in rule.binaries or ("",)
    }


def _guard(sender: Any, instance: Any, raw: bool = False, **rest: Any) -> None:
    """Receiver of ``pre_save``: rules that allow more are not saved by anybody alone. New rows do nothing until somebody
    includes them or gives them to an agent."""
    if raw or instance._state.adding or not waits():
        return
    before = sender.objects.filter(pk=instance.pk).values_list("rules", flat=True).first()
    if before is not None and before != instance.rules and widens(parse(before), parse(instance.rules)):
        raise SecondPerson


def _guard_presets(
    sender: Any, instance: Any, action: str, reverse: bool, pk_set: set[str] | None, **rest: Any
) -> None:
    """Receiver of ``m2m_changed``: a preset more, or one with denials less."""
    if action not in ("pre_add", "pre_remove", "pre_clear") or instance._state.adding or not waits():
        return
    if reverse:  # from the preset's side
        changed = [instance]
    else:
        held = set(instance.presets.values_list("pk", flat=True))
        ids = held if pk_set is None else (pk_set - held if action == "pre_add" else pk_set & held)
        changed = list(Preset.objects.filter(pk__in=ids))
    for preset in changed:
        rules = parse(preset.rules)
        if widens([], rules) if action == "pre_add" else widens(rules, []):
            raise SecondPerson


def proposal_of(policy: Policy, before: tuple[Rule, ...], after: tuple[Rule, ...], **rest: Any) -> Proposal:
    """What waits, with the ways it opens and closes as lines."""
    opened = _lines(_ways(after, allows=True) - _ways(before, allows=True), "")
    opened += _lines(_ways(before, allows=False) - _ways(after, allows=False), "no longer denied: ")
    closed = _lines(_ways(before, allows=True) - _ways(after, allows=True), "")
    closed += _lines(_ways(after, allows=False) - _ways(before, allows=False), "denied: ")
    return Proposal(policy.pk, policy.name, policy.version, adds=opened, drops=closed, **rest)


def _lines(ways: set[tuple[str, int, str]], before: str) -> tuple[str, ...]:
    return tuple(f"{before}{host} : {port}{f' by {binary}' if binary else ''}" for host, port, binary in sorted(ways))


def rules_with(policy: Policy, rules: list[dict[str, Any]], presets: Iterable[Preset]) -> tuple[Rule, ...]:
    """Every rule the policy would have."""
    found = list(parse(rules, policy.pk))
    for preset in presets:
        found += parse(preset.rules)
    return tuple(found)


def rules_now(policy: Policy) -> tuple[Rule, ...]:
    """Every rule it has, as stored."""
    return rules_in(Policy.objects.prefetch_related("presets").get(pk=policy.pk))
