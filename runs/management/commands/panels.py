"""Say who decides what agents ask, from a shell."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from agents import permissions
from agents.command_line import LogosCommand, actor, add_person, plain, reader
from agents.errors import Invalid
from agents.models import User
from runs.api.panels import PanelOut, group_called
from runs.approvals import panels
from runs.models.panels import KINDS, SEVERITIES


class Command(LogosCommand):
    """``panels list|set|change|delete``."""

    help = "See and say who decides what agents ask: how many people, of which group, and who else after a while."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|set|change|delete")
        listing = verbs.add_parser("list", help="every panel and what it says")
        listing.add_argument("--json", action="store_true", help="print JSON")
        add_person(listing, "look as this person")
        new = verbs.add_parser("set", help="a new panel, for what is asked from now on")
        change = verbs.add_parser("change", help="change one; what is not said stays")
        change.add_argument("panel", metavar="PANEL", help="its id")
        state = change.add_mutually_exclusive_group()
        state.add_argument("--on", action="store_const", const=True, dest="is_active", help="it holds again")
        state.add_argument("--off", action="store_const", const=False, dest="is_active", help="it does not hold")
        for each in (new, change):
            each.add_argument("--kind", choices=[kind for kind, _ in KINDS], help="only what is asked so")
            each.add_argument("--severity", choices=[value for value, _ in SEVERITIES], help="only what is so severe")
            each.add_argument("--policy", metavar="POLICY", help="only of agents with this policy: its name or id")
            each.add_argument("--needed", type=int, metavar="N", help="how many people must allow it")
            each.add_argument("--team", metavar="GROUP", help="only the leave of its members counts")
            each.add_argument("--after", type=int, dest="escalate_min", metavar="MIN", help="others may then too")
            each.add_argument("--to", dest="escalate_to", metavar="GROUP", help="which group (default: operators)")
            each.add_argument("--note", metavar="TEXT", help="why")
            add_person(each)
        gone = verbs.add_parser("delete", help="delete one")
        gone.add_argument("panel", metavar="PANEL", help="its id")
        add_person(gone)

    def do_list(self, options: dict[str, Any]) -> None:
        rows = list(panels.seen_by(reader(options["user"])))
        if options["json"]:
            self.print_json([PanelOut.from_orm(row).model_dump(mode="json") for row in rows])
            return
        self.print_table(("ID", "FOR", "SAYS"), ((row.pk, plain(str(row)), plain(panels.says(row))) for row in rows))

    def do_set(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        permissions.require(user, "panel.set")
        row = panels.create(user, **_fields(user, options))
        self.say(f"{row.pk}: {plain(panels.says(row))}.")

    def do_change(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        permissions.require(user, "panel.set")
        fields = _fields(user, options)
        if options["is_active"] is not None:
            fields["is_active"] = options["is_active"]
        row = panels.change(user, options["panel"], None, **fields)
        self.say(f"{row.pk}: {plain(panels.says(row))}.")

    def do_delete(self, options: dict[str, Any]) -> None:
        panels.remove(actor(options["user"]), options["panel"])
        self.say("Deleted.")


def _fields(user: User, options: dict[str, Any]) -> dict[str, Any]:
    names = ("kind", "severity", "needed", "escalate_min", "note")
    fields = {name: options[name] for name in names if options[name] is not None}
    for name in ("team", "escalate_to"):
        if options[name] is not None:
            fields[name] = group_called(options[name], name)
    if options["policy"] is not None:
        rows = panels.policies(user)
        found = rows.filter(pk=options["policy"]).first() or rows.filter(name=options["policy"]).first()
        if options["policy"] and found is None:
            raise Invalid("There is no such policy.", field="policy")
        fields["policy"] = found
    return fields
