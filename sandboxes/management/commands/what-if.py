"""Try a draft of a policy or preset on what was recorded, from a shell."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Q

from agents import permissions, policies, rule_lines
from agents.command_line import LogosCommand, actor, add_person
from agents.management.commands.policy import text_of
from agents.models import Policy, Preset
from sandboxes import what_if


class Command(LogosCommand):
    """``what-if POLICY --file FILE``."""

    help = "Decide recorded connections anew with a draft of a policy or preset; nothing is saved."
    exits = "exit codes: 0 nothing more is refused, 1 refused (a sentence says why), 3 the draft would refuse more"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("policy", metavar="POLICY", help="name or id")
        parser.add_argument("--preset", action="store_true", help="it is a preset, tried for every agent that has it")
        parser.add_argument("--file", required=True, metavar="FILE", help="the draft, as lines or JSON; - is stdin")
        parser.add_argument(
            "--days", type=int, default=what_if.DEFAULT_DAYS, metavar="DAYS", help="how far back to look"
        )
        add_person(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        user = actor(options["user"])
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
        if outcome.newly_refused:
            self.end(3)
