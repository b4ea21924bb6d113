"""What of a STAMP is told to whom: names of souls, models, hosts and secrets that somebody may not see are left out.

Whoever may use an agent sees its runs, and not by that what it is made of (``agents.composed`` says the same of its
page). Revisions, digests and the fingerprint stay: they name nothing.
"""

from __future__ import annotations

from typing import Any

from agents import permissions
from agents.composed import HIDDEN_MODEL, HIDDEN_SOUL
from agents.models import Agent, ModelRoute, Policy, Role, Soul, User
from agents.reaching import CAPABILITY

HIDDEN_HOSTS = "hosts you may not see"


class Reader:
    """One person who reads STAMPs; what they may see is asked once for each agent, soul and route."""

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
        if model and not self._sees(ModelRoute, model.get("route_id", ""), agent_id):
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

    def _sees(self, model: Any, pk: str, agent_id: str) -> bool:
        """A row they may see, the default route, which everybody uses; what is gone is known to who edits the agent."""
        key = (model, pk)
        if key not in self._known:
            rows = model._default_manager.filter(pk=pk)
            seen: bool | None = permissions.visible(self._user, rows).exists()
            if not seen:
                there = rows.first()
                seen = getattr(there, "is_default", False) if there else None
            self._known[key] = seen
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
        return source.startswith(CAPABILITY) or self._sees(Policy, source, agent_id)


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
