"""Prices of models from files: look, apply, undo, from a shell."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from agents import pricing
from agents.api.prices import PriceListOut
from agents.command_line import LogosCommand, actor, add_person, reader
from agents.errors import Invalid


class Command(LogosCommand):
    """``prices import|list|undo``."""

    help = "Read the prices of models from a file, see which files were read, undo one."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="import|list|undo")
        load = verbs.add_parser("import", help="show what a file of prices would change; --apply changes it")
        load.add_argument("file", metavar="FILE", help="JSON (LiteLLM's too), CSV or YAML")
        load.add_argument("--apply", action="store_true", help="change the prices; each route keeps its history")
        add_person(load)
        listing = verbs.add_parser("list", help="list the files that were read")
        listing.add_argument("--json", action="store_true", help="print them as the API shows them")
        add_person(listing)
        back = verbs.add_parser("undo", help="give the models back what stood before a list was applied")
        back.add_argument("list", metavar="ID")
        add_person(back)

    def do_import(self, options: dict[str, Any]) -> None:
        user, path = actor(options["user"]), Path(options["file"])
        try:
            data = path.read_bytes()
        except OSError as error:
            raise Invalid(f"{options['file']} cannot be read: {error.strerror}.", field="file") from error
        row = pricing.propose(user, path.name, data)
        news = pricing.news(user, row)
        if options["apply"]:
            pricing.apply(user, row.pk, pricing.digest_of(news))
        self.print_table(
            ("MODEL", "PROVIDER", "INPUT", "OUTPUT", "CACHED", "WAS"),
            (
                (each.route.model, each.route.provider.name, *map(_shown, each.after), _was(each.before))
                for each in news
            ),
        )
        done = "changed" if options["apply"] else "would change; --apply changes them"
        self.say(f"{row.count:,} prices read, {len(news)} models {done}. The list is {row.pk}.")

    def do_list(self, options: dict[str, Any]) -> None:
        rows = pricing.seen_by(reader(options["user"])).order_by("-pk")[:100]
        if options["json"]:
            self.print_json([PriceListOut.from_orm(row).model_dump(mode="json") for row in rows])
            return
        self.print_table(
            ("ID", "FILE", "PRICES", "CHANGED", "STATE", "READ", "BY"),
            (
                (r.pk, r.source, r.count, len(r.changed), r.state, f"{r.created_at:%Y-%m-%d %H:%M}", r.made_by or "")
                for r in rows
            ),
        )

    def do_undo(self, options: dict[str, Any]) -> None:
        self.say(f"Models with their former prices: {pricing.undo(actor(options['user']), options['list'])}.")


def _shown(price: Decimal | None) -> str:
    return "unknown" if price is None else f"{price.normalize():f}"


def _was(prices: tuple[Decimal | None, ...]) -> str:
    return " / ".join(map(_shown, prices[:2]))
