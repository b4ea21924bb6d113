"""A host that a run was refused may be asked for: who manages the agent lets it be reached for a while.

What is allowed counts for the agent's sandbox, not for one run in it: its runs share the sandbox and its proxy.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from agents import granting, permissions, reaching
from agents.errors import Conflict, Invalid
from agents.models import HostGrant, User
from runs import approvals
from runs.models import Approval, ApprovalKind, ApprovalRule, ApprovalState, Choice, Run, Tier
from sandboxes.models import EgressDecision

# "Once" is no connection, because a program needs several: it is this long, and never longer than the run.
ONCE_S = 600


def ask_for(user: User, run_id: str, host: str, port: int) -> Approval:
    """Ask for a host that this run was refused; the request that waits already, if one does.

    Raises NotFound, Invalid for what was not refused or no rule could allow, Conflict when it is allowed by now."""
    run = permissions.fetch(user, "run.approve", Run.objects.select_related("agent", "conversation"), pk=run_id)
    refused = EgressDecision.objects.filter(run_id=run.pk, host=host, port=port, allowed=False).order_by("-pk").first()
    if refused is None:
        raise Invalid("This run was not refused that host.", field="host")
    rule = granting.clean(refused.host, refused.port, refused.binary)
    verdict = reaching.reach_of(run.agent).decide(refused.host, refused.port, refused.binary, timezone.now())
    if verdict.allowed:
        raise Conflict("The agent may reach this host by now.", reason="already_allowed", action="Let it try again.")
    if verdict.rule:
        raise Conflict(verdict.reason, reason="denied_by_rule", action="Whoever may edit that policy can change it.")
    subject = {"host": rule.hosts[0], "port": rule.ports[0], "program": rule.binaries[0] if rule.binaries else ""}
    waiting = approvals.undecided().filter(run=run, kind=ApprovalKind.EGRESS)
    for asked in waiting:
        if asked.subject == subject:
            return asked
    return approvals.ask(
        ApprovalKind.EGRESS,
        subject=subject,
        title=f"Reach {rule.hosts[0]}",
        run_id=run.pk,
        tier=Tier.ADMIN,
        findings=[{"rule": "", "severity": "", "sentence": refused.reason}],
    )


def on_decided(approval: Approval) -> None:
    """What was allowed can be reached from now on."""
    if approval.state != ApprovalState.ALLOWED or approval.agent is None:
        return
    until, run_id = timezone.now() + timedelta(seconds=ONCE_S), approval.run_id or ""
    if approval.choice == Choice.RUN:
        until = timezone.now() + timedelta(seconds=settings.LOGOS_RUN_TIMEOUT_S)
    elif approval.rule is not None:
        until, run_id = approval.rule.expires_at, approval.rule.run_id or ""
    subject = approval.subject
    rule = granting.clean(subject["host"], subject["port"], subject.get("program", ""))
    granting.give(
        approval.agent, rule, until, by=approval.decided_by, run_id=run_id, reason=approval.rule_id or approval.pk
    )


def on_rule_ended(rule: ApprovalRule) -> None:
    """What the rule let through is refused again."""
    granting.end(HostGrant.objects.filter(agent=rule.agent_id, reason=rule.pk))


def covers(subject: dict[str, Any]) -> str:
    """What is allowed, in words."""
    program = f" by {subject['program']}" if subject.get("program") else ""
    return f"{subject.get('host', '')}:{subject.get('port', '')}{program}"


def end_with(run: Run) -> None:
    """What was let through for this run ends with it."""
    granting.end(HostGrant.objects.filter(run_id=run.pk))


def register() -> None:
    """Join the kinds."""
    approvals.register(
        ApprovalKind.EGRESS,
        on_decided=on_decided,
        on_rule_ended=on_rule_ended,
        covers=covers,
        in_run="by whatever runs in the agent's sandbox until this run ends",
        caution="The runs of an agent share one sandbox: what is allowed here, others that go on in it can reach too.",
    )
