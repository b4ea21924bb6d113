"""Help somebody who cannot sign in: take a lost second factor away, end their sessions."""

from __future__ import annotations

import logging
from typing import Any

from django.core.management.base import CommandParser

from agents import people, second_factor
from agents.command_line import LogosCommand, person

logger = logging.getLogger(__name__)


class Command(LogosCommand):
    """``account reset-second-factor|end-sessions``."""

    help = "Help somebody who cannot sign in."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="reset-second-factor|end-sessions")
        reset = verbs.add_parser(
            "reset-second-factor", help="remove authenticator app, passkeys and recovery codes; ends every session"
        )
        ending = verbs.add_parser("end-sessions", help="sign somebody out of every browser")
        for verb in (reset, ending):
            verb.add_argument("user", metavar="USER")

    def handle(self, *args: Any, **options: Any) -> None:
        user = person(options["user"])
        if options["verb"] == "reset-second-factor":
            count = second_factor.reset(user)
            logger.warning("The second factor of %s was reset from a shell.", user.username)
            self.say(f"Removed: {count}. {user.username} signs in with the password alone now.")
        self.say(f"Sessions ended: {people.end_sessions(user)}.")
