"""What was spent, and what it would have cost with another model."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from agents import permissions
from agents.command_line import LogosCommand, add_person, reader
from agents.models import ModelRoute
from runs.api.costs import CostsOut
from runs.budgets import costs
from runs.budgets.words import dollars


class Command(LogosCommand):
    """``costs``."""

    help = "See what was spent, by agent, person, model or day; and what the same calls would have cost elsewhere."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--by", choices=tuple(costs.BY), default="agent", help="what to tell it by (default agent)")
        parser.add_argument("--days", type=int, default=30, metavar="N", help="over the last N days (default 30)")
        parser.add_argument(
            "--on", default="", metavar="MODEL", help="compare with this model: its name or the route's id"
        )
        parser.add_argument("--json", action="store_true", help="print it as the API shows it")
        add_person(parser, "look as this person")

    def handle(self, *args: Any, **options: Any) -> None:
        user, on = reader(options["user"]), None
        if options["on"]:
            rows = ModelRoute.objects.select_related("provider")
            named = permissions.visible(user, rows).filter(model=options["on"]).order_by("pk").first()
            on = named or permissions.fetch(user, "route.view", rows, pk=options["on"])
        found = costs.costs(user, options["by"], options["days"], on)
        if options["json"]:
            self.print_json(CostsOut.from_orm(found).model_dump(mode="json"))
            return
        head = (options["by"].upper(), "CALLS", "TOKENS IN", "TOKENS OUT", "COST", *(["INSTEAD"] if on else []))
        self.print_table(head, (_cells(line) for line in [*found.lines, found.total]))


def _cells(line: costs.Line) -> tuple[str, ...]:
    least = "at least " if line.is_at_least else ""
    cells = (line.name, f"{line.calls:,}", f"{line.input_tokens:,}", f"{line.output_tokens:,}")
    instead = () if line.instead is None else (dollars(line.instead),)
    return (*cells, f"{least}{dollars(line.amount)}", *instead)
