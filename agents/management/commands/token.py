"""Make, list, rotate and revoke API tokens from a shell."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from agents import scopes, tokens
from agents.api.tokens import TokenOut
from agents.command_line import LogosCommand, person
from agents.errors import LogosError
from agents.models import ApiToken


class Command(LogosCommand):
    """``token create|list|rotate|revoke``."""

    help = "Make, list, rotate and revoke API tokens of people and service accounts."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="create|list|rotate|revoke")
        create = verbs.add_parser("create", help="make a token; prints its secret, this once")
        create.add_argument("user", metavar="USER")
        create.add_argument("name", metavar="NAME", help="what it is for")
        create.add_argument("--days", type=int, metavar="N", help="valid for N days; default: 90")
        create.add_argument(
            "--scope",
            action="append",
            choices=list(scopes.SCOPES),
            help="what it may be used for, repeatable; default: whatever its person may",
        )
        create.add_argument("--json", action="store_true", help="print the token with its secret")
        listing = verbs.add_parser("list", help="list tokens that are not revoked")
        listing.add_argument("user", metavar="USER", nargs="?", default="")
        listing.add_argument("--json", action="store_true")
        rotate = verbs.add_parser("rotate", help="make a new secret; the old one works a while longer")
        rotate.add_argument("id", metavar="ID", type=int)
        rotate.add_argument(
            "--hours", type=int, default=tokens.OVERLAP_HOURS, metavar="N", help="how long; default: 24"
        )
        rotate.add_argument("--json", action="store_true", help="print the token with its secret")
        revoke = verbs.add_parser("revoke", help="stop a token at once")
        revoke.add_argument("id", metavar="ID", type=int)

    def do_create(self, options: dict[str, Any]) -> None:
        self._show(options, *tokens.make(person(options["user"]), options["name"], options["days"], options["scope"]))

    def do_rotate(self, options: dict[str, Any]) -> None:
        old = ApiToken.objects.filter(pk=options["id"]).select_related("user").first()
        if old is None:
            raise LogosError(f"There is no token {options['id']}.", reason="not_found")
        self._show(options, *tokens.rotate(old.user, old.pk, options["hours"]))

    def _show(self, options: dict[str, Any], token: ApiToken, secret: str) -> None:
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
            ("ID", "USER", "NAME", "MAY", "BEGINS", "LAST USED", "EXPIRES"),
            ((t.pk, t.user, t.name, t.scopes, t.hint, _day(t.last_used_at), _day(t.expires_at)) for t in live),
        )

    def do_revoke(self, options: dict[str, Any]) -> None:
        if not tokens.revoke_all(ApiToken.objects.filter(pk=options["id"])):
            raise LogosError(f"There is no token {options['id']} that is not revoked.", reason="not_found")
        self.say("Revoked.")


def _day(moment: Any) -> str:
    return moment.strftime("%Y-%m-%d %H:%M") if moment else "never"
