"""Rules of the command gate that operators write, for every agent or for those with a policy."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from agents import ids
from agents.models.history import Changes
from agents.models.policies import Policy
from agents.models.shared import Versioned


class GateAnswer(models.TextChoices):
    """Who may allow what falls under a rule."""

    PERSON = "person", "Whoever the agent works for"
    OPERATORS = "operators", "Operators and admins"
    NOBODY = "nobody", "Nobody"


class GateSeverity(models.TextChoices):
    """How bad it is."""

    LOW = "low", "Low"
    MEDIUM = "medium", "Medium"
    HIGH = "high", "High"
    CRITICAL = "critical", "Critical"


class GateRule(Versioned):
    """One rule beside those that come with Logos; it adds or raises and weakens nothing. Without a policy it is about
    every agent. ``agents.gate_rules`` is the only writer."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.gate_rule_id, editable=False)
    policy = models.ForeignKey(Policy, models.CASCADE, null=True, blank=True, related_name="gate_rules")
    name = models.CharField(max_length=60, unique=True)
    severity = models.CharField(max_length=8, choices=GateSeverity.choices)
    answer = models.CharField(max_length=9, choices=GateAnswer.choices)
    sentence = models.CharField(max_length=200, blank=True)
    when = models.JSONField()
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    history = Changes()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
