"""Add, list, change and restart MCP servers from a shell, and set their secrets."""

from __future__ import annotations

import json
import os
import sys
from argparse import BooleanOptionalAction
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.db.models import Q
from django.views.decorators.debug import sensitive_variables

from agents import permissions
from agents.command_line import LogosCommand, actor, add_person, plain, reader
from agents.errors import Invalid, NotFound
from agents.models import Agent, User, Visibility
from mcp_gateway import access, calling, categories, clients, pinning, pins, servers
from mcp_gateway.api.servers import McpServerOut
from mcp_gateway.models import AccessTier, AccountUse, McpAccess, McpCall, McpServer, ServerKind
from mcp_gateway.oauth import accounts
from sandboxes.tool_server.tiers import Tier


class Command(LogosCommand):
    """``mcp list|add|edit|restart|tools|call|secret|accounts|disconnect|delete|pins|accept|give|take|token|tokens|revoke|clients|calls|categories|category``."""

    help = "Add, list, change, restart and delete MCP servers: where agents' tools come from."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(
            dest="verb",
            required=True,
            metavar="list|add|edit|restart|tools|call|secret|accounts|disconnect|delete|pins|accept|give|take|token|tokens|revoke|clients|calls|categories|category",
        )
        listing = verbs.add_parser("list", help="list servers and how they are")
        listing.add_argument("--json", action="store_true", help="print them as the API shows them")
        add_person(listing, "list what this person sees")
        add = verbs.add_parser("add", help="add a server; prints its id. Its command runs on this host")
        add.add_argument("name", metavar="NAME")
        add.add_argument("command", metavar="COMMAND", nargs="?", default="", help="one program, by name or whole path")
        add.add_argument(
            "--arg", action="append", default=[], dest="arguments", metavar="ARG", help="one argument; repeat"
        )
        add.add_argument("--shared", action="store_true", help="everyone who may sign in may see it")
        add.add_argument("--disabled", action="store_true", help="do not start it yet")
        _add_fields(add)
        add_person(add, "whose server it is")
        edit = verbs.add_parser("edit", help="change a server; what is left out stays")
        edit.add_argument("server", metavar="SERVER", help="name or id")
        edit.add_argument("--command", metavar="COMMAND")
        edit.add_argument(
            "--arg", action="append", dest="arguments", metavar="ARG", help="all arguments, one each; repeat"
        )
        edit.add_argument("--enable", action="store_true", help="start it")
        edit.add_argument("--disable", action="store_true", help="end it and do not start it again")
        _add_fields(edit)
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

        accounts_ = verbs.add_parser("accounts", help="list accounts at servers elsewhere: everybody's and yours")
        add_person(accounts_, "list those of this person")
        gone = verbs.add_parser("disconnect", help="forget an account at a server elsewhere: everybody's or yours")
        gone.add_argument("server", metavar="SERVER", help="name or id")
        add_person(gone)
        pinned = verbs.add_parser("pins", help="list a server's tools as they were accepted, and what waits to be")
        pinned.add_argument("server", metavar="SERVER", help="name or id")
        add_person(pinned)
        accept = verbs.add_parser("accept", help="let agents have a tool as its server offers it now")
        accept.add_argument("server", metavar="SERVER", help="name or id")
        accept.add_argument("tool", metavar="TOOL")
        add_person(accept)
        kinds = verbs.add_parser("categories", help="list what holds for each category of servers")
        add_person(kinds)
        kind = verbs.add_parser("category", help="say what holds for every server of a category")
        kind.add_argument("name", metavar="NAME")
        kind.add_argument("--access", choices=AccessTier.values[1:], default="user", help="who may let agents use them")
        kind.add_argument("--calls", choices=Tier.values, default="allow", help="what becomes of calls without a rule")
        kind.add_argument("--remove", action="store_true", help="user and allow hold again")
        add_person(kind)
        give = verbs.add_parser("give", help="let an agent use a server")
        give.add_argument("agent", metavar="AGENT", help="name or id")
        give.add_argument("server", metavar="SERVER", help="name or id")
        give.add_argument("--minutes", type=int, metavar="N", help="for so long; default: until it is taken back")
        give.add_argument("--reason", default="", metavar="TEXT")
        add_person(give)
        take = verbs.add_parser("take", help="take a server from an agent")
        take.add_argument("agent", metavar="AGENT", help="name or id")
        take.add_argument("server", metavar="SERVER", help="name or id")
        add_person(take)
        token = verbs.add_parser("token", help="make a token by which a client outside speaks as an agent; prints it")
        token.add_argument("agent", metavar="AGENT", help="name or id")
        token.add_argument("name", metavar="NAME", help="what it is for")
        token.add_argument("--days", type=int, metavar="N", help="how long it works; default 90")
        add_person(token)
        tokens = verbs.add_parser("tokens", help="list an agent's tokens")
        tokens.add_argument("agent", metavar="AGENT", help="name or id")
        add_person(tokens)
        revoke = verbs.add_parser("revoke", help="revoke a token of an agent")
        revoke.add_argument("agent", metavar="AGENT", help="name or id")
        revoke.add_argument("token", type=int, metavar="ID", help="its number in `mcp tokens`")
        add_person(revoke)
        known = verbs.add_parser("clients", help="print what MCP clients need to work as an agent")
        known.add_argument("agent", metavar="AGENT", help="name or id")
        known.add_argument(
            "client", metavar="CLIENT", nargs="?", default="", choices=["", *(each.name for each in clients.CLIENTS)],
            help=f"only this one, without its heading: {', '.join(each.name for each in clients.CLIENTS)}",
        )  # fmt: skip
        known.add_argument("--url", default="", metavar="URL", help="where Logos answers; default: this machine")
        add_person(known)
        calls = verbs.add_parser("calls", help="list the newest calls of an agent")
        calls.add_argument("agent", metavar="AGENT", help="name or id")
        add_person(calls)
        call = verbs.add_parser("call", help="call a tool through the gateway, as an outside client would")
        call.add_argument("server", metavar="SERVER", help="its name; hub for everything the agent may use")
        call.add_argument("tool", metavar="TOOL")
        call.add_argument("arguments", nargs="?", default="{}", metavar="JSON", help="the arguments (%(default)s)")
        call.add_argument("--url", default="", metavar="URL", help="where Logos answers; default: this machine")

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
            **_fields(options),
        )
        for warning in servers.warnings(made):
            self.say(warning)
        self.stdout.write(made.pk)

    def do_edit(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        server = _named(user, options["server"], "server.edit")
        given = {"command": options["command"], "args": options["arguments"]}
        fields = _fields(options) | {name: value for name, value in given.items() if value is not None}
        if options["enable"] or options["disable"]:
            fields["enabled"] = options["enable"]
        servers.change(user, server.pk, server.version, **fields)
        self.say(f"{server.name} is saved.")

    def do_restart(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        server = servers.restart(user, _named(user, options["server"], "server.edit").pk)
        self.say(f"{server.name} is started anew.")

    def do_tools(self, options: dict[str, Any]) -> None:
        server = _named(reader(options["user"]), options["server"], "server.view")
        self.print_table(
            ("TOOL", "DESCRIPTION"),
            ((plain(tool["name"]), plain(tool["description"].split("\n")[0][:100])) for tool in server.health.tools),
        )

    def do_accounts(self, options: dict[str, Any]) -> None:
        found = accounts.places(actor(options["user"]))
        self.print_table(
            ("SERVER", "WHOSE", "STATE", "ENDS", "SIGN-IN", "SCOPES"),
            (
                (
                    each.server.name,
                    each.server.account,
                    "connected" if each.is_connected else "lost" if each.account else "not connected",
                    f"{each.account.expires_at:%F %T}" if each.account and each.account.expires_at else "",
                    plain(each.account.client.issuer) if each.account else "",
                    plain(each.account.scopes) if each.account else "",
                )
                for each in found
            ),
        )

    def do_disconnect(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        server = _named(user, options["server"], "server.view")
        heard = accounts.disconnect(user, server.pk)
        self.say(f"The account at {server.name} is forgotten{'' if heard else '; its sign-in could not be told'}.")

    def do_delete(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        server = _named(user, options["server"], "server.manage")
        servers.remove(user, server.pk)
        self.say(f"{server.name} is deleted.")

    def do_pins(self, options: dict[str, Any]) -> None:
        user = reader(options["user"])
        rows = pins.of(user, _named(user, options["server"], "server.view").pk)
        self.print_table(("TOOL", "STATE", "BY"), ((plain(row.tool), row.state, row.accepted_by) for row in rows))
        for row in pins.waiting(rows):
            self.stdout.write(f"\n{plain(row.tool)} was:  {plain(json.dumps(row.definition, ensure_ascii=False))}")
            self.stdout.write(f"{plain(row.tool)} is:   {plain(json.dumps(row.offered, ensure_ascii=False))}")
            for flag in pinning.flags(row.offered):
                self.stdout.write(flag)

    def do_accept(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        server = _named(user, options["server"], "server.edit")
        row = pins.of(user, server.pk).filter(tool=options["tool"]).first()
        pins.accept(user, server.pk, options["tool"], row.offered_digest if row else "")
        self.say(f"Agents have {options['tool']} of {server.name} as it is offered now.")

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

    def do_give(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        agent, server = _agent(user, options["agent"]), _named(user, options["server"], "server.view")
        access.give(user, agent.pk, server.pk, minutes=options["minutes"], reason=options["reason"])
        self.say(f"{agent.name} may use {server.name}.")

    def do_take(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        agent, server = _agent(user, options["agent"]), _named(user, options["server"], "server.view")
        row = access.living(McpAccess.objects.filter(agent=agent, server=server)).first()
        if row is None:
            raise NotFound("Access")
        access.revoke(user, row.pk)
        self.say(f"{agent.name} may not use {server.name} any more.")

    def do_token(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        _, secret = access.make_token(user, _agent(user, options["agent"]).pk, options["name"], options["days"])
        self.stdout.write(secret)

    def do_tokens(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        self.print_table(
            ("ID", "NAME", "BEGINS", "MADE BY", "EXPIRES"),
            (
                (t.pk, plain(t.name), t.hint, t.made_by, f"{t.expires_at:%F %R}" if t.expires_at else "never")
                for t in access.tokens_of(_agent(user, options["agent"]))
            ),
        )

    def do_revoke(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        access.revoke_token(user, _agent(user, options["agent"]).pk, options["token"])
        self.say("The token is revoked.")

    def do_clients(self, options: dict[str, Any]) -> None:
        agent = _agent(actor(options["user"]), options["agent"])
        url = (options["url"] or f"http://127.0.0.1:{settings.LOGOS_PORT}").rstrip("/")
        for each in clients.configurations(f"{url.removesuffix('/mcp')}/mcp", agent.name):
            if options["client"] in ("", each.client):
                if not options["client"]:
                    self.stdout.write(f"# {each.label}: {each.place}\n{f'# {each.note}' if each.note else '#'}")
                self.stdout.write(each.text + ("" if options["client"] else "\n"))

    def do_calls(self, options: dict[str, Any]) -> None:
        user = reader(options["user"])
        agent = _agent(user, options["agent"], "mcpcall.view")
        rows = permissions.visible(user, McpCall.objects.all()).filter(agent=agent)[:50]
        self.print_table(
            ("AT", "SERVER", "TOOL", "OUTCOME", "MS", "REASON"),
            (
                (f"{c.at:%F %T}", c.server_name, plain(c.tool), c.outcome, f"{c.duration_ms:.0f}", plain(c.reason))
                for c in rows
            ),
        )

    def do_call(self, options: dict[str, Any]) -> None:
        token = os.environ.get("MCP_TOKEN", "")
        if not token:
            raise Invalid("Put the agent's token into the variable MCP_TOKEN.", field="token")
        url = (options["url"] or f"http://127.0.0.1:{settings.LOGOS_PORT}").rstrip("/")
        name = "" if options["server"] == "hub" else f"/{options['server']}"
        found = calling.call(f"{url}/mcp{name}", token, options["tool"], calling.arguments(options["arguments"]))
        self.print_json(found)
        if found.get("isError"):
            self.end(1)

    @sensitive_variables("value")
    def do_secret(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        server = _named(user, options["server"], "server.edit")
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


def _agent(user: User, name_or_id: str, action: str = "access.give") -> Agent:
    return permissions.fetch(user, action, Agent.objects.alive().filter(Q(pk=name_or_id) | Q(name=name_or_id)))


def _add_fields(parser: CommandParser) -> None:
    parser.add_argument("--env", action="append", metavar="NAME=VALUE", help="a variable; ${SECRET} in it; repeat")
    parser.add_argument("--cwd", metavar="DIRECTORY", help="where it runs; default: a directory of its own")
    parser.add_argument("--url", metavar="URL", help="of a server elsewhere, in place of a command")
    parser.add_argument("--header", action="append", metavar="NAME=VALUE", help="sent to it; ${SECRET} in it; repeat")
    parser.add_argument(
        "--private", action=BooleanOptionalAction, help="it may be in our own network, and without https; for admins"
    )
    parser.add_argument("--account", choices=[*AccountUse.values], help="whose account at a server elsewhere is used")
    parser.add_argument("--client-id", metavar="TEXT", help="what its sign-in knows Logos as, if it must be given")
    parser.add_argument("--scopes", metavar="WORDS", help="what to ask its sign-in for; default: what it says")
    parser.add_argument("--limits", metavar="JSON", help='for instance {"memory_mb": 512, "open_files": 256}')
    parser.add_argument("--description", metavar="TEXT")
    parser.add_argument("--category", metavar="WORD")
    parser.add_argument("--tier", choices=[*AccessTier.values], help="who may let agents use it")
    parser.add_argument("--timeout", type=int, metavar="SECONDS", dest="timeout_s", help="for a call")
    parser.add_argument("--connect-timeout", type=int, metavar="SECONDS", dest="connect_timeout_s", help="to start")
    parser.add_argument("--include", nargs="*", metavar="TOOL", help="only these tools")
    parser.add_argument("--exclude", nargs="*", metavar="TOOL", help="not these tools")


def _fields(options: dict[str, Any]) -> dict[str, Any]:
    names = (
        "cwd",
        "url",
        "account",
        "client_id",
        "scopes",
        "description",
        "category",
        "tier",
        "timeout_s",
        "connect_timeout_s",
        "include",
        "exclude",
    )
    fields = {name: options[name] for name in names if options[name] is not None}
    for option, name in (("env", "env"), ("header", "headers")):
        if options[option] is not None:
            fields[name] = _pairs(options[option], name)
    if options["private"] is not None:
        fields["allows_private"] = options["private"]
    if options["limits"] is not None:
        try:
            fields["limits"] = json.loads(options["limits"])
        except ValueError as error:
            raise Invalid("The limits are not JSON.", field="limits") from error
    return fields


def _pairs(given: list[str], field: str) -> dict[str, str]:
    pairs = [each.partition("=") for each in given]
    if wrong := next((name for name, equals, _ in pairs if not equals), None):
        raise Invalid(f"Write {wrong[:60]} as NAME=VALUE.", field=field)
    return {name: value for name, _, value in pairs}


def _named(user: User, name_or_id: str, action: str) -> McpServer:
    return permissions.fetch(user, action, servers.rows().filter(Q(pk=name_or_id) | Q(name=name_or_id)))
