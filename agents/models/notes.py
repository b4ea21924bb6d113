"""Notes of an agent: what it keeps for later by itself, and what people wrote there for it."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from agents import ids
from agents.models.agents import Agent
from agents.models.shared import Versioned


class AgentNote(Versioned):
    """One note. ``agents.notes`` is the only writer. ``run_id`` is no foreign key: runs lie above this app."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.note_id, editable=False)
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="notes")
    text = models.TextField()
    is_own = models.BooleanField("written by the agent", default=True, editable=False)
    written_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    run_id = models.CharField("written in the run", max_length=40, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["id"]
        verbose_name = "note of an agent"
        verbose_name_plural = "notes of agents"

    def __str__(self) -> str:
        return self.text[:60]
