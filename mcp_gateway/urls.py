"""Addresses of the pages about MCP; ``/mcp`` itself is the gateway's and never reaches Django."""

from __future__ import annotations

from django.urls import path

from mcp_gateway.views import (
    access,
    accounts,
    calls,
    catalogue,
    categories,
    changing,
    connections,
    declared,
    outside,
    sampling,
    servers,
)

app_name = "mcp"
urlpatterns = [
    path("mcp-servers/", servers.server_list, name="server-list"),
    path("mcp-servers/new/", changing.server_new, name="server-new"),
    path("mcp-servers/file/", declared.server_file, name="server-file"),
    path("mcp-servers/export/", declared.server_export, name="server-export"),
    path("mcp-servers/catalogue/", catalogue.catalogue_list, name="catalogue"),
    path("mcp-servers/categories/", categories.category_list, name="categories"),
    path("mcp-access/", access.access_list, name="access"),
    path("mcp-servers/<str:server_id>/access/", access.server_access, name="server-access"),
    path("mcp-servers/<str:server_id>/calls/", calls.server_calls, name="server-calls"),
    path("mcp-servers/<str:server_id>/", servers.server_detail, name="server-detail"),
    path("mcp-servers/<str:server_id>/live/", servers.server_live, name="server-live"),
    path("mcp-servers/<str:server_id>/connections/", connections.server_connections, name="server-connections"),
    path("mcp-servers/<str:server_id>/models/", sampling.server_models, name="server-models"),
    path("mcp-servers/<str:server_id>/edit/", changing.server_edit, name="server-edit"),
    path("mcp-servers/<str:server_id>/secrets/", changing.server_secrets, name="server-secrets"),
    path("mcp-servers/<str:server_id>/off/", changing.server_off, name="server-off"),
    path("mcp-servers/<str:server_id>/delete/", changing.server_delete, name="server-delete"),
    path("agents/<str:agent_id>/outside/", outside.agent_outside, name="agent-outside"),
    path("mcp-accounts/", accounts.account_list, name="accounts"),
    path("mcp-accounts/callback/", accounts.callback, name="account-callback"),
    path("mcp-accounts/client.json", accounts.client_document, name="account-client"),
    path("mcp-accounts/<str:server_id>/connect/", accounts.connect, name="account-connect"),
    path("mcp-accounts/<str:server_id>/disconnect/", accounts.disconnect, name="account-disconnect"),
]
