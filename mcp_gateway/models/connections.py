"""What MCP servers' sandboxes asked of the network: one row for each connection, refused ones too."""

from __future__ import annotations

from django.db import models

from agents.models import Agent
from mcp_gateway.models.servers import McpServer
from sandboxes.models import Connection


class McpConnection(Connection):
    """One connection of a server. ``agent`` is whose copy of it asked, none for the process of everybody; ``rule`` is the
    entry among the server's hosts that allows it, which the server's history names somebody for."""

    server = models.ForeignKey(McpServer, models.SET_NULL, null=True, related_name="connections")
    server_name = models.CharField(max_length=80)
    agent = models.ForeignKey(Agent, models.SET_NULL, null=True, related_name="+")

    class Meta(Connection.Meta):
        verbose_name = "connection of an MCP server"
        verbose_name_plural = "connections of MCP servers"
        indexes = [models.Index(fields=["server", "id"], name="mcp_connection_of_server")]
