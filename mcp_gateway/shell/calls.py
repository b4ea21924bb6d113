"""List the calls of an agent, and make one as a client outside would, from a shell."""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings

from agents import permissions
from agents.command_line import LogosCommand, add_person, plain, reader
from agents.errors import Invalid
from mcp_gateway import calling
from mcp_gateway.models import McpCall
from mcp_gateway.shell.naming import agent_named


class CallVerbs(LogosCommand):
    """``mcp calls|call``."""

    def add_arguments_of_calls(self, verbs: Any) -> None:
        calls = verbs.add_parser("calls", help="list the newest calls of an agent")
        calls.add_argument("agent", metavar="AGENT", help="name or id")
        add_person(calls)
        call = verbs.add_parser("call", help="call a tool through the gateway, as an outside client would")
        call.add_argument("server", metavar="SERVER", help="its name; hub for everything the agent may use")
        call.add_argument("tool", metavar="TOOL")
        call.add_argument("arguments", nargs="?", default="{}", metavar="JSON", help="the arguments (%(default)s)")
        call.add_argument("--url", default="", metavar="URL", help="where Logos answers; default: this machine")

    def do_calls(self, options: dict[str, Any]) -> None:
        user = reader(options["user"])
        agent = agent_named(user, options["agent"], "mcpcall.view")
        rows = permissions.visible(user, McpCall.objects.all()).filter(agent=agent)[:50]
        self.print_table(
            ("AT", "SERVER", "TOOL", "DECISION", "OUTCOME", "MS", "BYTES", "REASON"),
            (
                (
                    *(f"{c.at:%F %T}", c.server_name, plain(c.tool), c.decision, c.outcome),
                    *(f"{c.duration_ms:.0f}", c.result_bytes, plain(c.reason)),
                )
                for c in rows
            ),
        )

    def do_call(self, options: dict[str, Any]) -> None:
        token = os.environ.get("MCP_TOKEN", "")
        if not token:
            raise Invalid("Put the agent's token into the variable MCP_TOKEN.", field="token")
        url = (options["url"] or f"http://127.0.0.1:{settings.LOGOS_PORT}").rstrip("/")
        name = "" if options["server"] == "hub" else f"/{options['server']}"
        found = calling.call(f"{url}/mcp{name}", token, options["tool"], calling.arguments(options["arguments"]))
        self.print_json(found)
        if found.get("isError"):
            self.end(1)
