"""Make, list and revoke personal API tokens from a shell."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from agents import tokens
from agents.api.tokens import TokenOut
from agents.command_line import LogosCommand, person
from agents.errors import LogosError
from agents.models import ApiToken


class Command(LogosCommand):
    """``token create|list|revoke``."""

    help = "Make, list and revoke personal API tokens."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="create|list|revoke")
        create = verbs.add_parser("create", help="make a token; prints its secret, this once")
        create.add_argument("user", metavar="USER")
        create.add_argument("name", metavar="NAME", help="what it is for")
        create.add_argument("--days", type=int, metavar="N", help="valid for N days; default: until it is revoked")
        create.add_argument("--json", action="store_true", help="print the token with its secret")
        listing = verbs.add_parser("list", help="list tokens that are not revoked")
        listing.add_argument("user", metavar="USER", nargs="?", default="")
        listing.add_argument("--json", action="store_true")
        revoke = verbs.add_parser("revoke", help="stop a token at once")
        revoke.add_argument("id", metavar="ID", type=int)

    def do_create(self, options: dict[str, Any]) -> None:
        token, secret = tokens.make(person(options["user"]), options["name"], options["days"])
        if options["json"]:
            self.print_json({**TokenOut.from_orm(token).model_dump(mode="json"), "secret": secret})
            return
        self.say("Keep this; it is shown only now.")
        self.stdout.write(secret)

    def do_list(self, options: dict[str, Any]) -> None:
        live = ApiToken.objects.filter(revoked_at=None).select_related("user")
        if options["user"]:
            live = live.filter(user=person(options["user"]))
        if options["json"]:
            self.print_json(
                [{**TokenOut.from_orm(it).model_dump(mode="json"), "user": it.user.username} for it in live]
            )
            return
        self.print_table(
            ("ID", "USER", "NAME", "BEGINS", "LAST USED", "EXPIRES"),
            ((t.pk, t.user, t.name, t.hint, _day(t.last_used_at), _day(t.expires_at)) for t in live),
        )

    def do_revoke(self, options: dict[str, Any]) -> None:
        if not tokens.revoke_all(ApiToken.objects.filter(pk=options["id"])):
            raise LogosError(f"There is no token {options['id']} that is not revoked.", reason="not_found")
        self.say("Revoked.")


def _day(moment: Any) -> str:
    return moment.strftime("%Y-%m-%d %H:%M") if moment else "never"
