"""Look through the catalogue of known MCP servers from a shell, and add one of it."""

from __future__ import annotations

from typing import Any

from agents.command_line import LogosCommand, actor, add_person
from agents.models import Visibility
from mcp_gateway import catalogue, servers


class CatalogueVerbs(LogosCommand):
    """``mcp catalogue``."""

    def add_arguments_of_catalogue(self, verbs: Any) -> None:
        known = verbs.add_parser("catalogue", help="list known servers, or add one of them; prints its id")
        known.add_argument("--add", default="", metavar="NAME", help="add this one, as it stands in the catalogue")
        known.add_argument(
            "--as", default="", dest="called", metavar="NAME", help="call it so; default: as it is called"
        )
        known.add_argument("--shared", action="store_true", help="everyone who may sign in may see it")
        known.add_argument("--disabled", action="store_true", help="do not start it yet: there is something to adapt")
        add_person(known)

    def do_catalogue(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        if not options["add"]:
            self.print_table(
                ("NAME", "WHERE", "IS", "SECRETS", "WHAT IT DOES"),
                (
                    (
                        known.name,
                        "a program" if known.is_program else "elsewhere",
                        "there" if here else "" if may_add else "for admins",
                        ", ".join(each.name for each in known.secrets),
                        known.does,
                    )
                    for known, here, may_add in catalogue.offered(user)
                ),
            )
            return
        known = catalogue.get(options["add"])
        fields = {**known.fields, "name": options["called"] or known.name, "enabled": not options["disabled"]}
        visibility = Visibility.SHARED if options["shared"] else Visibility.PRIVATE
        made = servers.create(user, **fields, visibility=visibility)
        for sentence in filter(None, (known.adapt, known.needs and f"It needs {known.needs}", *servers.warnings(made))):
            self.say(sentence)
        self.stdout.write(made.pk)
