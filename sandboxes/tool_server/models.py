"""The rows of the tool server: the rules of the site and of agents, and every call with what became of it."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from agents import ids
from agents.guarding import Rows
from agents.models import Agent
from agents.models.history import Changes
from sandboxes.tool_server.tiers import Tier


class Layer(models.TextChoices):
    """Whose rule it is. What the site says, an agent's own rules only make stricter."""

    SITE = "site", "The site"
    AGENT = "agent", "The agent"


class Condition(models.TextChoices):
    """What a rule looks at; without one it is about every call of the tool."""

    NONE = "", "Every call"
    PATH = "path", "Paths"
    HOST = "host", "Hosts"
    COMMAND = "command", "Commands"
    ARGUMENT = "argument", "An argument"


class ToolRule(models.Model):
    """What becomes of calls of a tool. ``agent`` is None for a rule of the site for every agent.

    ``sandboxes.tool_server.rules`` is the only writer."""

    permission = Rows(root="agent")

    id = models.CharField(primary_key=True, max_length=40, default=ids.tool_rule_id, editable=False)
    layer = models.CharField(max_length=5, choices=Layer.choices)
    agent = models.ForeignKey(Agent, models.CASCADE, null=True, blank=True, related_name="tool_rules")
    tool = models.CharField(max_length=170, help_text="A tool, a family as in git.*, or * for every tool.")
    condition = models.CharField(max_length=8, choices=Condition.choices, blank=True, default="")
    pattern = models.CharField(max_length=300, blank=True)
    tier = models.CharField(max_length=6, choices=Tier.choices)
    per_minute = models.PositiveIntegerField(null=True, blank=True)
    per_hour = models.PositiveIntegerField(null=True, blank=True)
    note = models.CharField(max_length=200, blank=True)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    version = models.PositiveIntegerField(default=1, editable=False)

    history = Changes()

    class Meta:
        ordering = ["layer", "tool", "condition", "pattern"]
        constraints = [
            models.UniqueConstraint(
                fields=["layer", "agent", "tool", "condition", "pattern"], name="one_tool_rule_of_a_kind"
            ),
            models.UniqueConstraint(
                fields=["tool", "condition", "pattern"],
                condition=models.Q(agent=None),
                name="one_tool_rule_of_a_kind_for_all",
            ),
            models.CheckConstraint(
                condition=models.Q(layer="site") | models.Q(agent__isnull=False), name="tool_rules_of_agents_have_one"
            ),
        ]

    def __str__(self) -> str:
        about = f" on {self.condition} {self.pattern}" if self.condition else ""
        return f"{self.get_tier_display()}: {self.tool}{about}"


class CallState(models.TextChoices):
    """How far a call has come. Only one that is waiting can still begin."""

    WAITING = "waiting", "Waiting for a person"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    REFUSED = "refused", "Refused"
    DENIED = "denied", "Denied"
    EXPIRED = "expired", "Nobody decided in time"
    UNKNOWN = "unknown", "Outcome unknown"


class ToolCall(models.Model):
    """One call of a tool. ``run_id`` is no foreign key: runs lie above this app. ``digest`` is of the arguments as they
    were, ``arguments`` what may be read of them; ``key`` finds the same call again."""

    permission = Rows(root="agent")

    id = models.CharField(primary_key=True, max_length=40, default=ids.tool_call_id, editable=False)
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="tool_calls")
    run_id = models.CharField(max_length=40, blank=True)
    caller = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    door = models.CharField(max_length=10)
    tool = models.CharField(max_length=170)
    arguments = models.JSONField(default=dict)
    digest = models.CharField(max_length=64)
    key = models.CharField(max_length=64)
    tier = models.CharField(max_length=6, choices=Tier.choices)
    rule = models.CharField(max_length=40, blank=True)
    reason = models.CharField(max_length=400, blank=True)
    policy_version = models.CharField(max_length=16, blank=True)
    state = models.CharField(max_length=8, choices=CallState.choices)
    approval_id = models.CharField(max_length=40, blank=True)
    claimed_by = models.CharField(max_length=60, blank=True)
    is_error = models.BooleanField(default=False)
    error = models.CharField(max_length=400, blank=True)
    result_bytes = models.PositiveIntegerField(null=True)
    duration_ms = models.FloatField(null=True)
    at = models.DateTimeField(db_index=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["agent", "id"], name="tool_calls_of_agent"),
            models.Index(fields=["agent", "tool", "at"], name="tool_calls_by_rate"),
            models.Index(fields=["run_id", "id"], name="tool_calls_of_run"),
            models.Index(fields=["key", "state"], name="tool_calls_by_key"),
            models.Index(fields=["state", "at"], name="tool_calls_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.tool} ({self.get_state_display().lower()})"
