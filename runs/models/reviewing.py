"""The reviewer: a model that may answer some requests in a person's place; its switches, its opinions, what was taken back."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from agents.guarding import Rows
from agents.models import Agent, ModelRoute
from agents.models.history import Changes
from agents.models.shared import Versioned
from runs.models.approvals import Approval, ApprovalKind


class Most(models.TextChoices):
    """Up to which severity it is asked. There is nothing above medium."""

    LOW = "low", "Low"
    MEDIUM = "medium", "Medium"


class Verdict(models.TextChoices):
    """What it says."""

    ALLOW = "allow", "Allow"
    DENY = "deny", "Deny"
    UNSURE = "unsure", "Unsure"


class ReviewOutcome(models.TextChoices):
    """What came of asking it."""

    ASKING = "asking", "Being asked"
    ALLOWED = "allowed", "Allowed once"
    DENIED = "denied", "Denied"
    LEFT = "left", "Left to a person"


class ReviewerSettings(Versioned):
    """The one row of what holds for the reviewer everywhere."""

    is_on = models.BooleanField(default=False, help_text="Agents for which it is switched on are answered by it too.")
    route = models.ForeignKey(ModelRoute, models.SET_NULL, null=True, blank=True, related_name="+")
    most = models.CharField(max_length=10, choices=Most.choices, default=Most.MEDIUM)

    history = Changes()

    class Meta:
        verbose_name = "reviewer settings"
        verbose_name_plural = "reviewer settings"

    def __str__(self) -> str:
        return "Reviewer settings"


class ReviewedAgent(Versioned):
    """Whether what runs of one agent ask is put to the reviewer first."""

    permission = Rows(root="agent")

    agent = models.OneToOneField(Agent, models.CASCADE, related_name="reviewed")
    is_on = models.BooleanField(default=False)

    history = Changes()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.agent}: {'reviewed' if self.is_on else 'not reviewed'}"


class ReviewerOpinion(models.Model):
    """What the reviewer said of one request: one row for each request, so that it is asked once."""

    permission = Rows(owner="approval__asked_for", root="approval__agent")

    approval = models.OneToOneField(Approval, models.CASCADE, primary_key=True, related_name="opinion")
    outcome = models.CharField(max_length=10, choices=ReviewOutcome.choices, default=ReviewOutcome.ASKING)
    why = models.CharField(max_length=20, blank=True, help_text="Why it was left to a person.")
    verdict = models.CharField(max_length=10, choices=Verdict.choices, blank=True)
    confidence = models.DecimalField(max_digits=7, decimal_places=6, null=True)
    reason = models.CharField(max_length=500, blank=True)
    route = models.ForeignKey(ModelRoute, models.SET_NULL, null=True, related_name="+")
    model = models.CharField(max_length=200, blank=True)
    call_id = models.CharField(max_length=40, blank=True)
    latency_ms = models.FloatField(null=True)
    cost = models.DecimalField(max_digits=14, decimal_places=8, null=True, help_text="USD; empty when unknown.")
    holder = models.CharField(max_length=60, blank=True, help_text="The engine that asks.")
    asked_at = models.DateTimeField(null=True, help_text="Empty: it was not asked.")
    deadline_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    reversed_at = models.DateTimeField(null=True)
    reversed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["-created_at"]),
            models.Index(fields=["holder"], condition=models.Q(outcome="asking"), name="reviews_under_way"),
        ]

    def __str__(self) -> str:
        return f"{self.get_outcome_display()} ({self.approval_id})"


class ReviewerReversal(models.Model):
    """Somebody said that the reviewer was wrong: the like is asked of people only, until this is undone."""

    permission = Rows(owner="made_by", root="agent")

    agent = models.ForeignKey(Agent, models.CASCADE, related_name="reversals")
    kind = models.CharField(max_length=20, choices=ApprovalKind.choices)
    key = models.CharField(max_length=64)
    words = models.CharField(max_length=500, help_text="What it covers.")
    note = models.CharField(max_length=500, blank=True)
    approval = models.ForeignKey(Approval, models.SET_NULL, null=True, related_name="reversals")
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    undone_at = models.DateTimeField(null=True)
    undone_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["agent", "kind", "key"],
                condition=models.Q(undone_at=None),
                name="one_living_reversal_per_key",
            )
        ]

    def __str__(self) -> str:
        return self.words[:80]
