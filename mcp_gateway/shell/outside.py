"""Give clients outside a token of an agent and their configuration, from a shell."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from agents.command_line import LogosCommand, actor, add_person, plain
from mcp_gateway import access, clients, where
from mcp_gateway.bridging.wire import endpoint
from mcp_gateway.shell.naming import agent_named


class OutsideVerbs(LogosCommand):
    """``mcp token|tokens|revoke|clients``."""

    def add_arguments_of_outside(self, verbs: Any) -> None:
        token = verbs.add_parser("token", help="make a token by which a client outside speaks as an agent; prints it")
        token.add_argument("agent", metavar="AGENT", help="name or id")
        token.add_argument("name", metavar="NAME", help="what it is for")
        token.add_argument("--days", type=int, metavar="N", help="how long it works; default 90")
        add_person(token)
        tokens = verbs.add_parser("tokens", help="list an agent's tokens")
        tokens.add_argument("agent", metavar="AGENT", help="name or id")
        add_person(tokens)
        revoke = verbs.add_parser("revoke", help="revoke a token of an agent")
        revoke.add_argument("agent", metavar="AGENT", help="name or id")
        revoke.add_argument("token", type=int, metavar="ID", help="its number in `mcp tokens`")
        add_person(revoke)
        known = verbs.add_parser("clients", help="print what MCP clients need to work as an agent")
        known.add_argument("agent", metavar="AGENT", help="name or id")
        known.add_argument(
            "client", metavar="CLIENT", nargs="?", default="", choices=["", *(each.name for each in clients.CLIENTS)],
            help=f"only this one, without its heading: {', '.join(each.name for each in clients.CLIENTS)}",
        )  # fmt: skip
        known.add_argument(
            "--url",
            default="",
            metavar="URL",
            help="where Logos answers; default: as its pages say it, from this machine",
        )
        add_person(known)

    def do_token(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        _, secret = access.make_token(user, agent_named(user, options["agent"]).pk, options["name"], options["days"])
        self.stdout.write(secret)

    def do_tokens(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        self.print_table(
            ("ID", "NAME", "BEGINS", "MADE BY", "EXPIRES", "LAST USED"),
            (
                (t.pk, plain(t.name), t.hint, t.made_by, _when(t.expires_at), _when(t.last_used_at))
                for t in access.tokens_of(agent_named(user, options["agent"]))
            ),
        )

    def do_revoke(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        access.revoke_token(user, agent_named(user, options["agent"]).pk, options["token"])
        self.say("The token is revoked.")

    def do_clients(self, options: dict[str, Any]) -> None:
        agent = agent_named(actor(options["user"]), options["agent"])
        url = options["url"].rstrip("/") or where.address_here()
        for each in clients.configurations(endpoint(url)[1], agent.name):
            if options["client"] in ("", each.client):
                if not options["client"]:
                    self.stdout.write(f"# {each.label}: {each.place}\n{f'# {each.note}' if each.note else '#'}")
                self.stdout.write(each.text + ("" if options["client"] else "\n"))


def _when(at: datetime | None) -> str:
    return f"{at:%F %R}" if at else "never"
