"""The rules of one agent as they are now: those of its policies, and the hosts its consented capabilities grant."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from agents import hosts, secrets
from agents.catalogue import Capability
from agents.errors import Invalid
from agents.models import Agent
from agents.reach import DEFAULT_PORTS, Reach, Rule, parse

logger = logging.getLogger(__name__)

# Where a capability's rules stand, beside the ids of policies.
CAPABILITY = "capability:"


def rules_of(agent: Agent, agreed_to: Iterable[Capability] | None = None) -> tuple[Rule, ...]:
    """Every rule, policies first. What cannot be read is left out here; ``reach_of`` lets nothing through then."""
    found: list[Rule] = []
    for policy in agent.policies.all():
        try:
            found += parse(policy.rules, policy.pk)
        except Invalid:
            logger.warning("The rules of policy %s cannot be read", policy.pk)
    entries = agent.agreed_capabilities() if agreed_to is None else list(agreed_to)
    return (*found, *_granted(agent, entries))


def shown(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The same for records and pages: what stands in a secret goes by the secret's name."""
    return tuple(replace(rule, hosts=(rule.name,), ports=()) if rule.name.startswith("$") else rule for rule in rules)


def reach_of(agent: Agent) -> Reach:
    """What the agent may reach now. A policy that cannot be read closes everything: it may have held denials."""
    for policy in agent.policies.all():
        try:
            parse(policy.rules, policy.pk)
        except Invalid:
            return Reach((), closed="A policy of this agent cannot be read, so nothing is let through.")
    return Reach(rules_of(agent))


def version_of(agent_id: str) -> tuple[object, ...]:
    """What changes whenever the rules may have: three small queries, nothing parsed or opened."""
    agent = Agent(pk=agent_id)
    return (
        *agent.policies.order_by("pk").values_list("pk", "version"),
        *agent.capabilities.order_by("pk").values_list("key", "agreed_version"),
        *agent.secrets.order_by("pk").values_list("name", "version"),
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
