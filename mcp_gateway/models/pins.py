"""A tool as somebody accepted it, and as its server offers it now when that is another."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from mcp_gateway import ids
from mcp_gateway.models.servers import McpServer


class PinState(models.TextChoices):
    """What agents get of a tool."""

    ACCEPTED = "accepted", "Accepted: agents see it"
    CHANGED = "changed", "Changed: hidden until somebody accepts it"
    NEW = "new", "New: hidden until somebody accepts it"


class McpPin(models.Model):
    """One tool of a server. ``definition`` is what was accepted, ``offered`` what waits to be."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.pin_id, editable=False)
    server = models.ForeignKey(McpServer, models.CASCADE, related_name="pins")
    tool = models.CharField(max_length=128)
    state = models.CharField(max_length=10, choices=PinState.choices)
    definition = models.JSONField(default=dict)
    digest = models.CharField(max_length=64, blank=True)
    offered = models.JSONField(default=dict)
    offered_digest = models.CharField(max_length=64, blank=True)
    accepted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    accepted_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["tool"]
        verbose_name = "pinned tool"
        constraints = [models.UniqueConstraint(fields=["server", "tool"], name="one_pin_per_server_and_tool")]

    def __str__(self) -> str:
        return self.tool
