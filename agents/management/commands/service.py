"""Make, list, suspend and hand over service accounts from a shell."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from agents import service_accounts
from agents.api.service_accounts import ServiceAccountOut
from agents.command_line import LogosCommand, actor, add_person, reader
from agents.errors import LogosError
from agents.models import Role, User


class Command(LogosCommand):
    """``service create|list|suspend|restore|give``."""

    help = "Make, list, suspend and hand over service accounts; `token create NAME` gives one a token."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="create|list|suspend|restore|give")
        create = verbs.add_parser("create", help="make one, kept by who makes it or by the team")
        create.add_argument("name", metavar="NAME")
        create.add_argument("--role", choices=Role.values, default=Role.VIEWER, help="at most that of who makes it")
        create.add_argument("--team", action="store_true", help="kept by the team: every admin")
        listing = verbs.add_parser("list", help="list those one looks after")
        listing.add_argument("--json", action="store_true")
        suspend = verbs.add_parser("suspend", help="stop its tokens at once")
        restore = verbs.add_parser("restore", help="let its tokens work again")
        give = verbs.add_parser("give", help="give it to another keeper")
        for verb in (suspend, restore, give):
            verb.add_argument("name", metavar="NAME")
        give.add_argument(
            "--keep-tokens", action="store_true", help="do not revoke its tokens; the former keeper may have copies"
        )
        give.add_argument("to", metavar="TO", nargs="?", default="", help="a user name; without one, the team")
        for verb in (create, listing, suspend, restore, give):
            add_person(verb)

    def do_create(self, options: dict[str, Any]) -> None:
        made = service_accounts.make(actor(options["user"]), options["name"], options["role"], for_team=options["team"])
        self.say(f"{made.username} is made. Give it a token: ./logos token create {made.username} NAME")

    def do_list(self, options: dict[str, Any]) -> None:
        rows = [ServiceAccountOut.from_orm(row) for row in service_accounts.of(reader(options["user"]))]
        if options["json"]:
            self.print_json([row.model_dump(mode="json") for row in rows])
            return
        self.print_table(
            ("NAME", "ROLE", "KEPT BY", "TOKENS"),
            ((row.name, row.role, row.keeper or "the team", "work" if row.works else "stopped") for row in rows),
        )

    def do_suspend(self, options: dict[str, Any]) -> None:
        self._suspend(options, suspended=True)

    def do_restore(self, options: dict[str, Any]) -> None:
        self._suspend(options, suspended=False)

    def _suspend(self, options: dict[str, Any], *, suspended: bool) -> None:
        user = actor(options["user"])
        service_accounts.suspend(user, _find(user, options["name"]).pk, suspended=suspended)
        self.say("Suspended." if suspended else "It works again.")

    def do_give(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        keeps = options["keep_tokens"]
        service_accounts.give(user, _find(user, options["name"]).pk, options["to"], revoke=not keeps)
        which = "Its tokens go on working, whoever has them." if keeps else "Its tokens are revoked."
        self.say(f"Kept by {options['to'] or 'the team'} now. {which}")


def _find(user: User, name: str) -> User:
    found = service_accounts.of(user).filter(username=name).first()
    if found is None:
        raise LogosError(f"There is no service account called {name}.", reason="not_found")
    return found
