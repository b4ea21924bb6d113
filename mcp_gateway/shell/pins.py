"""Look at what was accepted of a server and accept its changes, from a shell."""

from __future__ import annotations

import json
from typing import Any

from agents.command_line import LogosCommand, actor, add_person, plain, reader
from agents.errors import Invalid
from mcp_gateway import copies, launch_pins, pinning, pins
from mcp_gateway.shell.naming import server_named


class PinVerbs(LogosCommand):
    """``mcp pins|accept|copies``."""

    def add_arguments_of_pins(self, verbs: Any) -> None:
        pinned = verbs.add_parser("pins", help="list a server's tools as they were accepted, and what waits to be")
        pinned.add_argument("server", metavar="SERVER", help="name or id")
        add_person(pinned)
        accept = verbs.add_parser("accept", help="let agents have a tool as its server offers it now")
        accept.add_argument("server", metavar="SERVER", help="name or id")
        accept.add_argument("tool", metavar="TOOL", nargs="?", default="")
        accept.add_argument(
            "--launch", action="store_true", help="no tool: start what changed on the disk as it is now"
        )
        add_person(accept)

        copied = verbs.add_parser("copies", help="list the copies of a server that agents have for themselves")
        copied.add_argument("server", metavar="SERVER", help="name or id")
        add_person(copied)

    def do_copies(self, options: dict[str, Any]) -> None:
        user = reader(options["user"])
        found = copies.of(user, server_named(user, options["server"], "server.view"))
        self.print_table(
            ("AGENT", "STATE", "STARTS", "REASON"),
            ((plain(each.agent.name), each.state, each.starts, plain(each.reason[:80])) for each in found),
        )

    def do_pins(self, options: dict[str, Any]) -> None:
        user = reader(options["user"])
        server = server_named(user, options["server"], "server.view")
        rows = pins.of(user, server.pk)
        self.print_table(("TOOL", "STATE", "BY"), ((plain(row.tool), row.state, row.accepted_by) for row in rows))
        for file in launch_pins.waiting(user, server):
            self.stdout.write(f"\n{plain(file.path)} was:  {plain(file.before or 'not there')}")
            self.stdout.write(f"{plain(file.path)} is:   {plain(file.now or 'not there')}")
        for row in pins.waiting(rows):
            self.stdout.write(f"\n{plain(row.tool)} was:  {plain(json.dumps(row.definition, ensure_ascii=False))}")
            self.stdout.write(f"{plain(row.tool)} is:   {plain(json.dumps(row.offered, ensure_ascii=False))}")
            for flag in pinning.flags(row.offered):
                self.stdout.write(flag)

    def do_accept(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        server = server_named(user, options["server"], "server.edit")
        if options["launch"] == bool(options["tool"]):
            raise Invalid("Say which tool, or --launch.", field="tool")
        if options["launch"]:
            launch_pins.accept(user, server.pk, server.health.launch_offered.get("digest", ""))
            self.say(f"{server.name} is started as it is now.")
            return
        row = pins.of(user, server.pk).filter(tool=options["tool"]).first()
        pins.accept(user, server.pk, options["tool"], row.offered_digest if row else "")
        self.say(f"Agents have {options['tool']} of {server.name} as it is offered now.")
