"""Let an agent reach one host for a while. Rules that deny, addresses and names of one's own network stay refused."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet
from django.utils import timezone

from agents import hosts
from agents.models import Agent, HostGrant, User
from agents.reach import Rule, one

# Where such a rule stands, beside the ids of policies.
GRANTED = "granted:"


def clean(host: str, port: int, binary: str = "") -> Rule:
    """The smallest rule for this connection. Invalid for what no rule could allow."""
    return one({"hosts": [hosts.pattern(host)], "ports": [port], "binaries": [binary] if binary else []})


def give(
    agent: Agent, rule: Rule, until: datetime, *, by: User | None, run_id: str = "", reason: str = ""
) -> HostGrant:
    """From now on, until then."""
    return HostGrant.objects.create(
        agent=agent,
        host=rule.hosts[0],
        port=rule.ports[0],
        binary=rule.binaries[0] if rule.binaries else "",
        until=until,
        given_by=by,
        run_id=run_id,
        reason=reason,
    )


def living(agent_id: str) -> QuerySet[HostGrant]:
    """What holds now."""
    return HostGrant.objects.filter(agent=agent_id, ended_at=None, until__gt=timezone.now()).order_by("pk")


def rules_of(agent_id: str) -> tuple[Rule, ...]:
    """The same as rules. One query."""
    return tuple(
        Rule(row.host, (row.host,), (row.port,), (row.binary,) if row.binary else (), policy=f"{GRANTED}{row.pk}")
        for row in living(agent_id)
    )


def end(rows: QuerySet[HostGrant]) -> int:
    """Take back what still holds, by ``save`` so that proxies hear of it; how many."""
    found = list(rows.filter(ended_at=None))
    for row in found:
        row.ended_at = timezone.now()
        row.save(update_fields=["ended_at"])
    return len(found)
