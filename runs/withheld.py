"""What of a run is told to whom: names of souls, models, hosts and secrets that somebody may not see are left out.

Whoever may use an agent sees its runs, and not by that what it is made of (``agents.composed`` says the same of its
page). Revisions, digests and the fingerprint stay: they name nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django.db.models import BooleanField, ExpressionWrapper, Q

from agents import permissions
from agents.composed import HIDDEN_MODEL, HIDDEN_SOUL
from agents.granting import GRANTED
from agents.models import Agent, ModelRoute, Policy, Role, Soul, User
from agents.reach import LEARNING, policy_of
from agents.reaching import CAPABILITY
from runs.events import Event
from runs.models import Run

HIDDEN_HOSTS = "hosts you may not see"
# Events that name a model.
NAMING = ("model.call", "budget.fallback", "budget.back")


@dataclass(frozen=True, slots=True)
class Sight:
    """Which model routes a reader may read the names of, asked once, so that a live stream need not ask again.

    ``named`` are those they may see, ``others`` those they may not; of a route that is gone it is ``knows_gone``."""

    named: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    knows_gone: bool = False
    is_whole: bool = False

    def names(self, route_id: str) -> bool:
        """May they read which model this is?"""
        return self.is_whole or route_id in self.named or (self.knows_gone and route_id not in self.others)

    def told(self, kind: str, data: dict[str, Any]) -> dict[str, Any]:
        """What an event tells them; ``withheld`` says that something is left out."""
        if kind not in NAMING or self.names(str(data.get("route") or "")):
            return data
        if kind != "model.call":
            text = str(data.get("text") or "").replace(str(data.get("model") or HIDDEN_MODEL), HIDDEN_MODEL)
            return {**data, "route": "", "model": HIDDEN_MODEL, "text": text, "withheld": True}
        # What a provider says of a failure names the model it was asked for.
        return {**data, "route": "", "model": HIDDEN_MODEL, "error_message": "", "withheld": True}

    def event(self, event: Event) -> Event:
        """The event as they may read it."""
        data = self.told(event.kind, event.data)
        return event if data is event.data else replace(event, data=data)


# For places that never show a model call: nothing is asked, and nothing named.
BLIND = Sight()


class Reader:
    """One person who reads what runs recorded; what they may see is asked once for each agent, soul and route."""

    def __init__(self, user: User | None) -> None:
        self._user = user
        self._is_admin = permissions.role_of(user) == Role.ADMIN
        self._known: dict[Any, Any] = {}

    def stamp(self, stamp: dict[str, Any]) -> dict[str, Any]:
        """The STAMP as they may read it; ``withheld`` names the parts where something is left out."""
        if self._is_admin or not stamp:
            return stamp
        agent_id = stamp.get("agent_id", "")
        soul, model, rules = (dict(stamp.get(name) or {}) for name in ("soul", "model", "permissions"))
        left_out = []
        if soul and not self._sees(Soul, soul.get("id", ""), agent_id):
            soul |= {"id": "", "name": HIDDEN_SOUL}
            left_out.append("soul")
        if model and not self.sight(agent_id).names(model.get("route_id", "")):
            model |= {"route_id": "", "provider": "", "model": HIDDEN_MODEL}
            left_out.append("model")
        if self._leaves_out_rules(rules, agent_id):
            left_out.append("hosts")
        if rules.get("secrets") and not self._may("agent.edit", agent_id):
            rules["secrets"] = []
            left_out.append("secrets")
        parts = {"soul": soul, "model": model, "permissions": rules}
        told = {**stamp, **{name: part for name, part in parts.items() if name in stamp}}
        return {**told, "withheld": left_out} if left_out else told

    def sight(self, agent_id: str) -> Sight:
        """What they may read of this agent's model calls: names of routes they may see and of the default, which
        everybody uses; what is gone is known to who edits the agent."""
        if self._is_admin:
            return Sight(is_whole=True)
        if "routes" not in self._known:
            seen = Q(is_default=True) | Q(pk__in=permissions.visible(self._user, ModelRoute.objects.all()).values("pk"))
            every = ModelRoute.objects.order_by().annotate(is_seen=ExpressionWrapper(seen, BooleanField()))
            found = list(every.values_list("pk", "is_seen"))
            named = frozenset(pk for pk, is_seen in found if is_seen)
            self._known["routes"] = named, frozenset(pk for pk, _ in found) - named
        named, others = self._known["routes"]
        return Sight(named, others, knows_gone=self._may("agent.edit", agent_id))

    def _sees(self, model: Any, pk: str, agent_id: str) -> bool:
        """A row they may see; what is gone is known to who edits the agent."""
        key = (model, pk)
        if key not in self._known:
            rows = model._default_manager.filter(pk=pk)
            self._known[key] = True if permissions.visible(self._user, rows).exists() else False if rows else None
        known = self._known[key]
        return self._may("agent.edit", agent_id) if known is None else bool(known)

    def _may(self, action: str, agent_id: str) -> bool:
        key = (action, agent_id)
        if key not in self._known:
            self._known[key] = permissions.visible(self._user, Agent.objects.filter(pk=agent_id), action).exists()
        return bool(self._known[key])

    def _leaves_out_rules(self, part: dict[str, Any], agent_id: str) -> bool:
        """Take what stands in policies they may not see out of ``part``; was there any?"""
        rules, hosts = part.get("rules") or [], part.get("hosts") or []
        if not rules:  # an older record does not say where a host stands
            kept, seen = [], hosts if self._may("agent.edit", agent_id) else []
        else:
            kept = [rule for rule in rules if self._sees_source(str(rule.get("in", "")), agent_id)]
            seen = [host for host in hosts if host in summary_of(kept)]
        if (kept, seen) == (rules, hosts):
            return False
        part["hosts"] = seen if seen == hosts else [*seen, HIDDEN_HOSTS]
        if "rules" in part:
            part["rules"] = kept
        return True

    def _sees_source(self, source: str, agent_id: str) -> bool:
        if source == LEARNING or source.startswith((CAPABILITY, GRANTED)):
            return True
        return self._sees(Policy, policy_of(source), agent_id)


def summary_of(rules: list[dict[str, Any]]) -> set[str]:
    """The hosts of recorded rules, as a STAMP sums them up."""
    return {
        f"{host}:{port}" if port and port != 443 else host
        for rule in rules
        if rule.get("effect") != "deny"
        for host in rule.get("hosts") or ()
        for port in rule.get("ports") or (0,)
    }


def told(user: User | None, stamp: dict[str, Any]) -> dict[str, Any]:
    """One STAMP as ``user`` may read it."""
    return Reader(user).stamp(stamp)


def sight(user: User | None, run: Run) -> Sight:
    """What ``user`` may read of the model calls of this run."""
    return Reader(user).sight(run.agent_id)
