"""One row of every model, all of them one person's, for tests that look for traces of it elsewhere."""

from __future__ import annotations

from typing import Any

from django.db.models import Model
from django.utils import timezone

from agents import agent_secrets, audit, composition, documents, routes, souls
from agents.models import AgentCapability, AgentNote, ApiToken, GateRule, ModelRoute, Policy, Preset, Provider, User
from mcp_gateway.models import (
    McpAccess,
    McpCall,
    McpCategory,
    McpConnection,
    McpHealth,
    McpLease,
    McpPin,
    McpSampling,
    McpSecret,
    McpServer,
    McpToken,
)
from runs import approvals, dispatch
from runs.models import (
    Budget,
    BudgetWarning,
    Charge,
    EngineBeat,
    Panel,
    ReviewedAgent,
    ReviewerOpinion,
    ReviewerReversal,
    ReviewerSettings,
)
from sandboxes.models import EgressDecision, HealthSample, InferenceCall, Sandbox, ToolCall, ToolRule
from tests.api_client import end


def world(owner: User, number: int) -> dict[type[Model], Any]:
    """One row of every model, all of them ``owner``'s; names and ids hold ``number``."""
    provider, _ = Provider.objects.get_or_create(name="Lab", kind="openai-compatible", base_url="https://lab.example")
    route = routes.add_route(provider, f"model-{number}", owner)
    ModelRoute.objects.filter(pk=route.pk).update(visibility="private")
    soul = souls.create(f"soul-{number}", "Text.", owner)
    agent = composition.create(owner, f"agent-{number}", soul, route=route)
    policy = Policy.objects.create(name=f"policy-{number}", owner=owner)
    run = dispatch.start(owner, f"message-{number}", agent=agent).run
    question = approvals.request(run.pk, f"rm {number}", "delete")
    rule = approvals.make(owner, question, approvals.RuleWish())
    box = Sandbox.objects.create(agent=agent, number=number, layers=["userns"])
    sample = HealthSample.objects.create(
        sandbox=box, at=timezone.now(), start=1, cpu_s=1.0, memory_mb=1.0, processes=1, latency_ms=1.0
    )
    call = InferenceCall.objects.create(
        id=f"call-{number}", sandbox=box, run_id=run.pk, route_id=route.pk, model=route.model, status=200,
        streamed=True, duration_ms=1.0,
    )  # fmt: skip
    reached = EgressDecision.objects.create(
        id=f"conn-{number}", agent=agent, run_id=run.pk, host=f"host-{number}.example", port=443, allowed=False,
        at=timezone.now(),
    )  # fmt: skip
    beat = EngineBeat.objects.create(owner=f"engine-{number}", seen_at=timezone.now())
    token, _ = ApiToken.make(owner, f"token-{number}")
    end(run, "Reply.")
    event = audit.note("granted", actor=owner, person=owner, about=agent, level="chat")
    agreed = AgentCapability.objects.create(agent=agent, key="plan", agreed_version=1, consented_by=owner)
    secret = agent_secrets.put(owner, agent, f"KEY_{number}", f"value-of-{number}")
    document = documents.put(owner, agent, f"notes-{number}.md", f"Text-{number}")
    note = AgentNote.objects.create(agent=agent, text=f"note-{number}", written_by=owner)
    server = McpServer.objects.create(name=f"server-{number}", owner=owner, command="true", enabled=False)
    mcp_secret = McpSecret.objects.create(server=server, name=f"MCP_{number}", sealed="x", set_by=owner)
    health = McpHealth.objects.create(server=server, reason=f"reason-{number}")
    given = McpAccess.objects.create(agent=agent, server=server, given_by=owner, reason=f"why-{number}")
    pin = McpPin.objects.create(server=server, tool=f"tool-{number}", state="accepted")
    opener = McpToken(agent=agent, name=f"opener-{number}", made_by=owner)
    opener.keep(f"secret-{number}")
    opener.save()
    called = McpCall.objects.create(
        agent=agent, server=server, server_name=server.name, method="tools/call", tool=f"tool-{number}", outcome="ok",
        via="token", at=timezone.now(),
    )  # fmt: skip
    sampled = McpSampling.objects.create(
        server=server, server_name=server.name, agent=agent, tool=f"asking-{number}", outcome="ok", model=route.model,
        route_id=route.pk, at=timezone.now(),
    )  # fmt: skip
    connected = McpConnection.objects.create(
        id=f"conn-of-server-{number}", server=server, server_name=server.name, host=f"reached-{number}.example", port=443,
        allowed=True, rule=f"reached-{number}.example", at=timezone.now(),
    )  # fmt: skip
    McpCategory.objects.get_or_create(name="code", defaults={"access": "admin"})
    McpLease.objects.get_or_create(name="gateway", defaults={"owner": "process", "until": timezone.now()})
    preset = Preset.objects.get(pk="github")  # of the house, like the provider
    budget = Budget.objects.create(
        name=f"budget-{number}",
        scope="agent",
        agent=agent,
        window="day",
        amount=1,
        unknown_price="at_least",
    )
    charge = Charge.objects.create(
        id=f"charge-{number}", run_id=run.pk, conversation_id=run.conversation_id, agent=agent, person=owner,
        route_id=route.pk, model=route.model, amount=1, is_priced=True, input_tokens=1, output_tokens=1,
        opened_at=timezone.now(),
    )  # fmt: skip
    warning = BudgetWarning.objects.create(
        budget=budget, bucket=f"agent_id:{agent.pk}", threshold=50, used=1, run_id=run.pk, at=timezone.now()
    )
    gate_rule = GateRule.objects.create(
        name=f"gate-{number}", policy=policy, severity="low", answer="person", sentence=f"sentence-{number}",
        when={"program": [f"program-{number}"]},
    )  # fmt: skip
    panel = Panel.objects.create(policy=policy, kind="command", needed=2, note=f"panel-{number}", made_by=owner)
    rows = [
        panel,
        preset,
        gate_rule,
        agent,
        soul,
        soul.revisions.get(),
        route,
        policy,
        provider,
        run,
        run.events.first(),
        run.conversation,
    ]
    rows += [
        agreed,
        secret,
        document,
        note,
        server,
        mcp_secret,
        health,
        pin,
        given,
        opener,
        called,
        sampled,
        connected,
        budget,
        charge,
        warning,
    ]
    rows += [
        ToolRule.objects.create(layer="agent", agent=agent, tool="git.*", tier="ask", note=f"note-{number}"),
        ToolCall.objects.create(
            agent=agent, run_id=run.pk, door="api", tool="git.log", arguments={"path": f"path-{number}"},
            digest="0" * 64, key="0" * 64, tier="allow", state="done", at=timezone.now(),
        ),
    ]  # fmt: skip
    ReviewerSettings.objects.get_or_create(pk=1)
    rows += [
        ReviewedAgent.objects.create(agent=agent),
        ReviewerOpinion.objects.create(approval=question, outcome="left", why="unsure", reason=f"reason-{number}"),
        ReviewerReversal.objects.create(
            agent=agent, kind="command", key=question.key, words=f"rm {number}", approval=question, made_by=owner
        ),
    ]
    rows += [run.message, question, rule, box, sample, call, reached, beat, token, event, owner]
    return {type(row): row for row in rows}


def traces(rows: dict[type[Model], Any], number: int) -> set[str]:
    """What would betray these rows in a page: their names, their owner, the random part of their ids (addresses
    of the console write an id's underscore in a way of their own)."""
    ids = {
        row.pk.rpartition("_")[2]
        for row in rows.values()
        if isinstance(row.pk, str) and not isinstance(row, (Provider, Preset))
    }
    return ids | {f"-{number}", f"rm {number}", next(row.username for row in rows.values() if isinstance(row, User))}
