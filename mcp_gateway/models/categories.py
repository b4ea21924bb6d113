"""What holds for every MCP server of a category: who may let agents use it, and what becomes of calls without a rule."""

from __future__ import annotations

from django.db import models

from mcp_gateway.models.servers import AccessTier
from sandboxes.tool_server.tiers import Tier


class McpCategory(models.Model):
    """One line of the table. ``mcp_gateway.categories`` is the only writer; a category without a line is "user", "allow"."""

    name = models.CharField(primary_key=True, max_length=40)
    access = models.CharField("who gives access", max_length=8, choices=AccessTier.choices[1:], default=AccessTier.USER)
    calls = models.CharField("calls without a rule", max_length=6, choices=Tier.choices, default=Tier.ALLOW)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        verbose_name = "category of MCP servers"
        verbose_name_plural = "categories of MCP servers"

    def __str__(self) -> str:
        return self.name
