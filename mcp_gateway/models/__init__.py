"""The rows of the gateway: MCP servers and how they are, who was given what on them, what agents may use and called."""

from agents import guarding
from mcp_gateway.models.access import McpAccess, McpCall, McpLease, McpToken
from mcp_gateway.models.accounts import ClientOrigin, McpAccount, McpClient
from mcp_gateway.models.categories import McpCategory
from mcp_gateway.models.connections import McpConnection
from mcp_gateway.models.grants import McpServerGroupGrant, McpServerUserGrant
from mcp_gateway.models.pins import McpPin, PinState
from mcp_gateway.models.sampling import McpSampling
from mcp_gateway.models.servers import (
    AccessTier,
    AccountUse,
    Children,
    McpHealth,
    McpSecret,
    McpServer,
    Place,
    Resources,
    ServerKind,
    ServerState,
)

guarding.add_root(
    McpServer,
    (McpServerUserGrant, McpServerGroupGrant),
    word="server",
    shared_level="view",
    parts=(McpSecret, McpHealth, McpPin, McpSampling, McpConnection),
)
guarding.call_it(McpAccount, "mcpaccount", family="server")
guarding.call_it(McpClient, "mcpclient", family="server")
guarding.call_it(McpAccess, "access")
guarding.call_it(McpToken, "mcptoken", family="access")

__all__ = [
    "AccessTier",
    "AccountUse",
    "Children",
    "ClientOrigin",
    "McpAccess",
    "McpAccount",
    "McpCall",
    "McpCategory",
    "McpClient",
    "McpConnection",
    "McpHealth",
    "McpLease",
    "McpPin",
    "McpSampling",
    "McpSecret",
    "McpServer",
    "McpServerGroupGrant",
    "McpServerUserGrant",
    "McpToken",
    "PinState",
    "Place",
    "Resources",
    "ServerKind",
    "ServerState",
]
