"""Addresses of the pages about MCP; ``/mcp`` itself is the gateway's and never reaches Django."""

from __future__ import annotations

from django.urls import path

from mcp_gateway.views import accounts, outside, servers

app_name = "mcp"
urlpatterns = [
    path("mcp-servers/", servers.server_list, name="server-list"),
    path("mcp-servers/new/", servers.server_new, name="server-new"),
    path("mcp-servers/<str:server_id>/", servers.server_detail, name="server-detail"),
    path("agents/<str:agent_id>/outside/", outside.agent_outside, name="agent-outside"),
    path("mcp-accounts/", accounts.account_list, name="accounts"),
    path("mcp-accounts/callback/", accounts.callback, name="account-callback"),
    path("mcp-accounts/client.json", accounts.client_document, name="account-client"),
    path("mcp-accounts/<str:server_id>/connect/", accounts.connect, name="account-connect"),
    path("mcp-accounts/<str:server_id>/disconnect/", accounts.disconnect, name="account-disconnect"),
]
