"""Souls from a shell: list, show, write, import, export and compare them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Q

from agents import permissions, scanning, soul_files, soul_library, souls, starters
from agents.api.souls import SoulOut, SoulText
from agents.command_line import LogosCommand, actor, add_person, plain, reader
from agents.diffing import words
from agents.errors import Invalid
from agents.models import Soul, User, Visibility

_MARKS = {"added": ("{+", "+}"), "removed": ("[-", "-]"), "same": ("", "")}


class Command(LogosCommand):
    """``soul list|show|new|import|export|diff``."""

    help = "List, show, write, import, export and compare souls."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|show|new|import|export|diff")
        listing = verbs.add_parser("list", help="list souls, or the starter souls")
        listing.add_argument("--starters", action="store_true", help="the souls that come with Logos")
        listing.add_argument("--tag", default="", metavar="TAG", help="only those with this tag")
        listing.add_argument("--category", default="", metavar="WORD", help="only those of this category")
        listing.add_argument("--status", default="", metavar="STATUS", help="draft, active or archived")
        listing.add_argument("--json", action="store_true")
        add_person(listing, "list what this person sees")
        show = verbs.add_parser("show", help="print a soul's text; warnings go to standard error")
        show.add_argument("soul", metavar="SOUL", help="slug or id")
        show.add_argument("--json", action="store_true")
        add_person(show, "read as this person")
        new = verbs.add_parser("new", help="write a soul, from a starter soul or a text; prints its id")
        new.add_argument("name", metavar="NAME")
        begin = new.add_mutually_exclusive_group(required=True)
        begin.add_argument("--from", dest="starter", metavar="STARTER", help="slug of a starter soul")
        begin.add_argument("--text-file", metavar="FILE", help="the text")
        taking = verbs.add_parser("import", help="make a soul from a SOUL.md; prints its id")
        taking.add_argument("file", metavar="FILE")
        taking.add_argument("--name", default="", metavar="NAME", help="another name than the file says")
        for each in (new, taking):
            each.add_argument("--shared", action="store_true", help="everyone who may sign in may use it")
            add_person(each)
        export = verbs.add_parser("export", help="print a soul as a SOUL.md")
        export.add_argument("soul", metavar="SOUL", help="slug or id")
        add_person(export, "read as this person")
        diff = verbs.add_parser("diff", help="what changed between two revisions, word by word")
        diff.add_argument("soul", metavar="SOUL", help="slug or id")
        diff.add_argument("old", nargs="?", type=int, metavar="OLD", help="default: the one before NEW")
        diff.add_argument("new", nargs="?", type=int, metavar="NEW", help="default: the newest")
        add_person(diff, "read as this person")

    def do_list(self, options: dict[str, Any]) -> None:
        if options["starters"]:
            self.print_table(
                ("STARTER", "NAME", "CATEGORY", "DESCRIPTION"),
                ((s.slug, s.sheet.name, s.sheet.category, s.sheet.description) for s in starters.every()),
            )
            return
        rows = permissions.visible(reader(options["user"]), Soul.objects.select_related("owner").defer("text"))
        if options["tag"]:
            rows = soul_library.with_tag(rows, options["tag"])
        if options["category"]:
            rows = rows.filter(category=souls.clean_category(options["category"]))
        if options["status"]:
            rows = rows.filter(status=souls.clean_status(options["status"]))
        seen = rows.order_by("name", "pk")
        if options["json"]:
            self.print_json([SoulOut.from_orm(soul).model_dump(mode="json") for soul in seen])
            return
        self.print_table(
            ("SLUG", "NAME", "OWNER", "STATUS", "CATEGORY", "TAGS", "REVISION"),
            ((s.slug, s.name, s.owner, s.status, s.category, s.tags, s.revision) for s in seen),
        )

    def do_show(self, options: dict[str, Any]) -> None:
        soul = _find(reader(options["user"]), options["soul"])
        if options["json"]:
            self.print_json(SoulText.from_orm(soul).model_dump(mode="json"))
            return
        self.stdout.write(plain(soul.text), ending="" if soul.text.endswith("\n") else "\n")
        self._warn(soul)

    def do_new(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        permissions.require(user, "soul.create")
        visibility = _visibility(options)
        if options["starter"]:
            soul = souls.from_starter(
                starters.get(options["starter"]), user, name=options["name"], visibility=visibility
            )
        else:
            text = _read(options["text_file"])
            soul = soul_library.write(user, name=options["name"], text=text, visibility=visibility)
        self._made(soul)

    def do_import(self, options: dict[str, Any]) -> None:
        path = options["file"]
        taken = soul_library.take_in(
            actor(options["user"]),
            _read(path),
            Path(path).name,
            name=options["name"],
            visibility=_visibility(options),
        )
        for note in taken.notes:
            self.say(plain(note))
        self._made(taken.soul)

    def do_export(self, options: dict[str, Any]) -> None:
        soul = _find(reader(options["user"]), options["soul"])
        self.stdout.write(soul_files.render(souls.sheet_of(soul)), ending="")

    def do_diff(self, options: dict[str, Any]) -> None:
        soul = _find(reader(options["user"]), options["soul"])
        first, second = options["old"], options["new"]
        newest = soul.revision if second is None else second
        oldest = max(1, newest - 1) if first is None else first
        old, new = (soul_library.revision(soul, number) for number in (oldest, newest))
        for piece in words(old.text, new.text):
            begin, end = _MARKS[piece.kind]
            self.stdout.write(f"{begin}{plain(piece.text)}{end}", ending="")
        self.stdout.write("")

    def _made(self, soul: Soul) -> None:
        self.stdout.write(soul.pk)
        self._warn(soul)

    def _warn(self, soul: Soul) -> None:
        for found in scanning.scan(soul.text):
            self.say(f"line {found.line}: {found.sentence} {plain(found.excerpt)}")


def _find(user: User, named: str) -> Soul:
    rows = Soul.objects.select_related("owner").filter(Q(pk=named) | Q(slug=named))
    return permissions.fetch(user, "soul.view", rows)


def _visibility(options: dict[str, Any]) -> str:
    return Visibility.SHARED if options["shared"] else Visibility.PRIVATE


def _read(path: str) -> str:
    """The file as text. Invalid when it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return soul_files.decode(file.read(soul_files.MAX_BYTES + 1))
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}.", field="file") from error
