"""Let agents use servers and take them away, from a shell."""

from __future__ import annotations

from typing import Any

from agents.command_line import LogosCommand, actor, add_person
from agents.errors import NotFound
from mcp_gateway import access
from mcp_gateway.models import McpAccess
from mcp_gateway.shell.naming import agent_named, server_named


class AccessVerbs(LogosCommand):
    """``mcp give|take``."""

    def add_arguments_of_access(self, verbs: Any) -> None:
        give = verbs.add_parser("give", help="let an agent use a server")
        give.add_argument("agent", metavar="AGENT", help="name or id")
        give.add_argument("server", metavar="SERVER", help="name or id")
        give.add_argument("--minutes", type=int, metavar="N", help="for so long; default: until it is taken back")
        give.add_argument("--reason", default="", metavar="TEXT")
        add_person(give)
        take = verbs.add_parser("take", help="take a server from an agent")
        take.add_argument("agent", metavar="AGENT", help="name or id")
        take.add_argument("server", metavar="SERVER", help="name or id")
        add_person(take)

    def do_give(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        agent, server = agent_named(user, options["agent"]), server_named(user, options["server"], "server.view")
        access.give(user, agent.pk, server.pk, minutes=options["minutes"], reason=options["reason"])
        self.say(f"{agent.name} may use {server.name}.")

    def do_take(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        agent, server = agent_named(user, options["agent"]), server_named(user, options["server"], "server.view")
        row = access.living(McpAccess.objects.filter(agent=agent, server=server)).first()
        if row is None:
            raise NotFound("Access")
        access.revoke(user, row.pk)
        self.say(f"{agent.name} may not use {server.name} any more.")
