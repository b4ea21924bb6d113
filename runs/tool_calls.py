"""The desk of the tool server: a call that has to be asked for becomes an approval, and its decision the word on it."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from agents import secrets
from agents.agent_secrets import known_values
from agents.models import Agent, User
from runs import approvals
from runs.models import Approval, ApprovalKind, ApprovalState, Run, Tier
from sandboxes.tool_server import asking, catalogue, outside
from sandboxes.tool_server.asking import Question, Word

_WORDS = {
    ApprovalState.PENDING: "pending",
    ApprovalState.ALLOWED: "allowed",
    ApprovalState.DENIED: "denied",
    ApprovalState.EXPIRED: "expired",
    ApprovalState.WITHDRAWN: "expired",
}


class ApprovalDesk:
    """Puts questions as approvals of the kind ``tool_call``."""

    def ask(self, question: Question) -> Word:
        """One approval; allowed at once where a rule of the person fits."""
        agent = Agent.objects.select_related("owner").get(pk=question.agent_id)
        run_id = question.run_id if Run.objects.filter(pk=question.run_id).exists() else ""
        caller = User.objects.filter(pk=question.caller_id).first() if question.caller_id else None
        asked = approvals.ask(
            ApprovalKind.TOOL_CALL,
            subject=subject_of(question),
            title=question.title,
            agent=agent,
            run_id=run_id,
            asked_for=None if run_id else caller or agent.owner,
            tier=Tier.ADMIN if question.is_for_operators else Tier.USER,
            purpose=question.purpose,
            findings=[{"rule": "tool rules", "severity": question.severity, "sentence": question.reason},
                      *question.findings],
            severity=question.severity,
            policy_version=question.policy_version,
            known=secrets.forms(known_values(agent)),
        )  # fmt: skip
        return _word(asked)

    def look(self, approval_id: str) -> Word:
        """What has become of it; one that is gone has been denied."""
        asked = Approval.objects.filter(pk=approval_id).first()
        return _word(asked) if asked is not None else Word(approval_id, "denied", "The question is gone.")


def subject_of(question: Question) -> dict[str, Any]:
    """The call as it is shown and bound: the tool, and every argument that is not what it is anyway."""
    if outside.is_outside(question.tool):
        return {"tool": question.tool, "arguments": question.subject["arguments"]}
    properties = catalogue.find(question.tool).schema["properties"]
    given: dict[str, Any] = question.subject["arguments"]
    told = {name: value for name, value in given.items() if value != properties[name].get("default")}
    return {"tool": question.tool, **told}


def connect() -> None:
    """Be where the tool server asks; called once, when the app is ready."""
    asking.register(ApprovalDesk())
    approvals.register(
        ApprovalKind.TOOL_CALL, covers=lambda subject: f"exactly this call of {subject.get('tool', 'a tool')}"
    )


def _word(asked: Approval) -> Word:
    state = _WORDS[ApprovalState(asked.state)]
    if state == "pending" and asked.frozen_at is None and asked.expires_at <= timezone.now():
        state = "expired"
    return Word(asked.pk, state, asked.note)
