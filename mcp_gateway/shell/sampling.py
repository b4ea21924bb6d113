"""Models lent to servers, from a shell: the options of ``mcp add`` and ``mcp edit``, and the list of what was asked."""

from __future__ import annotations

from argparse import BooleanOptionalAction
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandParser

from agents.command_line import LogosCommand, add_person, plain, reader
from agents.models import User
from mcp_gateway.sampling import reading
from mcp_gateway.shell.naming import server_named

HEADING = ("AT", "AGENT", "TOOL", "OUTCOME", "MODEL", "TOKENS", "COST", "REASON")
SHOWN = 50


class SamplingVerbs(LogosCommand):
    """``mcp samplings``."""

    def add_arguments_of_sampling(self, verbs: Any) -> None:
        listed = verbs.add_parser("samplings", help="list the newest questions of a server to models")
        listed.add_argument("server", metavar="SERVER", help="name or id")
        add_person(listed)

    def do_samplings(self, options: dict[str, Any]) -> None:
        user = reader(options["user"])
        self.print_table(HEADING, lines(user, server_named(user, options["server"], "server.edit").pk))


def add_sampling(parser: CommandParser) -> None:
    """What ``add`` and ``edit`` take."""
    parser.add_argument("--sampling", action=BooleanOptionalAction, help="it may ask a model, at its callers' expense")
    parser.add_argument("--sampling-route", metavar="MODEL", help="which model it asks: name or id of a route you see")
    parser.add_argument(
        "--sampling-models", nargs="*", metavar="MODEL", help="others that its hints may choose: names or ids you see"
    )
    parser.add_argument("--sampling-tokens", type=int, metavar="N", help="of an answer at most")
    parser.add_argument(
        "--sampling-timeout", type=int, metavar="SECONDS", dest="sampling_timeout_s", help="for an answer"
    )
    parser.add_argument("--sampling-rpm", type=int, metavar="N", help="questions within a minute at most")
    parser.add_argument("--sampling-rounds", type=int, metavar="N", help="of one call at most")
    parser.add_argument("--sampling-tool-rounds", type=int, metavar="N", help="with tools it gives; 0: no tools")


def lines(user: User, server_id: str) -> Iterator[tuple[str, ...]]:
    """The newest questions."""
    for row in reading.named(user, reading.of(user, server_id)[:SHOWN]):
        tokens = "" if row.input_tokens is None else f"{row.input_tokens} → {row.output_tokens or 0}"
        cost = "" if row.cost is None else f"${row.cost:.4f}"
        whose = plain(row.agent.name) if row.agent is not None else ""
        yield (
            *(f"{row.at:%F %T}", whose, plain(row.tool), row.outcome, plain(row.model)),
            *(tokens, cost, plain(row.reason or (f"would have liked {row.missed}" if row.missed else ""))),
        )
