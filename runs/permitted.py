"""What a run was permitted: the rules frozen when it began, the walls that stood around it, and what is otherwise now.

A run's rules never change any more, whatever becomes of the policies. Who reads sees those that stand in policies
they may see; one connection can be tried on them by who sees them all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.urls import reverse
from django.utils import timezone

from agents import granting, permissions, reaching, rule_lines
from agents.catalogue import CATALOGUE
from agents.errors import Conflict
from agents.models import Agent, Policy, User
from agents.reach import LEARNING, Reach, Rule, Verdict, policy_of, preset_of
from runs import withheld
from runs.models import Run
from sandboxes.walls import Wall, explained

GONE = "A policy that is gone"


@dataclass(frozen=True, slots=True)
class Source:
    """Where rules stood: its name, its page ("" for none), and the rules as lines."""

    name: str
    url: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Permitted:
    """``has_rules`` False: an older record that tells hosts alone. ``hides``: rules in policies the reader may not
    see are left out. ``added`` and ``removed`` are lines, compared with the agent's rules now; None when it is gone."""

    driver: str
    hosts: tuple[str, ...]
    has_rules: bool
    hides: bool
    sources: tuple[Source, ...]
    layers: tuple[str, ...]
    walls: tuple[Wall, ...]
    added: tuple[str, ...] | None
    removed: tuple[str, ...] | None

    @property
    def is_as_now(self) -> bool:
        """Are the agent's rules still the same?"""
        return self.added == self.removed == ()


def told(user: User, run: Run, reader: withheld.Reader | None = None) -> Permitted:
    """What ``user``, who may see the run, may know of it."""
    reader = reader or withheld.Reader(user)
    stamp = reader.stamp(run.stamp)
    part = stamp.get("permissions") or {}
    rules, has_rules = part.get("rules") or [], "rules" in part
    now = None if run.agent.is_deleted or not has_rules else _now(run, reader)
    layers = _layers(run)
    return Permitted(
        str(part.get("driver", "")),
        tuple(part.get("hosts") or ()),
        has_rules,
        "hosts" in stamp.get("withheld", ()),
        _sources(rules),
        layers,
        tuple(explained(layers)),
        None if now is None else _without(now, rules),
        None if now is None else _without(rules, now),
    )


def attempt(user: User, run: Run, host: str, port: int, binary: str = "") -> Verdict:
    """What the frozen rules say to one connection. Conflict when the record has none, or not all may be seen."""
    stamp = withheld.told(user, run.stamp)
    part = stamp.get("permissions") or {}
    if "rules" not in part:
        raise Conflict("This run recorded no rules, only hosts.", reason="no_rules", action="Try a newer run.")
    if "hosts" in stamp.get("withheld", ()):
        raise Conflict(
            "It went with a policy you may not see.",
            reason="hidden_policy",
            action="Ask whoever owns that policy to share it with you.",
        )
    rules, now = frozen(part["rules"]), timezone.now()
    learned = any(rule.policy == LEARNING for rule in rules)
    until = now + timedelta(seconds=1) if learned else None
    return Reach(rules, learns_until=until).decide(host.strip(), port, binary.strip(), now)


def attempt_now(user: User, agent: Agent, host: str, port: int, binary: str = "") -> Verdict:
    """What the agent's rules say to one connection now. Of policies ``user`` may not see no word is told: then there
    is only whether it would be let through."""
    verdict = reaching.reach_of(agent).decide(host.strip(), port, binary.strip(), timezone.now())
    held = Policy.objects.filter(agents=agent)
    if not held.exclude(pk__in=permissions.visible(user, held).order_by().values("pk")).exists():
        return verdict
    what = "A rule of it lets this through" if verdict.allowed else "No rule of it lets this through, or one denies it"
    return Verdict(verdict.allowed, "", f"{what}. You may not see all its policies, so the rule is not named.")


def frozen(rules: Iterable[dict[str, Any]]) -> tuple[Rule, ...]:
    """Recorded rules as rules."""
    return tuple(
        Rule(
            str(rule.get("name", "")),
            tuple(rule.get("hosts") or ()),
            tuple(rule.get("ports") or ()),
            tuple(rule.get("binaries") or ()),
            rule.get("effect") != "deny",
            str(rule.get("in", "")),
        )
        for rule in rules
    )


def _now(run: Run, reader: withheld.Reader) -> list[dict[str, Any]]:
    """The agent's rules at this moment, as a run that began now would record them, as far as the reader may see."""
    rules = [{"in": rule.policy, **rule.as_json()} for rule in reaching.recorded(run.agent)]
    shown = reader.stamp({"agent_id": run.agent_id, "permissions": {"rules": rules, "hosts": []}})
    return list(shown["permissions"]["rules"])


def _layers(run: Run) -> tuple[str, ...]:
    """The walls that stood when the runtime began, the last time if it began again."""
    data = run.events.filter(kind="run.started").order_by("-seq").values_list("data", flat=True).first()
    return tuple((data or {}).get("layers") or ())


def _sources(rules: list[dict[str, Any]]) -> tuple[Source, ...]:
    held: dict[str, list[dict[str, Any]]] = {}
    for rule in rules:
        held.setdefault(str(rule.get("in", "")), []).append(rule)
    ids = {policy_of(stands_in) for stands_in in held}
    # Only of policies the reader may see are there rules at all.
    names = dict(Policy.objects.filter(pk__in=ids).values_list("pk", "name"))
    return tuple(
        Source(*_place(stands_in, names), tuple(line(rule) for rule in found)) for stands_in, found in held.items()
    )


def _place(stands_in: str, names: dict[str, str]) -> tuple[str, str]:
    if stands_in == LEARNING:
        return "While the agent learned", ""
    if stands_in.startswith(reaching.CAPABILITY):
        key = stands_in.removeprefix(reaching.CAPABILITY)
        return f"{CATALOGUE[key].name if key in CATALOGUE else key}, a capability", ""
    if stands_in.startswith(granting.GRANTED):
        return "Allowed for a while, because it was asked for", ""
    policy, preset = policy_of(stands_in), preset_of(stands_in)
    name = names.get(policy, GONE)
    url = reverse("agents:policy-detail", args=[policy]) if policy in names else ""
    return f"{name}, by the preset {preset}" if preset else name, url


def line(rule: dict[str, Any]) -> str:
    """A recorded rule as people write it."""
    name = str(rule.get("name", ""))
    return f"the address in {name[1:]}" if name.startswith("$") else rule_lines.write([rule])


def _without(rules: list[dict[str, Any]], others: list[dict[str, Any]]) -> tuple[str, ...]:
    """The lines of rules that are not among the others, wherever they stand."""
    known = {line(rule) for rule in others}
    return tuple(dict.fromkeys(text for rule in rules if (text := line(rule)) not in known))
