"""Addresses of the pages about MCP; ``/mcp`` itself is the gateway's and never reaches Django."""

from __future__ import annotations

from django.urls import path

from mcp_gateway.views import outside

app_name = "mcp"
urlpatterns = [
    path("agents/<str:agent_id>/outside/", outside.agent_outside, name="agent-outside"),
]
