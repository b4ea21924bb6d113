"""Django's registration of the ``mcp_gateway`` app."""

from django.apps import AppConfig


class McpGatewayConfig(AppConfig):
    name = "mcp_gateway"

    def ready(self) -> None:
        from agents import agent_pages, erasing, exporting, rotation, sharing
        from agents.models import ModelRoute
        from agents.past import comparing
        from mcp_gateway import access, own_rules, requesting, servers
        from mcp_gateway.models import McpAccount, McpClient, McpSecret, McpServer
        from mcp_gateway.oauth import accounts
        from runs import approvals
        from runs.models import ApprovalKind
        from sandboxes.tool_server import outside

        approvals.register(ApprovalKind.MCP_ACCESS, on_decided=requesting.decided, on_rule_ended=requesting.on_rule_ended,
            in_run="in this run, and no longer than its minutes", caution="Access lasts the minutes it says, in later runs too, unless you allow it for this run only.",
        )  # fmt: skip
        comparing.REFERRING[McpServer._meta.get_field("sampling_models")] = ModelRoute
        sharing.GIVEN[McpServer] = sharing.Given(access.agents_with, access.end_all)
        outside.FAMILIES += [servers.families, own_rules.families]
        erasing.PARTS.append(accounts.erase)
        exporting.PARTS.append(accounts.EXPORTED)
        for model, column in (
            (McpSecret, "sealed"),
            (McpClient, "sealed_secret"),
            (McpAccount, "sealed_access"),
            (McpAccount, "sealed_refresh"),
        ):
            rotation.SEALED.append(rotation.Sealed(model, column))
        agent_pages.TABS.append(agent_pages.Tab("outside", "Outside", "mcp:agent-outside", "access.give"))
