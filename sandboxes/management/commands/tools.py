"""The tools of an agent from a shell: what becomes of each call, the rules, the calls, and calling one."""

from __future__ import annotations

import json
import sys
from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import CommandParser

from agents import composition, permissions, strict_json
from agents.command_line import LogosCommand, actor, add_person, plain, reader
from agents.errors import Invalid, LogosError
from agents.models import Agent, User
from sandboxes.tool_server import calls, overview, rules
from sandboxes.tool_server.models import CallState, Condition, ToolRule
from sandboxes.tool_server.records import Caller
from sandboxes.tool_server.tiers import Tier

SHOWN = 50


class Command(LogosCommand):
    """``tools list|rules|allow|notify|ask|block|remove|calls|explain|call``."""

    help = "An agent's tools (files, processes, network, git in its sandbox): their rules, their calls, and calling one. NAME is an agent's name or id; - stands for every agent where rules are read and made."
    exits = (
        "exit codes: 0 done, 1 refused (one sentence on standard error says why);\n"
        "            call: 3 the tool failed or was refused, 4 it waits for a person (make the same call again)"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(
            dest="verb", required=True, metavar="list|rules|allow|notify|ask|block|remove|calls|explain|call"
        )
        for verb, words in (
            ("list", "every tool, and what becomes of a call of it"),
            ("rules", "the rules for one agent, or with - for every agent"),
            ("calls", "the last calls, the newest first"),
        ):
            each = verbs.add_parser(verb, help=words)
            each.add_argument("name", metavar="NAME")
            each.add_argument("--json", action="store_true")
            add_person(each)
        for tier in Tier.values:
            each = verbs.add_parser(tier, help=f"a rule: {Tier(tier).label.lower()}")
            each.add_argument("name", metavar="NAME")
            each.add_argument(
                "tool", metavar="TOOL", help="a tool, a family as in git.*, mcp:SERVER.TOOL, or * for every tool"
            )
            for condition in filter(None, Condition.values):
                each.add_argument(f"--{condition}", default="", metavar="PATTERN", help=f"only for this {condition}")
            each.add_argument("--per-minute", type=int, metavar="N", help="more calls a minute are asked for")
            each.add_argument("--per-hour", type=int, metavar="N", help="more calls an hour are asked for")
            each.add_argument("--note", default="", metavar="TEXT")
            each.add_argument("--site", action="store_true", help="a rule of the site for this agent: may be looser")
            add_person(each)
        remove = verbs.add_parser("remove", help="take a rule away")
        remove.add_argument("rule", metavar="RULE", help="its id")
        add_person(remove)
        for verb, words in (("explain", "what would become of a call; nothing is done"), ("call", "call a tool")):
            each = verbs.add_parser(verb, help=words)
            each.add_argument("name", metavar="NAME")
            each.add_argument("tool", metavar="TOOL")
            each.add_argument("arguments", metavar="JSON", nargs="?", default="{}", help="- reads standard input")
            each.add_argument("--json", action="store_true")
            add_person(each)
            if verb == "call":
                each.add_argument("--wait", type=float, default=0, metavar="S", help="wait for a person's word")

    def do_list(self, options: dict[str, Any]) -> None:
        agent = _agent(reader(options["user"]), options["name"], "tool.view")
        found = overview.standings(agent)
        if options["json"]:
            self.print_json([{**each.tool.as_mcp(), "tier": each.tier, "reason": each.reason} for each in found])
            return
        self.print_table(
            ("TOOL", "TIER", "A MINUTE", "AN HOUR", "WHY"),
            ((each.tool.name, each.tier, each.rates.minute, each.rates.hour, each.reason) for each in found),
        )

    def do_rules(self, options: dict[str, Any]) -> None:
        user = reader(options["user"])
        if options["name"] == "-":
            permissions.require(user, "tool.site")
            rows = rules.for_all()
        else:
            rows = rules.rows_of(_agent(user, options["name"], "tool.view"))
        told = [
            {"id": r.pk, "layer": r.layer, "tool": r.tool, "tier": r.tier, "condition": r.condition,
             "pattern": r.pattern, "per_minute": r.per_minute, "per_hour": r.per_hour, "note": r.note}
            for r in rows
        ]  # fmt: skip
        if options["json"]:
            self.print_json(told)
            return
        head = ("ID", "LAYER", "TOOL", "TIER", "WHEN", "PATTERN", "A MINUTE", "AN HOUR", "NOTE")
        self.print_table(head, (tuple(each.values()) for each in told))

    def do_calls(self, options: dict[str, Any]) -> None:
        user = reader(options["user"])
        rows = overview.calls_of(user, _agent(user, options["name"], "tool.view"))[:SHOWN]
        if options["json"]:
            names = ("id", "at", "tool", "state", "tier", "arguments", "error", "reason", "run_id", "door")
            self.print_json([{name: getattr(row, name) for name in names} for row in rows])
            return
        self.print_table(
            ("WHEN", "TOOL", "STATE", "BY", "WHAT"),
            (
                (f"{row.at:%Y-%m-%d %H:%M:%S}", row.tool, row.state, row.caller or row.run_id or row.door,
                 plain(row.error or json.dumps(row.arguments, ensure_ascii=False))[:100])
                for row in rows
            ),
        )  # fmt: skip

    def do_allow(self, options: dict[str, Any]) -> None:
        self._put("allow", options)

    def do_notify(self, options: dict[str, Any]) -> None:
        self._put("notify", options)

    def do_ask(self, options: dict[str, Any]) -> None:
        self._put("ask", options)

    def do_block(self, options: dict[str, Any]) -> None:
        self._put("block", options)

    def _put(self, tier: str, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        named = [(name, options[name]) for name in Condition.values if name and options[name]]
        if len(named) > 1:
            raise Invalid("A rule looks at one thing: a path, a host, a command or an argument.", field="condition")
        condition, pattern = named[0] if named else ("", "")
        agent = None if options["name"] == "-" else _agent(user, options["name"], "tool.rules")
        made = rules.put(
            user, agent, tool=options["tool"], tier=tier, condition=condition, pattern=pattern,
            per_minute=options["per_minute"], per_hour=options["per_hour"], note=options["note"],
            layer="site" if agent is None or options["site"] else "agent",
        )  # fmt: skip
        self.stdout.write(f"{made.pk}: {plain(str(made))}.")

    def do_remove(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        row = ToolRule.objects.select_related("agent").filter(pk=options["rule"]).first()
        if row is None or (row.agent is not None and not permissions.allows(user, "tool.view", row.agent)):
            raise LogosError("There is no such rule.", reason="not_found")
        rules.remove(user, row)
        self.stdout.write("The rule is gone.")

    def do_explain(self, options: dict[str, Any]) -> None:
        agent = _agent(reader(options["user"]), options["name"], "tool.view")
        tool, verdict, _ = calls.explained(agent.pk, options["tool"], _read(options["arguments"]))
        if options["json"]:
            steps = [{"layer": step.layer, "tier": step.tier, "sentence": step.sentence} for step in verdict.steps]
            self.print_json({"tool": tool.name, "tier": verdict.tier, "reason": verdict.reason, "steps": steps})
            return
        self.stdout.write(f"{verdict.tier}: {plain(verdict.reason)}")

    def do_call(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        agent = _agent(user, options["name"], "tool.call")
        given = _read(options["arguments"])
        caller = Caller("command", person_id=user.pk)
        answer = async_to_sync(calls.call)(agent.pk, options["tool"], given, caller, hold_s=options["wait"])
        if options["json"]:
            self.print_json(answer.as_mcp())
        elif answer.outcome.is_error:
            self.say(plain(answer.outcome.text))
        else:
            self.stdout.write(plain(answer.outcome.text))
        if answer.state == CallState.WAITING:
            self.end(4)
        if answer.outcome.is_error:
            self.end(3)


def _agent(user: User, name: str, action: str) -> Agent:
    return composition.find(user, name, action)


def _read(text: str) -> dict[str, Any]:
    try:
        found = strict_json.loads((sys.stdin.read() if text == "-" else text).encode())
    except (LogosError, ValueError, RecursionError) as error:
        raise Invalid(
            "The arguments are not JSON.", field="arguments", action='For instance {"path": "a.md"}'
        ) from error
    if not isinstance(found, dict):
        raise Invalid("Arguments are a table of names and values.", field="arguments")
    return found
