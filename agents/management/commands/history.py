"""Read the history of one row from a shell, and put a version back."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from agents.api.audit import DifferenceOut, VersionOut, difference
from agents.command_line import LogosCommand, actor, add_person, plain, reader
from agents.past import reverting, versions
from agents.past.kinds import find


class Command(LogosCommand):
    """``history KIND ID``."""

    help = "List the versions of a row, show what one changed, or put one back."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kind", metavar="KIND", help="agent, soul, route, policy, provider, person or group")
        parser.add_argument("id", metavar="ID")
        parser.add_argument("--show", type=int, metavar="N", help="show what version N changed")
        parser.add_argument("--compare", type=int, metavar="M", help="with --show: compare with version M; 0 tells all")
        parser.add_argument("--revert", type=int, metavar="N", help="put version N back, as a new version")
        parser.add_argument("--reason", default="", metavar="TEXT", help="with --revert: why")
        add_person(parser)
        parser.add_argument("--json", action="store_true", help="print the versions as the API shows them")

    def handle(self, *args: Any, **options: Any) -> None:
        kind, row_id = options["kind"], options["id"]
        if options["revert"] is not None:
            user = actor(options["user"])
            past = reverting.revert(user, kind, row_id, options["revert"], reason=options["reason"])
            self.say(f"Version {options['revert']} is put back; it is version {past.records.count()} now.")
            return
        user = reader(options["user"])
        past = find(user, kind, row_id)
        if options["show"] is not None:
            self._show(difference(user, past, options["show"], options["compare"]), options["json"])
            return
        found, _ = versions.listed(past, size=100_000)
        if options["json"]:
            self.print_json([VersionOut.from_orm(each).model_dump(mode="json") for each in found])
            return
        self.print_table(
            ("VERSION", "WHEN", "BY", "DOOR", "WHAT", "WHY"),
            (
                (
                    each.number,
                    f"{each.at:%Y-%m-%d %H:%M:%S}",
                    each.by or "Logos",
                    each.via,
                    ", ".join(each.changed) if each.type == "~" else each.what,
                    plain(each.reason),
                )
                for each in found
            ),
        )

    def _show(self, told: dict[str, Any], as_json: bool) -> None:
        if as_json:
            self.print_json(DifferenceOut.from_orm(told).model_dump(mode="json"))
            return
        for each in told["changes"]:
            self.stdout.write(f"{each.label}:")
            if each.form == "set":
                lines = [*(f"  - {item}" for item in each.removed), *(f"  + {item}" for item in each.added)]
            elif each.form == "text":
                lines = [f"  {_MARKS[piece.kind]} {piece.text!r}" for piece in each.pieces if piece.kind != "same"]
            else:
                lines = [f"  {each.before or 'empty'} -> {each.after or 'empty'}"]
            for line in lines:
                self.stdout.write(plain(line))


_MARKS = {"added": "+", "removed": "-"}
