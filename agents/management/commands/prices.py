"""Prices of models from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from agents import price_lists
from agents.command_line import LogosCommand, actor, add_person
from agents.errors import Invalid


class Command(LogosCommand):
    """``prices import``."""

    help = "Read the prices of models from a file."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="import")
        load = verbs.add_parser("import", help="show what a file of prices would change; --apply changes it")
        load.add_argument("file", metavar="FILE", help="JSON (LiteLLM's too), CSV or YAML")
        load.add_argument("--apply", action="store_true", help="change the prices; each route keeps its history")
        add_person(load)

    def do_import(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        try:
            data = Path(options["file"]).read_bytes()
        except OSError as error:
            raise Invalid(f"{options['file']} cannot be read: {error.strerror}.", field="file") from error
        prices = price_lists.read(data)
        found = price_lists.changes(user, prices)
        news = [each for each in found if each.is_news]
        if options["apply"]:
            price_lists.apply(user, prices)
        self.print_table(
            ("MODEL", "PROVIDER", "INPUT", "OUTPUT", "WAS"),
            (
                (
                    each.route.model,
                    each.route.provider.name,
                    f"{each.price.input.normalize():f}",
                    f"{each.price.output.normalize():f}",
                    _was(each.route.price_input, each.route.price_output),
                )
                for each in news
            ),
        )
        done = "changed" if options["apply"] else "would change; --apply changes them"
        self.say(f"{len(prices):,} prices read, {len(found)} models of yours among them, {len(news)} {done}.")


def _was(price_input: Any, price_output: Any) -> str:
    known = ["unknown" if each is None else f"{each.normalize():f}" for each in (price_input, price_output)]
    return " / ".join(known)
