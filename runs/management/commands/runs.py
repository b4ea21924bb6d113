"""List, show and stop runs from a shell."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from agents import permissions
from agents.command_line import LogosCommand, actor, add_person, reader
from agents.errors import Invalid
from agents.models import User
from runs import dispatch, events, permitted, withheld
from runs.api.permitted import PermittedOut
from runs.api.runs import rows
from runs.api.shapes import EventOut, RunOut, RunWithStamp
from runs.models import Run, Status
from runs.printing import duration, printed
from runs.words import STATES


class Command(LogosCommand):
    """``runs list|show|permissions|cancel``."""

    help = "List, show and stop runs."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|show|permissions|cancel")
        listing = verbs.add_parser("list", help="the newest runs")
        add_person(listing, "list what this person sees")
        listing.add_argument("--agent", default="", metavar="NAME", help="only runs of this agent (name or id)")
        listing.add_argument("--status", default="", choices=Status.values, metavar="STATUS")
        listing.add_argument("-n", type=int, default=20, dest="limit", metavar="N", help="how many (default 20)")
        listing.add_argument("--json", action="store_true")
        show = verbs.add_parser("show", help="one run with its steps")
        show.add_argument("run", metavar="RUN")
        add_person(show, "look as this person")
        show.add_argument("--json", action="store_true", help="print the run with its STAMP and all events")
        permitted_of = verbs.add_parser("permissions", help="what a run might reach, frozen, and the walls around it")
        permitted_of.add_argument("run", metavar="RUN")
        add_person(permitted_of, "look as this person")
        permitted_of.add_argument("--json", action="store_true", help="print it as the API shows it")
        cancel = verbs.add_parser("cancel", help="ask a run to stop")
        cancel.add_argument("run", metavar="RUN")
        add_person(cancel)
        cancel.add_argument("--json", action="store_true")

    def do_list(self, options: dict[str, Any]) -> None:
        if not 1 <= options["limit"] <= 10_000:
            raise Invalid("List between 1 and 10000 runs.", field="n")
        seen = permissions.visible(reader(options["user"]), rows())
        if options["status"]:
            seen = seen.filter(status=options["status"])
        if options["agent"]:
            seen = seen.filter(agent__name__iexact=options["agent"]) | seen.filter(agent_id=options["agent"])
        found = seen.order_by("-pk")[: options["limit"]]
        if options["json"]:
            self.print_json([RunOut.from_orm(run).model_dump(mode="json") for run in found])
            return
        self.print_table(
            ("RUN", "AGENT", "STATE", "TOOK", "MESSAGE"),
            ((r.pk, r.agent.name, STATES[r.status], duration(r.duration_ms), _start_of(r.message.text)) for r in found),
        )

    def do_show(self, options: dict[str, Any]) -> None:
        user = reader(options["user"])
        run = permissions.fetch(user, "run.view", rows().defer(None), pk=options["run"])
        happened = events.replay(run.pk)
        if options["json"]:
            self.print_json(as_json(user, run, happened))
            return
        sight = withheld.sight(user, run)
        self.stdout.write(printed(run, map(sight.event, happened)))

    def do_permissions(self, options: dict[str, Any]) -> None:
        user = reader(options["user"])
        run = permissions.fetch(user, "run.view", rows().defer(None), pk=options["run"])
        had = permitted.told(user, run)
        if options["json"]:
            self.print_json(PermittedOut.from_orm(had).model_dump(mode="json"))
            return
        for source in had.sources:
            self.stdout.write(source.name)
            for line in source.lines:
                self.stdout.write(f"  {line}")
        if had.hides:
            self.stdout.write("There were policies you may not see.")
        for wall in had.walls:
            self.stdout.write(f"{'up' if wall.is_up else 'weaker':6}  {wall.name}: {wall.sentence}")
        for word, lines in (("added since", had.added), ("gone since", had.removed)):
            for line in lines or ():
                self.stdout.write(f"{word}: {line}")

    def do_cancel(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        run = dispatch.cancel(user, permissions.fetch(user, "run.cancel", rows(), pk=options["run"]))
        if options["json"]:
            self.print_json(RunOut.from_orm(run).model_dump(mode="json"))
        else:
            self.say("Asked to stop.")


def as_json(user: User, run: Run, happened: list[events.Event]) -> dict[str, Any]:
    """The run as the API shows it to ``user``, with its STAMP and all its events."""
    reader_of = withheld.Reader(user)
    sight = reader_of.sight(run.agent_id)
    run.stamp = reader_of.stamp(run.stamp)
    shown = [EventOut.of(event, sight).model_dump(mode="json") for event in happened]
    return {**RunWithStamp.from_orm(run).model_dump(mode="json"), "events": shown}


def _start_of(text: str) -> str:
    line = text.split("\n", 1)[0]
    return line if len(line) <= 60 else line[:59] + "…"
