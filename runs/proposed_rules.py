"""Rules for a policy, proposed by somebody who may not change it: whoever may edit it decides about exactly these lines."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Exists, OuterRef, Q
from django.db.models.fields.json import KeyTextTransform

from agents import four_eyes, permissions, rule_lines
from agents.editing import Stale
from agents.errors import Conflict, Invalid
from agents.models import Agent, Policy, User
from runs import approvals, learned, proposals
from runs.models import Approval, ApprovalKind, ApprovalState, Tier

MOST_LINES = 200


def connect() -> None:
    """Join the kinds."""
    approvals.register(ApprovalKind.POLICY_PROPOSAL, permission="policy.edit", concerns=concerns, on_decided=on_decided)


def concerns(user: User) -> Q:
    """Proposals for policies that ``user`` may edit, for new ones, and for tools of agents they manage; admins: all."""
    editable = permissions.visible(user, Policy.objects.order_by(), "policy.edit")
    found = Q(Exists(editable.filter(pk=KeyTextTransform("policy_id", OuterRef("subject")))))
    if permissions.may(user, "policy.create"):
        found |= Q(subject__what="policy_new")
    if permissions.may(user, "tool.site"):
        return found | Q(subject__what__in=["tool_rule", "gate_rule", "agent_policies"])
    managed = permissions.visible(user, Agent.objects.order_by(), "tool.rules").values("pk")
    return found | Q(subject__what="tool_rule", subject__layer="agent", agent__in=managed)


def send(user: User, agent_id: str, policy_id: str, lines: Iterable[str], why: str = "") -> Approval:
    """Propose to add ``lines`` to a policy of the agent; the same proposal, while it waits, is one.

    Raises NotFound for an agent or policy they may not see, Invalid for lines that are no rules."""
    agent = permissions.fetch(user, "agent.chat", Agent.objects.alive(), pk=agent_id)
    policy = permissions.fetch(user, "policy.view", Policy.objects.filter(agents=agent), pk=policy_id)
    wanted = [line.strip() for line in lines if line.strip()]
    if not 1 <= len(wanted) <= MOST_LINES:
        raise Invalid(f"A proposal has 1 to {MOST_LINES} rules.", field="lines")
    added = rule_lines.parse_lines(wanted, [str(rule.get("name")) for rule in policy.rules])
    subject = {
        "policy_id": policy.pk,
        "policy": policy.name,
        "version": policy.version,
        "add": rule_lines.write([rule.as_json() for rule in added]).splitlines(),
    }
    for asked in approvals.undecided().filter(kind=ApprovalKind.POLICY_PROPOSAL, agent=agent, asked_for=user):
        if asked.subject == subject:
            return asked
    return approvals.ask(
        ApprovalKind.POLICY_PROPOSAL,
        subject=subject,
        title=f"Rules for {policy.name}",
        agent=agent,
        asked_for=user,
        tier=Tier.ADMIN,
        purpose=why,
        policy_version=str(policy.version),
    )


def on_decided(approval: Approval) -> None:
    """Add the lines, in the name of who allowed it. Conflict when the policy has changed since it was proposed."""
    actor, subject = approval.decided_by, approval.subject
    if approval.state != ApprovalState.ALLOWED or actor is None:
        return
    if "change" in subject or "what" in subject:
        proposals.carry_out(approval)
        return
    policy = permissions.fetch(actor, "policy.edit", Policy.objects.all(), pk=subject["policy_id"])
    try:
        with four_eyes.agreed():
            learned.store(actor, policy, int(subject["version"]), subject["add"])
    except Stale as error:
        raise Conflict(
            f"The policy {policy.name} has changed since this was proposed.",
            reason="changed",
            action="Deny it and say so; the proposal can be sent again.",
        ) from error
