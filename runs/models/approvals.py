"""What somebody asked a person for, of every kind, and the rules by which the like is allowed unasked for a while."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models

from agents import ids
from agents.guarding import Rows
from agents.models import Agent
from runs.models.runs import Run


class ApprovalKind(models.TextChoices):
    """What is asked for."""

    COMMAND = "command", "Command"
    EGRESS = "egress", "Host"
    TOOL_CALL = "tool_call", "Tool call"
    MCP_ACCESS = "mcp_access", "MCP server"
    REGISTRATION = "registration", "Account"
    POLICY_PROPOSAL = "policy_proposal", "Policy proposal"
    QUESTION = "question", "Question"


class Tier(models.TextChoices):
    """Who may decide."""

    USER = "user", "The person whose run it is"
    ADMIN = "admin", "Operators and admins"


class ApprovalState(models.TextChoices):
    """What became of the question."""

    PENDING = "pending", "Waiting for you"
    ALLOWED = "allowed", "Allowed"
    DENIED = "denied", "Denied"
    EXPIRED = "expired", "Expired"
    WITHDRAWN = "withdrawn", "Withdrawn"


class Choice(models.TextChoices):
    """What a person answered."""

    ONCE = "once", "Allow once"
    RUN = "run", "Allow for this run"
    RULE = "rule", "Allow by a rule"
    ANSWER = "answer", "Answer"
    DENY = "deny", "Deny"


class Scope(models.TextChoices):
    """How far a rule reaches."""

    RUN = "run", "One run"
    AGENT = "agent", "Every run of the agent"


class Approval(models.Model):
    """One request that waits for a person. ``subject`` is exactly what is shown; ``subject_hash`` binds the decision to
    it, to agent, run, kind and policy version, and is made of the subject before secrets were masked."""

    permission = Rows(owner="asked_for", root="agent")

    id = models.CharField(primary_key=True, max_length=40, default=ids.approval_id, editable=False)
    kind = models.CharField(max_length=20, choices=ApprovalKind.choices, default=ApprovalKind.COMMAND)
    tier = models.CharField(max_length=10, choices=Tier.choices, default=Tier.USER)
    agent = models.ForeignKey(Agent, models.CASCADE, null=True, related_name="approvals")
    run = models.ForeignKey(Run, models.CASCADE, null=True, related_name="approvals")
    asked_for = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    title = models.CharField(max_length=500)
    subject = models.JSONField(default=dict)
    subject_hash = models.CharField(max_length=64)
    key = models.CharField(max_length=64, blank=True, help_text="The same for what a rule would cover alike.")
    policy_version = models.CharField(max_length=80, blank=True)
    purpose = models.CharField(max_length=500, blank=True, help_text="What the agent was trying to do.")
    findings = models.JSONField(default=list, help_text="Each {rule, severity, sentence}: why it was asked.")
    severity = models.CharField(max_length=10, blank=True)
    state = models.CharField(max_length=10, choices=ApprovalState.choices, default=ApprovalState.PENDING)
    choice = models.CharField(max_length=10, choices=Choice.choices, blank=True)
    rule = models.ForeignKey("runs.ApprovalRule", models.SET_NULL, null=True, related_name="uses")
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)
    decided_via = models.CharField(max_length=12, blank=True)
    decided_from = models.CharField(max_length=45, blank=True)
    decided_alone = models.BooleanField(default=False, help_text="By who asked, because there was no other admin.")
    note = models.CharField(max_length=500, blank=True)
    answer = models.TextField(blank=True, help_text="What a person said to a question.")
    needed = models.PositiveSmallIntegerField(default=1, help_text="How many people must allow it.")
    votes = models.JSONField(default=list, help_text="Who has allowed it so far, when several must.")
    panel = models.ForeignKey(
        "runs.Panel", models.SET_NULL, null=True, related_name="+", help_text="Who was to decide."
    )
    team = models.ForeignKey(Group, models.SET_NULL, null=True, related_name="+", help_text="Whose leave alone counts.")
    team_name = models.CharField(max_length=150, blank=True)
    escalates_at = models.DateTimeField(null=True, help_text="When others may decide it too, if nobody has.")
    escalates_to = models.ForeignKey(Group, models.SET_NULL, null=True, related_name="+")
    escalated_at = models.DateTimeField(null=True, help_text="Since when others may decide it too.")
    is_canary = models.BooleanField(default=False, help_text="It was put to see whether people read, and does nothing.")
    by_runtime = models.BooleanField(default=False, help_text="The agent runtime waits for the answer.")
    expires_at = models.DateTimeField()
    frozen_at = models.DateTimeField(null=True, help_text="Since when its time stands still.")
    answered_at = models.DateTimeField(null=True, help_text="When the runtime was told.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["created_at"]
        indexes = [
            models.Index(fields=["-created_at"]),
            models.Index(fields=["state", "expires_at"]),
            models.Index(fields=["agent", "kind", "key"]),
        ]

    def __str__(self) -> str:
        return f"{(self.exact or self.title)[:60]} ({self.get_state_display()})"

    @property
    def exact(self) -> str:
        """The subject as text: the command alone, or a line for each part, in an order that no database changes."""
        if set(self.subject) == {"command"}:
            return str(self.subject["command"])
        if self.kind == ApprovalKind.QUESTION and "question" in self.subject:
            return "\n".join((str(self.subject["question"]), *(f"- {each}" for each in self.options)))
        parts = sorted(self.subject.items(), key=lambda part: (part[0] != "tool", part[0]))
        return "\n".join(f"{name.replace('_', ' ')}: {_shown(value)}" for name, value in parts if value != "")

    @property
    def options(self) -> list[str]:
        """The answers an agent offers to its question."""
        given = self.subject.get("choices") if self.kind == ApprovalKind.QUESTION else None
        return [str(each) for each in given] if isinstance(given, list) else []


def _shown(value: Any) -> str:
    """A part of a subject: texts as they are, lists a line each, the rest as JSON."""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return "".join(f"\n  {each}" for each in value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


class ApprovalRule(models.Model):
    """What is allowed unasked from now on, in one run or for one agent, until it ends. Made by a decision."""

    permission = Rows(owner="made_by", root="agent")

    id = models.CharField(primary_key=True, max_length=40, default=ids.rule_id, editable=False)
    kind = models.CharField(max_length=20, choices=ApprovalKind.choices)
    tier = models.CharField(max_length=10, choices=Tier.choices, help_text="Of the decision it was made by.")
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="approval_rules")
    scope = models.CharField(max_length=10, choices=Scope.choices)
    run = models.ForeignKey(Run, models.CASCADE, null=True, related_name="approval_rules")
    key = models.CharField(max_length=64)
    words = models.CharField(max_length=500, help_text="What it covers.")
    expires_at = models.DateTimeField()
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    approval = models.ForeignKey(Approval, models.SET_NULL, null=True, related_name="rules_made")
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    used = models.PositiveIntegerField(default=0)
    used_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["agent", "kind", "key", "expires_at"])]

    def __str__(self) -> str:
        return self.words[:80]
