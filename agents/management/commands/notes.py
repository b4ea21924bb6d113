"""An agent's notes from a shell: read, write, change and take away."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from agents import composition, notes
from agents.api.notes import AgentNoteOut
from agents.command_line import LogosCommand, actor, add_person, plain, reader


class Command(LogosCommand):
    """``notes list|write|change|remove``."""

    help = "What an agent keeps for later: read, write, change and take away its notes."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|write|change|remove")
        for verb, words in (
            ("list", "list them with who wrote each"),
            ("write", "write one; prints its id"),
            ("change", "give one other words"),
            ("remove", "take one away for good"),
        ):
            each = verbs.add_parser(verb, help=words)
            each.add_argument("agent", metavar="AGENT", help="name or id")
            if verb in ("change", "remove"):
                each.add_argument("note", metavar="NOTE", help="its id")
            if verb in ("write", "change"):
                each.add_argument("text", metavar="TEXT")
            if verb == "list":
                each.add_argument("--json", action="store_true", help="print them as the API shows them")
            add_person(each)

    def do_list(self, options: dict[str, Any]) -> None:
        found = list(notes.of(composition.find(reader(options["user"]), options["agent"], "note.view").pk))
        if options["json"]:
            self.print_json([AgentNoteOut.from_orm(each).model_dump(mode="json") for each in found])
            return
        self.print_table(
            ("ID", "AT", "BY", "RUN", "NOTE"),
            (
                (
                    each.pk,
                    f"{each.updated_at:%F %R}",
                    "the agent" if each.is_own else each.written_by,
                    each.run_id,
                    plain(each.text.replace("\n", " ")),
                )
                for each in found
            ),
        )

    def do_write(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        agent = composition.find(user, options["agent"], "note.edit")
        self.stdout.write(notes.write(user, agent, options["text"]).pk)

    def do_change(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        agent = composition.find(user, options["agent"], "note.edit")
        notes.change(user, agent.pk, options["note"], options["text"], None)
        self.say("The note is changed.")

    def do_remove(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        agent = composition.find(user, options["agent"], "note.edit")
        notes.remove(user, agent.pk, options["note"])
        self.say("The note is gone.")
