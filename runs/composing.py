"""Build the STAMP of an agent as it is now, from its rows."""

from __future__ import annotations

import hashlib
from typing import Any

from django.conf import settings

from agents import agent_secrets, reach, reaching
from agents.models import Agent, ModelRoute
from agents.routes import route_of
from runs.reviewing import setting as reviewing
from runs.stamp import ModelPart, PermissionsPart, RuntimePart, SoulPart, Stamp, ToolsPart, fingerprint
from sandboxes.hermes import runtime

__all__ = ["compose", "fingerprint"]


def compose(agent: Agent, route: ModelRoute | None = None) -> dict[str, Any]:
    """The five dimensions as JSON; ``route`` answers in place of the agent's own. Invalid when there is none."""
    route, soul = route or route_of(agent), agent.soul
    agreed = agent.agreed_capabilities()
    rules = reaching.recorded(agent, agreed)
    written = agent.documents.order_by("path").values_list("path", "sha256")
    return Stamp(
        agent_id=agent.pk,
        agent_name=agent.name,
        soul=SoulPart(
            soul.pk,
            soul.name,
            soul.revision,
            hashlib.sha256(soul.text.encode()).hexdigest(),
            tuple(map(" ".join, written)),
        ),
        tools=ToolsPart(tuple(sorted(agent.active_toolsets(agreed))), tuple(each.label for each in agreed)),
        runtime=RuntimePart(agent.runtime, runtime.VERSION),
        model=ModelPart(route.pk, route.provider.name, route.provider.kind, route.model, route.context_length),
        permissions=PermissionsPart(
            settings.LOGOS_SANDBOX_DRIVER,
            reach.summary(rules),
            reviewing.stamped(agent),
            agent_secrets.granted_names(agent, agreed),
            tuple({"in": rule.policy, **rule.as_json()} for rule in rules),
        ),
    ).as_json()
