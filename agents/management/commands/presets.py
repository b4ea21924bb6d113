"""List, show, write, change and delete presets, and put back what was shipped, from a shell."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Q

from agents import permissions, policies, preset_library, rule_lines
from agents.api.presets import PresetOut
from agents.command_line import LogosCommand, actor, add_person, reader
from agents.management.commands.policy import RULE_HELP, text_of
from agents.models import Preset, PresetCategory, User


class Command(LogosCommand):
    """``presets list|show|create|edit|restore|delete``."""

    help = "The library of rules that policies include."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|show|create|edit|restore|delete")
        listing = verbs.add_parser("list", help="list presets")
        listing.add_argument("--category", choices=PresetCategory.values, help="only those of this category")
        listing.add_argument("--json", action="store_true", help="print them as the API shows them")
        add_person(listing, "list what this person sees")
        show = verbs.add_parser("show", help="print the rules of a preset, one a line, and who uses it")
        create = verbs.add_parser("create", help="write a preset; prints its id")
        edit = verbs.add_parser("edit", help="change a preset; what is left out stays")
        restore = verbs.add_parser("restore", help="make a preset say what came with Logos; add it if it was deleted")
        delete = verbs.add_parser("delete", help="delete a preset no policy includes")
        for each in (show, edit, restore, delete):
            each.add_argument("preset", metavar="PRESET", help="id or name")
        create.add_argument("name", metavar="NAME")
        edit.add_argument("--name", metavar="NAME")
        for each in (create, edit):
            each.add_argument("--rules", nargs="*", metavar="RULE", help=RULE_HELP)
            each.add_argument("--file", metavar="FILE", help="the rules, as lines or JSON, from a file; - is stdin")
            each.add_argument("--category", choices=PresetCategory.values)
            each.add_argument("--description", metavar="TEXT")
        for each in (show, create, edit, restore, delete):
            add_person(each)

    def do_list(self, options: dict[str, Any]) -> None:
        seen = permissions.visible(reader(options["user"]), Preset.objects.order_by("category", "name"))
        if options["category"]:
            seen = seen.filter(category=options["category"])
        if options["json"]:
            self.print_json([PresetOut.from_orm(preset).model_dump(mode="json") for preset in seen])
            return
        self.print_table(
            ("ID", "NAME", "CATEGORY", "ALLOWS", "COMES WITH LOGOS"),
            ((p.pk, p.name, p.category, ",".join(p.hosts) or "none", _comes(p)) for p in seen),
        )

    def do_show(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        preset = _named(user, options["preset"], "preset.view")
        self.stdout.write(rule_lines.write(preset.rules))
        if permissions.may(user, "preset.edit"):
            self.say(f"Used by {preset_library.use_of(user, preset).sentence or 'no policy'}.")

    def do_create(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        made = preset_library.create(user, options["name"], **{"rules": (), **_given(options)})
        self.stdout.write(made.pk)

    def do_edit(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        preset = _named(user, options["preset"], "preset.edit")
        name = {} if options["name"] is None else {"name": options["name"]}
        preset_library.change(user, preset.pk, preset.version, **name, **_given(options))
        self.say(f"{preset.name} is saved, and counts from now on.")

    def do_restore(self, options: dict[str, Any]) -> None:
        user, named = actor(options["user"]), options["preset"]
        if any(came.slug == named for came in preset_library.missing()):
            self.say(f"{preset_library.bring_back(user, named)} is back.")
            return
        preset = _named(user, named, "preset.edit")
        restored = preset_library.restore(user, preset.pk, preset.version)
        self.say(f"{restored} is what came with Logos.")

    def do_delete(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        preset = _named(user, options["preset"], "preset.edit")
        preset_library.remove(user, preset.pk)
        self.say(f"{preset.name} is deleted.")


def _given(options: dict[str, Any]) -> dict[str, Any]:
    fields = {name: options[name] for name in ("category", "description") if options[name] is not None}
    if options["file"]:
        fields["rules"] = policies.clean_rules(rule_lines.read(text_of(options["file"])))
    elif options["rules"] is not None:
        fields["rules"] = policies.clean_rules(rule_lines.parse_lines(options["rules"]))
    return fields


def _comes(preset: Preset) -> str:
    if preset_library.shipped(preset) is None:
        return "no"
    return "edited" if preset_library.is_edited(preset) else "yes"


def _named(user: User, id_or_name: str, action: str) -> Preset:
    return permissions.fetch(user, action, Preset.objects.filter(Q(pk=id_or_name) | Q(name=id_or_name)))
