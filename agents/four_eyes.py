"""A second person for what newly allows something: while it is on, it waits until somebody else agrees.

That are policies that allow more, new ones, giving one to an agent, and rules of tools and of the gate that become looser.
What only takes away, and renames, are saved at once. A room above keeps the proposal (``DESK``) and, once it is agreed to,
carries it out inside ``agreed``. Whether it is on is decided by admins, in the site's settings with their history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from django.db import transaction
from django.db.models.signals import m2m_changed, pre_save

from agents import audit, people
from agents.errors import Conflict
from agents.models import Agent, Policy, Preset, SiteSettings, User
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


@dataclass(frozen=True, slots=True)
class Wish:
    """Anything else that waits: what it is, as ``CARRY`` knows it, and all that people read and that carries it out."""

    what: str
    title: str
    subject: dict[str, Any]
    agent: Agent | None = None


class SecondPerson(Conflict):
    """This allows more than before, so somebody else has to agree. ``wish`` can wait, once nothing can undo that."""

    def __init__(self, waits_as: str = "", wish: Wish | None = None, action: str = "") -> None:
        action = action or (
            "It waits in the inbox until somebody else who may decide it agrees; you need not save it again."
            if waits_as
            else "Change it on its own page or by program: there it can wait for a second person."
        )
        super().__init__(
            "This allows more than before, so a second person has to agree.", reason="second_person", action=action
        )
        self.approval_id, self.wish = waits_as, wish


# Keeps a proposal of this person and answers its id; filled by a room above.
DESK: list[Callable[[User, Proposal | Wish], str]] = []
# What carries out a wish: (who wished it, its subject); filled by who writes such rows. Raises what the writer raises.
CARRY: dict[str, Callable[[User, dict[str, Any]], None]] = {}

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def proposing(user: User) -> Iterator[None]:
    """A wish that ends what is inside is kept here, where no transaction inside can undo it."""
    try:
        yield
    except SecondPerson as refused:
        if refused.wish is None or not DESK:
            raise
        raise SecondPerson(DESK[0](user, refused.wish)) from None


def proposes(write: Callable[Concatenate[User, P], R]) -> Callable[Concatenate[User, P], R]:
    """Of a writer whose first argument is the person: its wishes wait."""

    @wraps(write)
    def written(user: User, /, *args: P.args, **rest: P.kwargs) -> R:
        with proposing(user):
            return write(user, *args, **rest)

    return written


def require_given(agent: Agent, policies: Iterable[Policy], *, is_new: bool = False) -> None:
    """Return if the agent may be given these policies now. What is new cannot wait: it is not there yet."""
    wide = sorted((each for each in policies if waits() and widens((), rules_now(each))), key=lambda each: each.name)
    if not wide:
        return
    if is_new:
        raise SecondPerson(action="Make the agent without policies, then give it what it needs: that can wait.")
    names = ", ".join(each.name for each in wide)
    subject: dict[str, Any] = {
        "agent_id": agent.pk,
        "agent": agent.name,
        "policies": names,
        "newly_allowed": "\n".join(
            line for each in wide for line in _lines(_ways(rules_now(each), allows=True), f"{each.name}: ")
        ),
        "policy_ids": [each.pk for each in wide],
    }
    if len(wide) == 1:
        subject["policy_id"] = wide[0].pk
    raise SecondPerson(wish=Wish("agent_policies", f"Give {agent.name} {names}"[:200], subject, agent))


def connect() -> None:
    """Watch every door by which something could come to allow more."""
    pre_save.connect(_guard, sender=Policy)
    m2m_changed.connect(_guard_given, sender=Agent.policies.through)
    pre_save.connect(_guard, sender=Preset)
    m2m_changed.connect(_guard_presets, sender=Policy.presets.through)


def is_on() -> bool:
    """Does what allows more need a second person?"""
    return SiteSettings.objects.filter(four_eyes=True).exists()


def switch(actor: User, on: bool) -> bool:
    """Turn it; whether anything changed. Noted, with history."""
    people.require(actor)
    with transaction.atomic():
        if is_changed := SiteSettings.turn("four_eyes", on):
            audit.note("four_eyes_on" if on else "four_eyes_off", actor=actor)
    return is_changed


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
    """Receiver of ``pre_save``: rules that allow more are not saved by anybody alone. A new preset does nothing until
    somebody includes it."""
    if raw or (instance._state.adding and sender is Preset) or not waits():
        return
    if instance._state.adding:
        if widens((), parse(instance.rules)):
            raise SecondPerson
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


def _guard_given(sender: Any, instance: Any, action: str, reverse: bool, pk_set: set[str] | None, **rest: Any) -> None:
    """Receiver of ``m2m_changed``: an agent gets a policy more, or one with denials less, from whichever side."""
    if action in ("pre_remove", "pre_clear"):
        _guard_taken(instance, reverse, pk_set)
        return
    if action != "pre_add" or not pk_set or not waits():
        return
    if reverse:
        given = [instance] if Agent.objects.filter(pk__in=pk_set).exclude(policies=instance).exists() else []
    else:
        held = set(instance.policies.values_list("pk", flat=True))
        given = list(Policy.objects.filter(pk__in=pk_set - held))
    if any(widens((), rules_now(each)) for each in given):
        raise SecondPerson


def _guard_taken(instance: Any, reverse: bool, pk_set: set[str] | None) -> None:
    if not waits():
        return
    if reverse:
        agents = instance.agents.all() if pk_set is None else instance.agents.filter(pk__in=pk_set)
        taken = [instance] if agents.exists() else []
    else:
        taken = list(instance.policies.all() if pk_set is None else instance.policies.filter(pk__in=pk_set))
    for policy in taken:
        if widens(rules_now(policy), ()) or policy.gate_rules.exists():
            raise SecondPerson(
                action=f"Take out what {policy.name} denies, and its rules of the gate, first: that can wait in the inbox."
            )


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
