"""Where servers connected to, from a shell."""

from __future__ import annotations

from typing import Any

from agents.command_line import LogosCommand, add_person, plain, reader
from agents.errors import Invalid
from mcp_gateway.connections import reading
from mcp_gateway.models import McpServer
from mcp_gateway.shell.naming import server_named

MOST = 10_000


class ConnectionVerbs(LogosCommand):
    """``mcp connections|hosts``."""

    def add_arguments_of_connections(self, verbs: Any) -> None:
        listed = verbs.add_parser("connections", help="list where a server connected to, refused ones too")
        listed.add_argument("--denied", action="store_true", help="only what was refused")
        listed.add_argument("-n", type=int, default=50, dest="limit", metavar="N", help="how many (default 50)")
        hosts = verbs.add_parser(
            "hosts", help="list which hosts a server may reach, who allowed them, and what was used"
        )
        for each in (listed, hosts):
            each.add_argument("server", metavar="SERVER", help="name or id")
            add_person(each)

    def do_connections(self, options: dict[str, Any]) -> None:
        if not 1 <= options["limit"] <= MOST:
            raise Invalid(f"List between 1 and {MOST:,} connections.", field="n")
        user = reader(options["user"])
        server = server_named(user, options["server"], "server.edit")
        rows = reading.of(user, server.pk)
        if options["denied"]:
            rows = rows.filter(allowed=False)
        self.print_table(
            ("AT", "DECISION", "HOST", "PROGRAM", "COPY OF", "BYTES", "REASON"),
            (
                (
                    *(f"{row.at:%F %T}", "let through" if row.allowed else "refused", f"{plain(row.host)}:{row.port}"),
                    *(plain(row.binary) or "-", plain(row.agent.name) if row.agent is not None else "-"),
                    *(f"{row.sent} → {row.received}", plain(row.reason)),
                )
                for row in reading.named(user, rows[: options["limit"]])
            ),
        )
        self._say_unseen(server)

    def do_hosts(self, options: dict[str, Any]) -> None:
        server = server_named(reader(options["user"]), options["server"], "server.edit")
        self.print_table(
            ("HOST", "ALLOWED", "BY", "SINCE", "CONNECTIONS", "LAST"),
            (
                (
                    *(each.host, "yes" if each.is_allowed else "not any more", plain(each.allowed_by or "-")),
                    *(f"{each.allowed_at:%F %T}" if each.allowed_at else "-", each.count),
                    f"{each.last_at:%F %T}" if each.last_at else "-",
                )
                for each in reading.hosts(server)
            ),
        )
        self._say_unseen(server)

    def _say_unseen(self, server: McpServer) -> None:
        """An empty table would read as if it had connected nowhere."""
        if why := reading.unseen(server):
            self.say(why)
