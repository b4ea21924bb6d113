"""Write rules as OpenShell's policy document, and hold such a document against its schema, from a shell."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Q

from agents import agent_pages, permissions
from agents.command_line import LogosCommand, add_person, reader
from agents.errors import Invalid
from agents.models import Agent, Policy
from sandboxes.openshell import reading, schema
from sandboxes.openshell.api import told
from sandboxes.openshell.of_rows import of_agent, of_policy
from sandboxes.openshell.policy import Compiled


class Command(LogosCommand):
    """``openshell policy|agent|check``."""

    help = "Write rules as OpenShell's policy document, and check such a document."
    exits = (
        "exit codes: 0 all of it is said, or good; 1 refused or not good; 3 something is left out (sentences say what)"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="policy|agent|check")
        policy = verbs.add_parser("policy", help="the document of one policy, alone")
        policy.add_argument("name", metavar="POLICY", help="name or id")
        agent = verbs.add_parser("agent", help="the document of an agent with all its policies and capabilities")
        agent.add_argument("name", metavar="AGENT", help="name or id")
        for each in (policy, agent):
            each.add_argument("--json", action="store_true", help="print it as the API shows it")
            add_person(each, "look as this person")
        check = verbs.add_parser("check", help="hold a file against the schema, as far as Logos writes it")
        check.add_argument("file", metavar="FILE", help="YAML; - is stdin")

    def do_policy(self, options: dict[str, Any]) -> None:
        wanted = Q(pk=options["name"]) | Q(name=options["name"])
        policy: Policy = permissions.fetch(reader(options["user"]), "policy.view", Policy.objects.filter(wanted))
        self._tell(of_policy(policy), policy.name, options)

    def do_agent(self, options: dict[str, Any]) -> None:
        user, wanted = reader(options["user"]), Q(pk=options["name"]) | Q(name=options["name"])
        agent: Agent = permissions.fetch(user, "agent.view", agent_pages.rows().filter(wanted))
        self._tell(of_agent(user, agent), agent.name, options)

    def do_check(self, options: dict[str, Any]) -> None:
        found = schema.problems(reading.document(_data_of(options["file"])))
        for sentence in found:
            self.stdout.write(sentence)
        if found:
            self.end(1)
        self.say("It is good.")

    def _tell(self, made: Compiled, name: str, options: dict[str, Any]) -> None:
        if options["json"]:
            self.print_json(told(made, name))
        else:
            self.stdout.write(made.as_yaml(f"{name}:"), ending="")
        for note in made.notes:
            self.say(f"{note.kind}: {note.sentence} {note.action}".strip())
        if not made.is_whole:
            self.end(3)


def _data_of(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read(schema.MOST_BYTES + 1) if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise Invalid(f"{path} cannot be read.", field="file") from error
