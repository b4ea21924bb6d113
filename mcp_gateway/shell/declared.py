"""Apply a file of servers and what holds for them, and write one, from a shell."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from agents.agent_secrets import MAX_BYTES
from agents.command_line import LogosCommand, actor, add_person, plain, reader
from agents.errors import Invalid
from mcp_gateway.declared import plan as planning
from mcp_gateway.declared import text, writing

_SIGNS = {planning.ADD: "+", planning.CHANGE: "~", planning.SAME: "=", planning.WAITS: "?"}


class DeclaredVerbs(LogosCommand):
    """``mcp apply|export``."""

    def add_arguments_of_declared(self, verbs: Any) -> None:
        apply = verbs.add_parser("apply", help="make servers and what holds for them as a YAML file says")
        apply.add_argument("file", metavar="FILE", help="with mcp_servers: and mcp_policy:; - is standard input")
        apply.add_argument("--yes", action="store_true", help="do not ask; else the plan is shown first")
        apply.add_argument("--plan", action="store_true", help="only show what would change")
        apply.add_argument("--json", action="store_true", help="print the plan as the API shows it")
        add_person(apply)
        export = verbs.add_parser("export", help="print servers and what holds for them as such a file")
        add_person(export, "what this person sees")

    def do_apply(self, options: dict[str, Any]) -> None:
        user, path = actor(options["user"]), options["file"]
        name = "Standard input" if path == "-" else Path(path).name
        said, values = _read(path), _values(Path.cwd() if path == "-" else Path(path).parent)
        found = planning.plan(user, said, name, values)
        if options["json"]:
            self.print_json(found.as_json())
        else:
            self._show(found)
        if options["plan"] or not found.changes:
            return
        if not options["yes"] and not self._agrees(path):
            self.say("Nothing is done.")
            self.end(1)
        found = planning.apply(user, said, name, values, found.digest)
        self.say(f"Done; changes: {found.changes}.")

    def do_export(self, options: dict[str, Any]) -> None:
        self.stdout.write(writing.exported(reader(options["user"])), ending="")

    def _show(self, found: planning.Plan) -> None:
        for step in found.steps:
            self.stdout.write(f"{_SIGNS[step.verb]} {plain(step.what)}")
            for line in step.lines:
                self.stdout.write(f"    {plain(line)}")
        if not found.changes:
            self.stdout.write("Everything is as the file says.")
        if found.kept:
            self.stdout.write(f"Not named, and kept: {plain(', '.join(found.kept))}.")
        for warning in found.warnings:
            self.say(plain(warning))

    def _agrees(self, path: str) -> bool:
        if path == "-" or not sys.stdin.isatty():
            raise Invalid("Nobody can be asked here.", field="yes", action="Say --yes, or --plan to look only.")
        self.stdout.write("Apply this? [y/N] ", ending="")
        self.stdout.flush()
        return input().strip().lower() in {"y", "yes"}


def _read(path: str) -> str:
    """What stands in the file. Raises Invalid."""
    most = text.LONGEST * 4 + 1
    try:
        if path == "-":
            data = sys.stdin.buffer.read(most)
        else:
            with Path(path).open("rb") as file:
                data = file.read(most)
        return data.decode()
    except (OSError, ValueError) as error:
        raise Invalid(f"{path} cannot be read as text.", field="file") from error


def _values(folder: Path) -> planning.Values:
    """Where values of secrets are read: files beside the one that names them, and this process's variables."""

    def value(kind: str, where: str) -> str:
        if kind == "env":
            if where not in os.environ:
                raise Invalid(f"The variable {where} is not set.")
            return os.environ[where]
        try:
            with (folder / where).open("rb") as file:
                return file.read(MAX_BYTES + 2).decode()
        except (OSError, ValueError) as error:
            raise Invalid(f"The file {where} cannot be read as text.") from error

    return value
