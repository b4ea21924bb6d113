"""Django's registration of the ``mcp_gateway`` app."""

from django.apps import AppConfig


class McpGatewayConfig(AppConfig):
    name = "mcp_gateway"
