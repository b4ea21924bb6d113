"""Consent: which capabilities of the catalogue somebody turned on for an agent, who, when, and to which wording."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from agents import ids
from agents.models.agents import Agent
from agents.models.history import Changes


class AgentCapability(models.Model):
    """One capability that is on; turning it off deletes the row. ``agents.capabilities`` is the only writer.

    ``agreed_version`` is the catalogue's version that was shown: when an entry comes to ask for more, it works for
    nobody until somebody agrees again."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.capability_id, editable=False)
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="capabilities")
    key = models.CharField(max_length=40)
    agreed_version = models.PositiveSmallIntegerField()
    consented_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    consented_at = models.DateTimeField(auto_now_add=True)

    history = Changes()

    class Meta:
        ordering = ["key"]
        verbose_name_plural = "agent capabilities"
        constraints = [models.UniqueConstraint(fields=["agent", "key"], name="one_consent_per_agent_and_capability")]

    def __str__(self) -> str:
        return self.key
