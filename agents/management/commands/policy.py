"""Write, change, list, try and delete policies from a shell."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Q

from agents import four_eyes, permissions, policies, rule_lines
from agents.api.policies import PolicyOut, rows
from agents.command_line import LogosCommand, actor, add_person, reader
from agents.errors import Invalid
from agents.models import Policy, User, Visibility

RULE_HELP = "host, or “host, *.host : port by /program as name”; “deny” in front denies"


class Command(LogosCommand):
    """``policy create|list|edit|try|delete|four-eyes``."""

    help = "Write, change, list, try and delete policies: the rules about what an agent may reach."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="create|list|edit|try|delete|four-eyes")
        create = verbs.add_parser("create", help="write a policy; prints its id")
        create.add_argument("name", metavar="NAME")
        create.add_argument("rules", nargs="*", metavar="RULE", help=RULE_HELP)
        create.add_argument("--file", metavar="FILE", help="read the rules, as lines or JSON, from a file; - is stdin")
        create.add_argument("--preset", nargs="+", default=[], metavar="PRESET", help="presets to include, by id")
        create.add_argument("--description", default="", metavar="TEXT")
        create.add_argument("--shared", action="store_true", help="everyone who may sign in may give it to an agent")
        add_person(create, "whose policy it is")
        listing = verbs.add_parser("list", help="list policies")
        listing.add_argument("--json", action="store_true", help="print them as the API shows them")
        add_person(listing, "list what this person sees")
        edit = verbs.add_parser("edit", help="change a policy; what is left out stays")
        edit.add_argument("policy", metavar="POLICY", help="name or id")
        edit.add_argument("--name", metavar="NAME")
        edit.add_argument("--description", metavar="TEXT")
        edit.add_argument("--rules", nargs="*", metavar="RULE", help="the whole list")
        edit.add_argument("--file", metavar="FILE", help="the whole list, as lines or JSON, from a file; - is stdin")
        edit.add_argument("--add", nargs="+", default=[], metavar="RULE", help="rules to add")
        edit.add_argument("--remove", nargs="+", default=[], metavar="NAME", help="names of rules to take out")
        edit.add_argument("--include", nargs="+", default=[], metavar="PRESET", help="presets to include, by id")
        edit.add_argument("--leave-out", nargs="+", default=[], metavar="PRESET", help="presets to include no longer")
        add_person(edit)
        attempt = verbs.add_parser("try", help="would this policy alone let a host through? exit code 1 if not")
        attempt.add_argument("policy", metavar="POLICY", help="name or id")
        attempt.add_argument("host", metavar="HOST")
        attempt.add_argument("port", nargs="?", default=443, type=int, metavar="PORT")
        attempt.add_argument("--by", default="", metavar="PROGRAM", help="the path of the program that asks")
        add_person(attempt)
        second = verbs.add_parser("four-eyes", help="whether what allows more needs a second person")
        second.add_argument("to", choices=("on", "off"), metavar="on|off")
        add_person(second)
        delete = verbs.add_parser("delete", help="delete a policy no agent has")
        delete.add_argument("policy", metavar="POLICY", help="name or id")
        add_person(delete)

    def do_four_eyes(self, options: dict[str, Any]) -> None:
        four_eyes.switch(actor(options["user"]), options["to"] == "on")
        self.say(f"A second person for what allows more: {options['to']}.")

    def do_create(self, options: dict[str, Any]) -> None:
        visibility = Visibility.SHARED if options["shared"] else Visibility.PRIVATE
        made = policies.create(
            actor(options["user"]),
            options["name"],
            self.rules_given(options) or (),
            description=options["description"],
            visibility=visibility,
            preset_ids=options["preset"],
        )
        self.stdout.write(made.pk)

    def do_list(self, options: dict[str, Any]) -> None:
        seen = permissions.visible(reader(options["user"]), rows()).order_by("name")
        if options["json"]:
            self.print_json([PolicyOut.from_orm(policy).model_dump(mode="json") for policy in seen])
            return
        self.print_table(
            ("NAME", "ALLOWS", "OWNER", "ACCESS", "ID"),
            ((p.name, ",".join(p.hosts) or "none", p.owner, p.visibility, p.pk) for p in seen),
        )

    def do_edit(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        policy = _named(user, options["policy"], "policy.edit")
        fields = {name: options[name] for name in ("name", "description") if options[name] is not None}
        wanted = self.rules_given(options)
        if wanted is not None or options["add"] or options["remove"]:
            fields["rules"] = _edited(policy.rules if wanted is None else wanted, options["add"], options["remove"])
        if options["include"] or options["leave_out"]:
            held = [preset.pk for preset in policy.presets.all()]
            fields["preset_ids"] = [pk for pk in [*held, *options["include"]] if pk not in options["leave_out"]]
        policies.change(user, policy.pk, policy.version, **fields)
        self.say(f"{policy.name} is saved.")

    def rules_given(self, options: dict[str, Any]) -> list[dict[str, Any]] | None:
        """The whole list, if the command line or a file says it."""
        if options["file"]:
            return policies.clean_rules(rule_lines.read(text_of(options["file"])))
        return None if options["rules"] is None else policies.clean_rules(rule_lines.parse_lines(options["rules"]))

    def do_try(self, options: dict[str, Any]) -> None:
        policy = _named(actor(options["user"]), options["policy"], "policy.view")
        verdict = policies.would_reach(policy, options["host"], options["port"], options["by"])
        self.stdout.write(f"{'let through' if verdict.allowed else 'refused'}: {verdict.reason}")
        if not verdict.allowed:
            self.end(1)

    def do_delete(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        policy = _named(user, options["policy"], "policy.manage")
        policies.remove(user, policy.pk)
        self.say(f"{policy.name} is deleted.")


def text_of(path: str) -> str:
    """What stands in this file, or on standard input for "-". Raises Invalid."""
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} cannot be read as text.", field="file") from error


def _edited(rules: list[dict[str, Any]], added: list[str], removed: list[str]) -> list[dict[str, Any]]:
    if unknown := sorted(set(removed) - {rule["name"] for rule in rules}):
        raise Invalid(f"No rule is called {unknown[0]!r}.", field="remove")
    kept = [rule for rule in rules if rule["name"] not in removed]
    return [*kept, *policies.clean_rules(rule_lines.parse_lines(added, {rule["name"] for rule in kept}))]


def _named(user: User, name_or_id: str, action: str) -> Policy:
    return permissions.fetch(user, action, Policy.objects.filter(Q(pk=name_or_id) | Q(name=name_or_id)))
