"""Documents of one agent: texts that configuration puts into its sandbox, every version kept in the history."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from agents import ids
from agents.models.agents import Agent
from agents.models.history import Changes
from agents.models.shared import Versioned


class AgentDocument(Versioned):
    """One text file. ``agents.documents`` is the only writer; ``sandboxes.documents`` installs it before a run."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.document_id, editable=False)
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="documents")
    path = models.CharField(max_length=200)
    text = models.TextField(blank=True)
    sha256 = models.CharField(max_length=64, editable=False)
    is_restored = models.BooleanField(
        "put back", default=True, help_text="Put back before every run when the agent changed it; its version is kept."
    )
    updated_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    history = Changes()

    class Meta:
        ordering = ["path"]
        constraints = [models.UniqueConstraint(fields=["agent", "path"], name="one_document_per_agent_and_path")]

    def __str__(self) -> str:
        return self.path
