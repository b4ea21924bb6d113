"""The rules of one agent as they are now: those of its policies, and the hosts its consented capabilities grant."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from agents import granting, hosts, learning, secrets
from agents.catalogue import Capability
from agents.errors import Invalid
from agents.models import Agent, Policy
from agents.reach import DEFAULT_PORTS, LEARNED_PORTS, LEARNING, Reach, Rule, parse, place

logger = logging.getLogger(__name__)

# Where a capability's rules stand, beside the ids of policies.
CAPABILITY = "capability:"
# What of an agent is read to know its rules; without it each part is a query.
PARTS = ("policies__presets", "capabilities", "secrets")


def rules_of(agent: Agent, agreed_to: Iterable[Capability] | None = None) -> tuple[Rule, ...]:
    """Every rule, policies first. What cannot be read is left out here; ``reach_of`` lets nothing through then."""
    found: list[Rule] = []
    for policy in policies_of(agent):
        for stands_in, written in parts_of(policy):
            try:
                found += parse(written, stands_in)
            except Invalid:
                logger.warning("The rules of %s cannot be read", stands_in)
    entries = agent.agreed_capabilities() if agreed_to is None else list(agreed_to)
    return (*found, *_granted(agent, entries))


def policies_of(agent: Agent) -> Iterable[Policy]:
    """The agent's policies with their presets: two queries, none when both are prefetched."""
    is_known = "policies" in getattr(agent, "_prefetched_objects_cache", {})
    return agent.policies.all() if is_known else agent.policies.prefetch_related("presets")


def parts_of(policy: Policy) -> Iterator[tuple[str, Any]]:
    """The places where a policy's rules stand, its own first, and what is written there."""
    yield policy.pk, policy.rules
    for preset in policy.presets.all():
        yield place(policy.pk, preset.pk), preset.rules


def rules_in(policy: Policy) -> tuple[Rule, ...]:
    """Every rule of a policy, those of its presets included. Raises Invalid when one part cannot be read."""
    return tuple(rule for stands_in, written in parts_of(policy) for rule in parse(written, stands_in))


def shown(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The same for records and pages: what stands in a secret goes by the secret's name."""
    return tuple(replace(rule, hosts=(rule.name,), ports=()) if rule.name.startswith("$") else rule for rule in rules)


def reach_of(agent: Agent) -> Reach:
    """What the agent may reach now. A policy that cannot be read closes everything: it may have held denials."""
    for policy in policies_of(agent):
        try:
            rules_in(policy)
        except Invalid:
            return Reach((), closed="A policy of this agent cannot be read, so nothing is let through.")
    rules = (*rules_of(agent), *granting.rules_of(agent.pk))
    return Reach(rules, learns_until=learning.until(agent.pk))


def recorded(agent: Agent, agreed_to: Iterable[Capability] | None = None) -> tuple[Rule, ...]:
    """The rules as a run that begins now records them, and that the agent could reach more because it learned."""
    rules = (*shown(rules_of(agent, agreed_to)), *granting.rules_of(agent.pk))
    if learning.until(agent.pk) is None:
        return rules
    return (*rules, Rule(LEARNING, ("any public host",), tuple(reversed(LEARNED_PORTS)), policy=LEARNING))


def version_of(agent_id: str) -> tuple[object, ...]:
    """What changes whenever the rules may have: five small queries, nothing parsed or opened."""
    agent = Agent(pk=agent_id)
    policies = agent.policies.order_by("pk", "presets__pk")
    return (
        *policies.values_list("pk", "version", "presets__pk", "presets__version"),
        *agent.capabilities.order_by("pk").values_list("key", "agreed_version"),
        *agent.secrets.order_by("pk").values_list("name", "version"),
        ("learns until", learning.until(agent_id)),
        *granting.living(agent_id).values_list("pk"),
    )


def _granted(agent: Agent, entries: list[Capability]) -> Iterator[Rule]:
    values: dict[str, str] = {}
    if any(host.startswith("$") for entry in entries for host in entry.hosts):
        values = {row.name: secrets.unseal(row.sealed) for row in agent.secrets.all()}
    for entry in entries:
        for named in entry.hosts:
            where = _place(values.get(named[1:], "")) if named.startswith("$") else _parts(named)
            if where is not None:
                yield Rule(named, (where[0],), (where[1],), policy=f"{CAPABILITY}{entry.key}")


def _parts(named: str) -> tuple[str, int]:
    host, _, port = named.partition(":")
    return host, int(port or DEFAULT_PORTS[0])


def _place(address: str) -> tuple[str, int] | None:
    """The host and port of an address somebody entered; None for what agents never reach."""
    try:
        found = urlsplit(address)
        port = found.port or {"http": 80, "https": 443}.get(found.scheme, 0)
        return (hosts.pattern(found.hostname or ""), port) if port else None
    except (ValueError, Invalid):
        return None
