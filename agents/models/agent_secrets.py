"""Secrets of one agent: keys for its tools and commands, sealed, and never shown to anybody again."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from agents import ids, secrets
from agents.models.agents import Agent
from agents.models.history import Changes
from agents.models.shared import Versioned


class AgentSecret(Versioned):
    """One value under the name of an environment variable. ``agents.agent_secrets`` is the only writer.

    It goes into the sandbox while a capability that is on names it, or always when ``always_given`` is set."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.secret_id, editable=False)
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="secrets")
    name = models.CharField(max_length=64)
    sealed = models.TextField(editable=False)
    always_given = models.BooleanField(
        default=False, help_text="Put into the environment of every command of the agent, whatever its capabilities."
    )
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    set_at = models.DateTimeField(default=timezone.now)
    delivered_at = models.DateTimeField(null=True, editable=False)

    history = Changes(secret=("sealed",), quiet=("delivered_at",))

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["agent", "name"], name="one_secret_per_agent_and_name")]

    def __str__(self) -> str:
        return self.name

    def set_value(self, value: str) -> None:
        """Seal ``value`` into this row; save it yourself."""
        self.sealed = secrets.seal(value)
