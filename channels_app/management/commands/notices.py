"""See and try how people are told that something waits, from a shell."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from agents.command_line import LogosCommand, actor, add_person, reader
from agents.errors import Conflict
from channels_app import confirming, devices, mailing, notices
from channels_app.api import NotificationsOut


class Command(LogosCommand):
    """``notices show|set|try|confirm``."""

    help = "See, set and try how somebody is told that something waits for them."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="show|set|try|confirm")
        show = verbs.add_parser("show", help="what somebody wants to be told by, and the browsers")
        show.add_argument("--json", action="store_true")
        change = verbs.add_parser("set", help="change it")
        change.add_argument("--push", choices=("on", "off"))
        change.add_argument("--mail", choices=("on", "off"))
        trial = verbs.add_parser("try", help="send a push to each browser, and a mail if there is a mail server")
        confirm = verbs.add_parser("confirm", help="send a code to the e-mail address, or take the one that came")
        confirm.add_argument("code", nargs="?", default="", metavar="CODE")
        for verb in (show, change, trial, confirm):
            add_person(verb)

    def do_show(self, options: dict[str, Any]) -> None:
        user = reader(options["user"])
        wants, found = notices.wants(user), list(devices.of(user))
        if options["json"]:
            shown = {"by_push": wants.by_push, "by_mail": wants.by_mail, "sends_mail": mailing.is_set_up()}
            shown["is_confirmed"] = confirming.is_confirmed(user)
            self.print_json(NotificationsOut.model_validate({**shown, "devices": found}).model_dump(mode="json"))
            return
        self.say(f"Push: {_word(wants.by_push)}. E-mail: {_word(wants.by_mail)}.")
        self.print_table(
            ("BROWSER", "SINCE", "LAST TOLD"),
            ((each.name, f"{each.created_at:%Y-%m-%d}", _day(each.reached_at)) for each in found),
        )

    def do_set(self, options: dict[str, Any]) -> None:
        wished = {name: None if options[name] is None else options[name] == "on" for name in ("push", "mail")}
        wants = notices.change(actor(options["user"]), by_push=wished["push"], by_mail=wished["mail"])
        self.say(f"Push: {_word(wants.by_push)}. E-mail: {_word(wants.by_mail)}.")

    def do_try(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        pushed, mailed = notices.try_out(user, by_mail=True)
        if not pushed and not mailed:
            raise Conflict(
                "Nothing was sent.", action="Switch on a browser, or set LOGOS_MAIL_URL and confirm an address."
            )
        self.say(f"Push services that took it: {pushed}. {'A mail was sent.' if mailed else 'No mail was sent.'}")

    def do_confirm(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        if options["code"]:
            confirming.confirm(user, options["code"])
            self.say("The address is confirmed.")
        else:
            confirming.send_code(user)
            self.say("A code is on its way.")


def _word(wished: bool) -> str:
    return "on" if wished else "off"


def _day(at: Any) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else ""
