"""What MCP servers asked of models: one row for each question, for whom it was and what it cost, never its words."""

from __future__ import annotations

from django.db import models

from agents.models import Agent
from mcp_gateway import ids
from mcp_gateway.models.servers import McpServer
from mcp_gateway.sampling import asking


class McpSampling(models.Model):
    """One question of a server. Who may edit the server sees them; the agent only who sees that too."""

    id = models.CharField(primary_key=True, max_length=40, default=ids.sampling_id, editable=False)
    server = models.ForeignKey(McpServer, models.SET_NULL, null=True, related_name="samplings")
    server_name = models.CharField(max_length=80)
    agent = models.ForeignKey(Agent, models.SET_NULL, null=True, related_name="+")
    run_id = models.CharField(max_length=40, blank=True, db_index=True)
    call_id = models.CharField(max_length=40, blank=True)
    tool = models.CharField(max_length=128, blank=True)
    outcome = models.CharField(max_length=10)
    why = models.CharField(max_length=20, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    route_id = models.CharField(max_length=40, blank=True)
    model = models.CharField(max_length=200, blank=True)
    hint = models.CharField("its hint", max_length=200, blank=True)
    asked_tokens = models.PositiveIntegerField(null=True)
    max_tokens = models.PositiveIntegerField(null=True)
    input_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    cost = models.DecimalField(max_digits=14, decimal_places=8, null=True)
    model_call_id = models.CharField(max_length=40, blank=True)
    duration_ms = models.FloatField(default=0)
    at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        verbose_name = "question of an MCP server to a model"
        verbose_name_plural = "questions of MCP servers to models"
        indexes = [models.Index(fields=["server", "-id"])]

    def __str__(self) -> str:
        return f"{self.server_name} {self.tool}: {self.outcome}"

    @property
    def missed(self) -> str:
        """What the server would have liked where another model was asked; empty where it got that, or none was asked."""
        return self.hint if self.model and not asking.fits(self.hint, self.model) else ""
