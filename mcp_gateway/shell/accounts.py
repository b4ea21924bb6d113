"""List and forget accounts at servers elsewhere, from a shell."""

from __future__ import annotations

from typing import Any

from agents.command_line import LogosCommand, actor, add_person, plain
from mcp_gateway.oauth import accounts
from mcp_gateway.shell.naming import server_named


class AccountVerbs(LogosCommand):
    """``mcp accounts|disconnect``."""

    def add_arguments_of_accounts(self, verbs: Any) -> None:
        accounts_ = verbs.add_parser("accounts", help="list accounts at servers elsewhere: everybody's and yours")
        add_person(accounts_, "list those of this person")
        gone = verbs.add_parser("disconnect", help="forget an account at a server elsewhere: everybody's or yours")
        gone.add_argument("server", metavar="SERVER", help="name or id")
        add_person(gone)

    def do_accounts(self, options: dict[str, Any]) -> None:
        found = accounts.places(actor(options["user"]))
        self.print_table(
            ("SERVER", "WHOSE", "STATE", "ENDS", "SIGN-IN", "SCOPES"),
            (
                (
                    each.server.name,
                    each.server.account,
                    "connected" if each.is_connected else "lost" if each.account else "not connected",
                    f"{each.account.expires_at:%F %T}" if each.account and each.account.expires_at else "",
                    plain(each.account.client.issuer) if each.account else "",
                    plain(each.account.scopes) if each.account else "",
                )
                for each in found
            ),
        )

    def do_disconnect(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        server = server_named(user, options["server"], "server.view")
        heard = accounts.disconnect(user, server.pk)
        self.say(f"The account at {server.name} is forgotten{'' if heard else '; its sign-in could not be told'}.")
