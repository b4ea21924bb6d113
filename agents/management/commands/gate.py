"""Try a command against the command gate, and list its rules."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Q

from agents import gate_rules, permissions
from agents.api.gate import GateJudgement, GateRuleOut
from agents.command_line import LogosCommand, actor, add_person, plain
from agents.gate import drafts, judge
from agents.gate.own import ANSWERS
from agents.gate.rules import SEVERITIES, shipped
from agents.models import Agent, Policy

WORDS = {"allow": "Passes.", "ask": "A person is asked first.", "block": "Nobody may approve this."}
EXITS = {"allow": 0, "ask": 2, "block": 3}


class Command(LogosCommand):
    """``gate check|rules|own|add|remove``."""

    help = "Say what the command gate thinks of a command, without running it; list the rules, and write your own."
    exits = "exit codes: 0 done or passes, 1 refused (one sentence on standard error says why), 2 a person is asked, 3 nobody may"

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="check|rules|own|add|remove")
        check = verbs.add_parser("check", help="judge a command")
        check.add_argument("command", metavar="COMMAND", help="in quotes, as a shell would be given it")
        check.add_argument("--agent", default="", metavar="AGENT", help="under the rules for this agent, by name or id")
        rules = verbs.add_parser("rules", help="every rule that comes with Logos")
        listed = verbs.add_parser("own", help="the rules beside those")
        add = verbs.add_parser("add", help="write a rule, or change the one of this name")
        add.add_argument("name", metavar="NAME", help="small letters, digits and dashes")
        add.add_argument("--severity", required=True, choices=SEVERITIES)
        add.add_argument("--answer", default="person", choices=ANSWERS, help="who may allow it (default: person)")
        add.add_argument("--sentence", default="", metavar="TEXT", help="what it is about")
        add.add_argument("--when", required=True, metavar="YAML", help="for instance '{program: [terraform]}'")
        add.add_argument(
            "--policy", default="", metavar="POLICY", help="for agents with this policy; else for every agent"
        )
        remove = verbs.add_parser("remove", help="take a rule of one's own away")
        remove.add_argument("name", metavar="NAME", help="by name or id")
        for each in (check, rules, listed, add):
            each.add_argument("--json", action="store_true", help="print JSON")
        for each in (check, listed, add, remove):
            add_person(each)

    def do_check(self, options: dict[str, Any]) -> None:
        said = judge(options["command"], gate_rules.rules_for(self._agent(options)))
        if options["json"]:
            self.print_json(GateJudgement.from_orm(said).model_dump(mode="json"))
        else:
            self.stdout.write(WORDS[said.verdict])
            for each in said.findings:
                self.stdout.write(plain(f"  {each.severity:9}{each.rule:20}{each.sentence}"))
        if said.verdict != "allow":
            self.end(EXITS[said.verdict])

    def do_rules(self, options: dict[str, Any]) -> None:
        rules = shipped().all
        if options["json"]:
            self.print_json(
                [
                    {
                        "id": r.id,
                        "severity": r.severity,
                        "hardline": r.hardline,
                        "sentence": r.sentence,
                        "group": r.group,
                    }
                    for r in rules
                ]
            )
            return
        for rule in rules:
            mark = "nobody" if rule.hardline else rule.severity
            self.stdout.write(f"{mark:9}{rule.id:20}{rule.sentence}")

    def do_own(self, options: dict[str, Any]) -> None:
        rows = list(gate_rules.seen_by(actor(options["user"])).order_by("name"))
        if options["json"]:
            self.print_json([GateRuleOut.from_orm(row).model_dump(mode="json") for row in rows])
            return
        self.print_table(
            ("NAME", "SEVERITY", "ALLOWED BY", "AGENTS", "SENTENCE"),
            ((r.name, r.severity, r.answer, r.policy.name if r.policy else "every", plain(r.sentence)) for r in rows),
        )

    def do_add(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        fields = {name: options[name] for name in ("severity", "answer", "sentence")}
        fields["when"] = drafts.read_when(options["when"])
        known = gate_rules.seen_by(user).filter(name=options["name"]).first()
        if known is not None:
            row = gate_rules.change(user, known.pk, None, **fields)
        else:
            named = options["policy"]
            policies = Policy.objects.filter(Q(pk=named) | Q(name=named))
            policy = permissions.fetch(user, "gate.edit", policies) if named else None
            row = gate_rules.create(user, policy, name=options["name"], **fields)
        if options["json"]:
            self.print_json(GateRuleOut.from_orm(row).model_dump(mode="json"))
        else:
            self.say(f"{row.name} holds from now on.")

    def do_remove(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        row = gate_rules.find(user, options["name"], "gate.edit")
        gate_rules.remove(user, row.pk)
        self.say(f"{row.name} is gone.")

    def _agent(self, options: dict[str, Any]) -> str:
        named = options["agent"]
        if not named:
            return ""
        agents = Agent.objects.alive().filter(Q(pk=named) | Q(name=named))
        return permissions.fetch(actor(options["user"]), "agent.view", agents).pk
