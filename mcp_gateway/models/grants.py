"""What people and groups were given on an MCP server."""

from __future__ import annotations

from django.db import models
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase

from agents.models.history import Changes
from mcp_gateway.models.servers import McpServer


class McpServerUserGrant(UserObjectPermissionBase):
    content_object = models.ForeignKey(McpServer, models.CASCADE)
    history = Changes()


class McpServerGroupGrant(GroupObjectPermissionBase):
    content_object = models.ForeignKey(McpServer, models.CASCADE)
    history = Changes()
