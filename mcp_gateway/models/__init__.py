"""The rows of the gateway: MCP servers, their secrets, how they are, and who was given what on them."""

from agents import permissions
from mcp_gateway.models.grants import McpServerGroupGrant, McpServerUserGrant
from mcp_gateway.models.servers import McpHealth, McpSecret, McpServer, State

permissions.add_root(
    McpServer,
    (McpServerUserGrant, McpServerGroupGrant),
    word="server",
    shared_level="view",
    parts=(McpSecret, McpHealth),
)

__all__ = [
    "McpHealth",
    "McpSecret",
    "McpServer",
    "McpServerGroupGrant",
    "McpServerUserGrant",
    "State",
]
