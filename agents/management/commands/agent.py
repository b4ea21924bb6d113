"""Create, list and delete agents from a shell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction

from agents import choosing, composition, permissions, souls
from agents.api.agents import AgentOut, rows
from agents.command_line import LogosCommand, actor, add_person, reader
from agents.errors import Invalid
from agents.models import Soul, User, Visibility


class Command(LogosCommand):
    """``agent create|list|delete``."""

    help = "Create, list and delete agents."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="create|list|delete")
        create = verbs.add_parser("create", help="make an agent; prints its id")
        create.add_argument("name", metavar="NAME")
        create.add_argument("--owner", default="", metavar="USER", help="whose agent it is; default: the only admin")
        soul = create.add_mutually_exclusive_group()
        soul.add_argument("--soul", default="", metavar="SLUG", help="slug or id of the soul; default: the only one")
        soul.add_argument("--soul-file", metavar="FILE", help="make a new soul from this text")
        create.add_argument("--toolsets", metavar="A,B", help="default: terminal,file")
        create.add_argument(
            "--route", default="", metavar="ID", help="id or model of a route; default: the default one"
        )
        create.add_argument("--description", default="", metavar="TEXT")
        create.add_argument("--shared", action="store_true", help="everyone who may sign in may chat with it")
        create.add_argument("--json", action="store_true", help="print the agent as the API shows it")
        listing = verbs.add_parser("list", help="list agents")
        add_person(listing, "list what this person sees")
        listing.add_argument("--json", action="store_true")
        delete = verbs.add_parser("delete", help="mark an agent deleted; its runs stay readable")
        delete.add_argument("name", metavar="NAME", help="name or id")
        add_person(delete)

    @transaction.atomic
    def do_create(self, options: dict[str, Any]) -> None:
        owner = actor(options["owner"])
        agent = composition.create(
            owner,
            options["name"],
            _soul_from(options["soul_file"], owner) if options["soul_file"] else choosing.soul(owner, options["soul"]),
            toolsets=_words(options["toolsets"]),
            route=choosing.route(owner, options["route"]),
            description=options["description"],
            visibility=Visibility.SHARED if options["shared"] else Visibility.PRIVATE,
        )
        if options["json"]:
            self.print_json(AgentOut.from_orm(agent).model_dump(mode="json"))
        else:
            self.stdout.write(agent.pk)

    def do_list(self, options: dict[str, Any]) -> None:
        seen = permissions.visible(reader(options["user"]), rows()).order_by("name", "pk")
        if options["json"]:
            self.print_json([AgentOut.from_orm(agent).model_dump(mode="json") for agent in seen])
            return
        self.print_table(
            ("NAME", "OWNER", "SOUL", "MODEL", "TOOLSETS", "ID"),
            (
                (a.name, a.owner, a.soul.name, a.route.model if a.route else "default", ",".join(a.toolsets), a.pk)
                for a in seen
            ),
        )

    def do_delete(self, options: dict[str, Any]) -> None:
        agent = composition.find(actor(options["user"]), options["name"], "agent.manage")
        agent.mark_deleted()
        self.say(f"{agent.name} is deleted; its conversations and runs stay readable.")


def _words(text: str | None) -> list[str] | None:
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]


def _soul_from(path: str, owner: User) -> Soul:
    """A soul named after the file. Invalid when it cannot be read or cannot be a soul."""
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise Invalid(f"{path} cannot be read: {why}.", field="soul_file") from error
    permissions.require(owner, "soul.create")
    return souls.create(Path(path).stem, text, owner)
