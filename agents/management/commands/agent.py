"""Make, list, change, duplicate, archive and delete agents from a shell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction

from agents import (
    agent_templates,
    choosing,
    composed,
    composition,
    duplicating,
    permissions,
    preparing,
    retiring,
    souls,
)
from agents.agent_templates import Template
from agents.api.agents import AgentOut, TemplateOut, rows
from agents.command_line import LogosCommand, actor, add_person, reader
from agents.duplicating import PARTS
from agents.editing import editing
from agents.errors import Invalid
from agents.models import Agent, Soul, User, Visibility


class Command(LogosCommand):
    """``agent create|list|change|duplicate|archive|unarchive|delete|templates``."""

    help = "Make, list, change, duplicate, archive and delete agents."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        create = verbs.add_parser("create", help="make an agent; prints its id")
        create.add_argument("name", metavar="NAME")
        create.add_argument("--owner", default="", metavar="USER", help="whose agent it is; default: the only admin")
        soul = create.add_mutually_exclusive_group()
        soul.add_argument("--soul", default="", metavar="SLUG", help="slug or id of the soul; default: the only one")
        soul.add_argument("--soul-file", metavar="FILE", help="make a new soul from this text")
        create.add_argument("--template", default="", metavar="SLUG", help="begin with its soul, tools and look")
        create.add_argument("--toolsets", metavar="A,B", help="default: what the soul suggests")
        create.add_argument(
            "--route", default="", metavar="ID", help="id or model of a route; default: the default one"
        )
        create.add_argument("--description", default="", metavar="TEXT")
        create.add_argument("--shared", action="store_true", help="everyone who may sign in may chat with it")
        _add_prepare(create)
        create.add_argument("--json", action="store_true", help="print the agent as the API shows it")
        listing = verbs.add_parser("list", help="list agents")
        add_person(listing, "list what this person sees")
        listing.add_argument("--archived", action="store_true", help="the archived ones instead of those in use")
        listing.add_argument("--json", action="store_true")
        change = verbs.add_parser("change", help="compose one anew; what is not named stays")
        change.add_argument("--name", dest="new_name", metavar="NAME", help="another name")
        change.add_argument("--soul", metavar="SLUG", help="slug or id of another soul")
        change.add_argument("--toolsets", metavar="A,B")
        change.add_argument("--route", metavar="ID", help="id or model of a route; empty for the default one")
        change.add_argument("--description", metavar="TEXT")
        copy = verbs.add_parser("duplicate", help="make an agent like it; prints its id")
        copy.add_argument("name", metavar="AGENT", help="name or id")
        copy.add_argument("new_name", metavar="NEW", help="the name of the new one")
        copy.add_argument("--copy", default="", metavar="A,B", help=f"what of its sandbox: {', '.join(PARTS)}")
        copy.add_argument("--soul", default="", metavar="SLUG", help="needed when its own soul may not be seen")
        _add_prepare(copy)
        archive = verbs.add_parser("archive", help="nobody can message it; everything is kept")
        unarchive = verbs.add_parser("unarchive", help="it can be used again")
        delete = verbs.add_parser("delete", help="delete it and its files for good; its runs stay readable")
        for verb in (change, archive, unarchive, delete):
            verb.add_argument("name", metavar="AGENT", help="name or id")
        for verb in (change, copy, archive, unarchive, delete):
            add_person(verb)
        templates = verbs.add_parser("templates", help="what a new agent can begin with")
        templates.add_argument("--json", action="store_true")

    @transaction.atomic
    def do_create(self, options: dict[str, Any]) -> None:
        owner = actor(options["owner"])
        begun = agent_templates.get(options["template"]) if options["template"] else None
        toolsets = _words(options["toolsets"])
        if toolsets is None and begun is not None and begun.toolsets is not None:
            toolsets = list(begun.toolsets)
        agent = composition.create(
            owner,
            options["name"],
            _soul(options, owner, begun),
            toolsets=toolsets,
            route=choosing.route(owner, options["route"]),
            description=options["description"] or (begun.description if begun else ""),
            visibility=Visibility.SHARED if options["shared"] else Visibility.PRIVATE,
            sprite=(begun.shape, begun.palette) if begun else ("", ""),
        )
        preparing.ask(agent, options["prepare"])
        if options["json"]:
            self._print(owner, [agent], one=True)
        else:
            self.stdout.write(agent.pk)

    def do_list(self, options: dict[str, Any]) -> None:
        user = reader(options["user"])
        seen = list(
            permissions.visible(user, rows()).filter(archived_at__isnull=not options["archived"]).order_by("name", "pk")
        )
        composed.hide(user, seen)
        if options["json"]:
            self._print(user, seen)
            return
        self.print_table(
            ("NAME", "OWNER", "SOUL", "MODEL", "TOOLSETS", "ID"),
            (
                (
                    a.name,
                    a.owner,
                    composed.HIDDEN_SOUL if a.hides_soul else a.soul.name,
                    composed.HIDDEN_MODEL if a.hides_route else a.route.model if a.route else "default",
                    ",".join(a.toolsets),
                    a.pk,
                )
                for a in seen
            ),
        )

    def do_change(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        found = composition.find(user, options["name"], "agent.edit")
        with editing(user, "agent.edit", rows(), found.pk, None) as agent:
            composition.change(
                user,
                agent,
                name=options["new_name"],
                description=options["description"],
                soul=choosing.soul(user, options["soul"]) if options["soul"] else None,
                toolsets=_words(options["toolsets"]),
                route=composition.KEEP if options["route"] is None else choosing.route(user, options["route"]),
            )
        self.say(f"{agent.name} is changed, from its next message on.")

    def do_duplicate(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        source = composition.find(user, options["name"])
        soul = choosing.soul(user, options["soul"]) if options["soul"] else None
        agent = duplicating.duplicate(
            user,
            source,
            options["new_name"],
            soul=soul,
            parts=_words(options["copy"]) or (),
            prepare=options["prepare"],
        )
        self.stdout.write(agent.pk)

    def do_archive(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        agent = retiring.archive(user, composition.find(user, options["name"], "agent.manage").pk)
        self.say(f"{agent.name} is archived; what it did is stopped, and everything is kept.")

    def do_unarchive(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        agent = retiring.unarchive(user, composition.find(user, options["name"], "agent.manage").pk)
        self.say(f"{agent.name} is in use again.")

    def do_delete(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        agent = retiring.delete(user, composition.find(user, options["name"], "agent.manage").pk)
        self.say(f"{agent.name} is deleted, its files with it; its conversations and runs stay readable.")

    def do_templates(self, options: dict[str, Any]) -> None:
        found = agent_templates.every()
        if options["json"]:
            self.print_json([TemplateOut.from_orm(each).model_dump(mode="json") for each in found])
            return
        self.print_table(("SLUG", "SOUL", "WHAT"), ((each.slug, each.soul, each.description) for each in found))

    def _print(self, user: User, agents: list[Agent], *, one: bool = False) -> None:
        composed.hide(user, agents)
        shown = [AgentOut.from_orm(agent).model_dump(mode="json") for agent in agents]
        self.print_json(shown[0] if one else shown)


def _add_prepare(parser: CommandParser) -> None:
    """``--no-prepare``; without it LOGOS_PREPARE_AGENTS decides."""
    parser.add_argument(
        "--no-prepare",
        dest="prepare",
        action="store_const",
        const=False,
        help="leave the making of its sandbox to the first message",
    )


def _soul(options: dict[str, Any], owner: User, begun: Template | None) -> Soul:
    if options["soul_file"]:
        return _soul_from(options["soul_file"], owner)
    if begun is not None and not options["soul"]:
        return agent_templates.soul_from(begun.starter, owner)
    return choosing.soul(owner, options["soul"])


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
