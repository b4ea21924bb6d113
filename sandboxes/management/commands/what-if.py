"""Try a draft of a policy or preset on what was recorded, from a shell."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Q

from agents import permissions, policies, rule_lines
from agents.command_line import LogosCommand, actor, add_person, plain
from agents.management.commands.policy import text_of
from agents.models import Agent, Policy, Preset, User
from sandboxes import foresight, what_if
from sandboxes.tool_server import drafts
from sandboxes.tool_server import what_if as tools_what_if


class Command(LogosCommand):
    """``what-if NAME --file FILE``."""

    help = (
        "Decide recorded connections, tool calls or commands anew with a draft of a policy, a preset, tool rules or gate "
        "rules; nothing is saved."
    )
    exits = "exit codes: 0 nothing more is refused, 1 refused (a sentence says why), 3 the draft would refuse more"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("policy", metavar="NAME", help="a policy by name or id, or what the option says")
        parser.add_argument("--preset", action="store_true", help="it is a preset, tried for every agent that has it")
        parser.add_argument(
            "--tools", action="store_true", help="NAME is an agent, whose tool rules the draft is; - is the site"
        )
        parser.add_argument(
            "--gate", action="store_true", help="NAME is a policy, whose gate rules the draft is; - is every agent's"
        )
        parser.add_argument("--file", required=True, metavar="FILE", help="the draft, as lines or JSON; - is stdin")
        parser.add_argument(
            "--days", type=int, default=what_if.DEFAULT_DAYS, metavar="DAYS", help="how far back to look"
        )
        add_person(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = actor(options["user"])
        if options["tools"]:
            self._tools(user, options)
            return
        if options["gate"]:
            tried = foresight.DRAFTS["gate"](user, options["policy"], text_of(options["file"]), options["days"])
            self.print_table(tried.head, ([plain(str(cell)) for cell in row] for row in tried.rows))
            self.say(tried.sentence)
            if tried.is_stricter:
                self.end(3)
            return
        wanted = Q(pk=options["policy"]) | Q(name=options["policy"])
        rules = policies.clean_rules(rule_lines.read(text_of(options["file"])))
        if options["preset"]:
            preset = permissions.fetch(user, "preset.edit", Preset.objects.filter(wanted))
            outcome = what_if.replay(user, preset, what_if.drafted_preset(preset, rules), options["days"])
        else:
            policy = permissions.fetch(user, "policy.edit", Policy.objects.filter(wanted))
            outcome = what_if.replay(user, policy, what_if.drafted(policy, rules), options["days"])
        self.print_table(
            ("HOST", "AGENT", "PROGRAM", "WITH THE DRAFT", "COUNT"),
            (
                (
                    f"{c.host}:{c.port}",
                    c.agent.name,
                    c.binary or "unknown",
                    "through" if c.allowed else "refused",
                    c.count,
                )
                for c in outcome.changes
            ),
        )
        self.say(
            f"{outcome.connections} connections of {outcome.agents} agents in {outcome.days} days: "
            f"{outcome.newly_refused} would be refused, {outcome.newly_allowed} more let through."
        )
        for words, found in (("rule", outcome.by_rule), ("agent", outcome.by_agent), ("person", outcome.by_person)):
            for share in found:
                self.say(f"  {words} {share.name}: {share.newly_blocked} refused, {share.newly_allowed} let through")
        if outcome.newly_refused:
            self.end(3)

    def _tools(self, user: User, options: dict[str, Any]) -> None:
        named = options["policy"]
        agent = None
        if named != "-":
            agents = Agent.objects.alive().filter(Q(pk=named) | Q(name=named))
            agent = permissions.fetch(user, "tool.rules", agents)
        outcome = tools_what_if.replay(
            user, agent, tools_what_if.drafted(user, agent, drafts.read(text_of(options["file"]))), options["days"]
        )
        self.print_table(
            ("TOOL", "AGENT", "ABOUT", "NOW", "WITH THE DRAFT", "COUNT"),
            ((c.tool, c.agent.name, plain(c.about), c.before, c.after, c.count) for c in outcome.changes),
        )
        self.say(
            f"{outcome.calls} calls of {outcome.agents} agents in {outcome.days} days: {outcome.newly_blocked} would be "
            f"blocked, {outcome.newly_asked} asked for, {outcome.newly_allowed} more would run."
        )
        if outcome.unclear:
            self.say(f"{outcome.unclear} calls were left out: their arguments can be read no more.")
        if outcome.newly_blocked or outcome.newly_asked:
            self.end(3)
