"""Try a command against the command gate, and list its rules."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from agents.api.gate import GateJudgement
from agents.command_line import LogosCommand, plain
from agents.gate import judge
from agents.gate.rules import shipped

WORDS = {"allow": "Passes.", "ask": "A person is asked first.", "block": "Nobody may approve this."}
EXITS = {"allow": 0, "ask": 2, "block": 3}


class Command(LogosCommand):
    """``gate check|rules``."""

    help = "Say what the command gate thinks of a command, without running it; list the rules."
    exits = "exit codes: 0 done or passes, 1 refused (one sentence on standard error says why), 2 a person is asked, 3 nobody may"

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="check|rules")
        check = verbs.add_parser("check", help="judge a command")
        check.add_argument("command", metavar="COMMAND", help="in quotes, as a shell would be given it")
        rules = verbs.add_parser("rules", help="every rule, the worst first")
        for each in (check, rules):
            each.add_argument("--json", action="store_true", help="print JSON")

    def do_check(self, options: dict[str, Any]) -> None:
        said = judge(options["command"])
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
