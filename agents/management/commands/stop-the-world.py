"""Stop everything, or one agent, person or server, from a shell: also when nothing else of Logos answers."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import Any

from django.core.management.base import CommandParser
from django.db import OperationalError
from django.db.models import Q

from agents import halt_files, halting, ids, permissions
from agents.command_line import LogosCommand, actor, add_person, reader
from agents.errors import Invalid, LogosError, NotFound
from agents.models import Agent, Halt, HaltScope, Stage, User

# So long the row is tried for while somebody else writes; the halt is in force from the first moment.
PATIENCE_S = 60.0
WAIT_S = 0.2


class Command(LogosCommand):
    """``stop-the-world [--agent A|--person P|--server S]``, ``stop-the-world status``, ``stop-the-world resume``."""

    help = (
        "Stop everything at once, or one agent, person or server; say what is stopped; let it go on, step by step. "
        "Works without serve, and while the database is busy."
    )
    exits = (
        "exit codes: 0 done; status: 0 nothing is stopped; 1 refused (one sentence on standard error says why);\n"
        "            status: 3 something is stopped; with --wait 4 not everything has confirmed in time"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "verb",
            nargs="?",
            default="stop",
            choices=("stop", "status", "resume"),
            metavar="stop|status|resume",
            help="default: stop",
        )
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--agent", default="", metavar="NAME", help="this agent only, by name or id")
        what.add_argument("--person", default="", metavar="NAME", help="what this person asked for only")
        what.add_argument("--server", default="", metavar="NAME", help="this MCP server or machine only")
        parser.add_argument("--reason", default="", metavar="TEXT", help="shown to everybody it concerns")
        parser.add_argument("--yes", action="store_true", help="stop without asking")
        parser.add_argument(
            "--wait", type=float, default=0.0, metavar="SECONDS", help="wait until everything that was asked confirms"
        )
        parser.add_argument(
            "--to",
            choices=[stage for stage in Stage.values if stage != Stage.STOPPED],
            default=Stage.LIFTED.value,
            metavar="STEP",
            help="resume: deciding (requests can be decided), chosen (--let agents work), lifted (default)",
        )
        parser.add_argument("--let", action="append", default=[], metavar="AGENT", help="resume --to chosen: may work")
        parser.add_argument("--json", action="store_true", help="status: as JSON")
        add_person(parser)

    def do_stop(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        scope, subject = _subject(user, options)
        held = replace(halting.aim(user, scope, subject, options["reason"]), id=ids.halt_id())
        if not options["yes"] and sys.stdin.isatty():
            self.say(f"{held.sentence} Type STOP to do it:")
            if sys.stdin.readline().strip() != "STOP":
                raise Invalid("Nothing was stopped.", field="typed")
        path = halt_files.write(held, user.username)
        self.say(f"{held.sentence} Nothing new begins on this machine from now on.")
        halt = self._written(user, held.scope, subject, held.reason, held.id)
        halt_files.remove(path)
        self._tell(halt, options["wait"])

    def _written(self, user: User, scope: str, subject: str, reason: str, halt_id: str) -> Halt:
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                return halting.stop(user, scope, subject, reason, halt_id=halt_id)
            except OperationalError as error:
                if time.monotonic() > until:
                    raise LogosError(
                        "The database cannot be written, so the halt holds on this machine only.",
                        reason="busy",
                        detail=str(error),
                        action="Do not remove the file; it becomes a row by itself once the database can be written.",
                    ) from error
                self.say("The database is busy; trying again. The halt is in force meanwhile.")

    def _tell(self, halt: Halt, wait_s: float) -> None:
        until = time.monotonic() + wait_s
        while True:
            halting.confirm(halt)
            asked = halt.stops.count()
            left = list(halt.stops.filter(confirmed_at=None))
            if not left or time.monotonic() >= until:
                break
            time.sleep(WAIT_S)
        self.say(f"Asked to stop: {asked}. Confirmed: {asked - len(left)}.")
        for each in left:
            self.say(f"  not confirmed: {each.get_kind_display().lower()} {each.subject}")
        if left and wait_s:
            self.end(4)

    def do_status(self, options: dict[str, Any]) -> None:
        user = reader(options["user"])
        _take_up()
        rows = list(halting.seen_by(user).filter(lifted_at=None).order_by("pk"))
        for row in rows:
            halting.confirm(row)
        if options["json"]:
            self.print_json([_as_json(row) for row in rows])
        else:
            self.print_table(
                ("WHAT", "SINCE", "BY", "STEP", "ASKED", "CONFIRMED", "REASON", "ID"),
                (
                    (
                        row.name or "everything",
                        f"{row.at:%Y-%m-%d %H:%M}",
                        row.by.username if row.by else "",
                        row.get_stage_display().lower(),
                        row.stops.count(),
                        row.stops.exclude(confirmed_at=None).count(),
                        row.reason,
                        row.pk,
                    )
                    for row in rows
                ),
            )
        if rows:
            self.end(3)
        self.say("Nothing is stopped.")

    def do_resume(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        _take_up()
        scope, subject = _subject(user, options)
        rows = halting.may_lift(user).filter(lifted_at=None, scope=scope)
        if scope != HaltScope.EVERYTHING:
            rows = rows.filter(Q(subject=halting.aim(user, scope, subject, "").subject))
        row = rows.first()
        if row is None:
            raise NotFound("Such a halt", action="See what is stopped with: ./logos stop-the-world status")
        agents = [_agent(user, name).pk for name in options["let"]]
        row = halting.resume(user, row.pk, options["to"], agents)
        self.say(f"{row.name or 'Everything'}: {row.get_stage_display().lower()}.")


def _subject(user: User, options: dict[str, Any]) -> tuple[str, str]:
    if options["agent"]:
        return HaltScope.AGENT, _agent(user, options["agent"]).pk
    if options["person"]:
        return HaltScope.PERSON, options["person"]
    if options["server"]:
        return HaltScope.SERVER, options["server"]
    return HaltScope.EVERYTHING, ""


def _agent(user: User, name: str) -> Agent:
    wanted = Q(pk=name) | Q(name=name)
    return permissions.fetch(user, "agent.halt", Agent.objects.alive().filter(wanted))


def _take_up() -> None:
    try:
        halting.take_up()
    except OperationalError:
        pass  # the file counts as it is


def _as_json(row: Halt) -> dict[str, Any]:
    return {
        "id": row.pk,
        "scope": row.scope,
        "name": row.name,
        "reason": row.reason,
        "stage": row.stage,
        "at": row.at.isoformat(),
        "by": row.by.username if row.by else "",
        "stops": [
            {"kind": each.kind, "subject": each.subject, "confirmed_at": each.confirmed_at, "note": each.note}
            for each in row.stops.all()
        ],
    }
