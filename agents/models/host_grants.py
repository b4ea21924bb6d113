"""A host that a person let an agent reach for a while, because it asked; beside its policies, and ended by itself."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from agents import ids
from agents.models.agents import Agent


class HostGrant(models.Model):
    """One host, port and program until ``until``. ``run_id``: it ends with that run; ``reason``: the id of the approval."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.grant_id, editable=False)
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="host_grants")
    host = models.CharField(max_length=253)
    port = models.PositiveIntegerField()
    binary = models.CharField(max_length=500, blank=True)
    run_id = models.CharField(max_length=40, blank=True, db_index=True)
    reason = models.CharField(max_length=40, blank=True)
    given_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    until = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["agent", "until"])]

    def __str__(self) -> str:
        return f"{self.host}:{self.port} for {self.agent}"
