"""Read the audit from a shell."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from agents import permissions
from agents.api.audit import EntryOut, entry_out, wanted_from
from agents.command_line import LogosCommand, add_person, plain, reader
from agents.errors import Invalid
from agents.past import telling, timeline

MOST = 1000


class Command(LogosCommand):
    """``audit``."""

    help = "List what was changed and what happened, the newest first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--person", default="", metavar="NAME", help="whoever did it, or to whom it happened")
        parser.add_argument("--action", default="", metavar="ACTION", help="made, changed, deleted or a kind of event")
        parser.add_argument("--kind", default="", metavar="KIND", help="agent, soul, route, policy, provider, person …")
        parser.add_argument("--object", default="", metavar="ID", help="the id of one object")
        parser.add_argument("--text", default="", metavar="WORDS", help="words in a name, a field or a reason")
        parser.add_argument("--since", default="", metavar="TIME", help="a day or a moment, such as 2026-11-20T09:00")
        parser.add_argument("--until", default="", metavar="TIME", help="before this day or moment")
        parser.add_argument("--limit", type=int, default=50, metavar="N", help=f"at most {MOST}; default: 50")
        add_person(parser, "list what this person sees")
        parser.add_argument("--json", action="store_true", help="print the entries as the API shows them")

    def handle(self, *args: Any, **options: Any) -> None:
        user = reader(options["user"])
        permissions.require(user, "audit.view")
        if not 1 <= options["limit"] <= MOST:
            raise Invalid(f"Between 1 and {MOST} entries can be listed at once.", field="limit")
        since, until = (moment(options[name], name) for name in ("since", "until"))
        person, action, kind = (options[name] for name in ("person", "action", "kind"))
        wanted = wanted_from(person, action, kind, options["object"], options["text"], since, until)
        entries, more = timeline.page(user, wanted, None, options["limit"])
        if options["json"]:
            self.print_json([EntryOut(**entry_out(user, entry)).model_dump(mode="json") for entry in entries])
            return
        self.print_table(
            ("WHEN", "DOOR", "WHAT"),
            (
                (f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.via, plain(telling.sentence(telling.told(user, entry))))
                for entry in entries
            ),
        )
        if more:
            self.say("There is more; narrow it, or raise --limit.")


def moment(text: str, name: str) -> datetime | None:
    """A day or a moment as somebody typed it; Invalid for anything else."""
    if not text:
        return None
    try:
        day = parse_date(text)
        found = parse_datetime(text) or (datetime(day.year, day.month, day.day) if day else None)
    except ValueError:
        found = None
    if found is None:
        raise Invalid(f"--{name} takes a day or a moment, such as 2026-11-20 or 2026-11-20T09:00.", field=name)
    return found if timezone.is_aware(found) else timezone.make_aware(found)
