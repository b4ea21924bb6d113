"""Add, list, change, restart and delete servers from a shell, and set their secrets."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.views.decorators.debug import sensitive_variables

from agents import permissions
from agents.command_line import LogosCommand, actor, add_person, plain, reader
from agents.errors import Invalid
from agents.models import Visibility
from mcp_gateway import servers
from mcp_gateway.api.servers import McpServerOut
from mcp_gateway.models import ServerKind
from mcp_gateway.shell.fields import add_fields, read_fields
from mcp_gateway.shell.naming import server_named


class ServerVerbs(LogosCommand):
    """``mcp list|add|edit|restart|tools|delete|secret``."""

    def add_arguments_of_servers(self, verbs: Any) -> None:
        listing = verbs.add_parser("list", help="list servers and how they are")
        listing.add_argument("--json", action="store_true", help="print them as the API shows them")
        add_person(listing, "list what this person sees")
        add = verbs.add_parser(
            "add",
            help="add a server; prints its id. Its command runs on this machine, in a sandbox of its own unless you say otherwise",
        )
        add.add_argument("name", metavar="NAME")
        add.add_argument("command", metavar="COMMAND", nargs="?", default="", help="one program, by name or whole path")
        add.add_argument(
            "--arg", action="append", default=[], dest="arguments", metavar="ARG", help="one argument; repeat"
        )
        add.add_argument("--shared", action="store_true", help="everyone who may sign in may see it")
        add.add_argument("--disabled", action="store_true", help="do not start it yet")
        add_fields(add)
        add_person(add, "whose server it is")
        edit = verbs.add_parser("edit", help="change a server; what is left out stays")
        edit.add_argument("server", metavar="SERVER", help="name or id")
        edit.add_argument("--command", metavar="COMMAND")
        edit.add_argument(
            "--arg", action="append", dest="arguments", metavar="ARG", help="all arguments, one each; repeat"
        )
        edit.add_argument("--enable", action="store_true", help="start it")
        edit.add_argument("--disable", action="store_true", help="end it and do not start it again")
        edit.add_argument(
            "--end-access", action="store_true", help="also take back what agents were given on it until now"
        )
        add_fields(edit)
        add_person(edit)
        for verb, sentence in (
            ("restart", "end a server's process and start it anew, also a parked one"),
            ("tools", "list the tools a server says it has"),
            ("delete", "delete a server and its secrets"),
        ):
            each = verbs.add_parser(verb, help=sentence)
            each.add_argument("server", metavar="SERVER", help="name or id")
            add_person(each)
        secret = verbs.add_parser("secret", help="set a secret, read from standard input or a variable")
        secret.add_argument("server", metavar="SERVER", help="name or id")
        secret.add_argument("name", metavar="NAME")
        secret.add_argument("--from-env", default="", metavar="VARIABLE", help="read the value from this variable")
        secret.add_argument("--remove", action="store_true", help="forget it")
        add_person(secret)

    def do_list(self, options: dict[str, Any]) -> None:
        seen = permissions.visible(reader(options["user"]), servers.rows()).order_by("name")
        if options["json"]:
            self.print_json([McpServerOut.from_orm(each).model_dump(mode="json") for each in seen])
            return
        self.print_table(
            ("NAME", "STATE", "TOOLS", "COMMAND", "OWNER", "REASON"),
            (
                (s.name, s.health.state, len(s.health.tools), s.command or s.url, s.owner, plain(s.health.reason[:80]))
                for s in seen
            ),
        )

    def do_add(self, options: dict[str, Any]) -> None:
        made = servers.create(
            actor(options["user"]),
            options["name"],
            options["command"],
            visibility=Visibility.SHARED if options["shared"] else Visibility.PRIVATE,
            enabled=not options["disabled"],
            kind=ServerKind.HTTP if options["url"] else ServerKind.STDIO,
            args=options["arguments"],
            **read_fields(options),
        )
        for warning in servers.warnings(made):
            self.say(warning)
        self.stdout.write(made.pk)

    def do_edit(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        server = server_named(user, options["server"], "server.edit")
        given = {"command": options["command"], "args": options["arguments"]}
        fields = read_fields(options) | {name: value for name, value in given.items() if value is not None}
        if options["enable"] or options["disable"]:
            fields["enabled"] = options["enable"]
        servers.change(user, server.pk, server.version, end_access=options["end_access"], **fields)
        self.say(f"{server.name} is saved.")

    def do_restart(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        server = servers.restart(user, server_named(user, options["server"], "server.edit").pk)
        self.say(f"{server.name} is started anew.")

    def do_tools(self, options: dict[str, Any]) -> None:
        server = server_named(reader(options["user"]), options["server"], "server.view")
        self.print_table(
            ("TOOL", "DESCRIPTION"),
            ((plain(tool["name"]), plain(tool["description"].split("\n")[0][:100])) for tool in server.health.tools),
        )

    def do_delete(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        server = server_named(user, options["server"], "server.manage")
        servers.remove(user, server.pk)
        self.say(f"{server.name} is deleted.")

    @sensitive_variables("value")
    def do_secret(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        server = server_named(user, options["server"], "server.edit")
        if options["remove"]:
            servers.remove_secret(user, server.pk, options["name"])
            self.say(f"{options['name']} is removed.")
            return
        variable = options["from_env"]
        if variable and variable not in os.environ:
            raise Invalid(f"The variable {variable} is not set.", field="from_env")
        value = os.environ[variable] if variable else sys.stdin.read()
        servers.put_secret(user, server.pk, options["name"], value)
        self.say(f"{options['name']} is set.")
