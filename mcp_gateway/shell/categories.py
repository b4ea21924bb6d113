"""Say from a shell what holds for categories of servers."""

from __future__ import annotations

from typing import Any

from agents.command_line import LogosCommand, actor, add_person, plain, reader
from mcp_gateway import categories
from mcp_gateway.models import AccessTier
from sandboxes.tool_server.tiers import Tier


class CategoryVerbs(LogosCommand):
    """``mcp categories|category``."""

    def add_arguments_of_categories(self, verbs: Any) -> None:
        kinds = verbs.add_parser("categories", help="list what holds for each category of servers")
        add_person(kinds)
        kind = verbs.add_parser("category", help="say what holds for every server of a category")
        kind.add_argument("name", metavar="NAME")
        kind.add_argument("--access", choices=AccessTier.values[1:], default="user", help="who may let agents use them")
        kind.add_argument("--calls", choices=Tier.values, default="allow", help="what becomes of calls without a rule")
        kind.add_argument("--remove", action="store_true", help="user and allow hold again")
        add_person(kind)

    def do_categories(self, options: dict[str, Any]) -> None:
        reader(options["user"])
        rows = categories.rows()
        self.print_table(("CATEGORY", "ACCESS", "CALLS"), ((plain(row.name), row.access, row.calls) for row in rows))

    def do_category(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        if options["remove"]:
            categories.remove(user, options["name"])
            self.say(f"{options['name']} is as any other.")
            return
        row = categories.put(user, options["name"], options["access"], options["calls"])
        self.say(f"{row.name}: access by {row.access}, calls: {row.calls}.")
