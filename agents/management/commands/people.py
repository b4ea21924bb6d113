"""People and groups from a shell: list, change role, suspend, limit, invite, set a password, groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.urls import reverse

from agents import erasing, exporting, groups, invitations, people, privacy, registration
from agents.api.people import shown
from agents.command_line import LogosCommand, actor, add_person
from agents.errors import NotFound
from agents.models import Role, User


class Command(LogosCommand):
    """``people list|show|role|suspend|restore|limit|invite|password-link|sign-out|group``."""

    help = "Look after people and groups."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        listing = verbs.add_parser("list", help="list people")
        listing.add_argument("--text", default="", metavar="WORDS", help="words in a name or the e-mail")
        listing.add_argument("--role", default="", choices=["", *Role.values], metavar="ROLE")
        listing.add_argument("--state", default="", choices=["", *people.STATES], metavar="STATE")
        listing.add_argument("--group", default="", metavar="GROUP")
        listing.add_argument("--json", action="store_true")
        show = verbs.add_parser("show", help="show one person")
        show.add_argument("--json", action="store_true")
        role = verbs.add_parser("role", help="give somebody another role")
        suspend = verbs.add_parser("suspend", help="sign somebody out and let them in no more")
        restore = verbs.add_parser("restore", help="let a suspended person in again")
        limit = verbs.add_parser("limit", help="how many agents somebody may own")
        link = verbs.add_parser("password-link", help="print a one-time link that sets a new password")
        out = verbs.add_parser("sign-out", help="end every session of somebody")
        approve = verbs.add_parser("approve", help="let somebody in who asked for an account")
        refuse = verbs.add_parser("refuse", help="refuse somebody who asked for an account")
        for verb in (approve, refuse):
            verb.add_argument("--note", default="", metavar="TEXT", help="why, for the audit")
        for verb in (show, role, suspend, restore, limit, link, out, approve, refuse):
            verb.add_argument("person", metavar="PERSON", help="user name")
        role.add_argument("role", choices=Role.values, metavar="ROLE", help=", ".join(Role.values))
        limit.add_argument("max_agents", metavar="LIMIT", help="a number, unlimited, or role")
        invite = verbs.add_parser("invite", help="print a one-time link by which somebody joins")
        invite.add_argument("--role", default=Role.USER, choices=Role.values, metavar="ROLE")
        invite.add_argument("--email", default="", metavar="ADDRESS")
        export = verbs.add_parser("export", help="write an archive of everything about somebody")
        export.add_argument("--to", required=True, metavar="FILE", help="where; it must not exist yet")
        erase = verbs.add_parser("erase", help="erase somebody for good; again, to take up what was left")
        erase.add_argument("--confirm", default="", metavar="USER", help="the user name again")
        for verb in (export, erase):
            verb.add_argument("person", metavar="PERSON", help="user name")
        private = verbs.add_parser("privacy", help="say whether chats are private, or make them so")
        private.add_argument("switch", nargs="?", default="", choices=["", "on", "off"], metavar="on|off")
        group = verbs.add_parser("group", help="list, make, rename, fill and delete groups")
        group.add_argument("what", choices=["list", "create", "rename", "add", "remove", "delete"], metavar="WHAT",
                           help="list, create, rename, add, remove or delete")  # fmt: skip
        group.add_argument("group", nargs="?", default="", metavar="GROUP")
        group.add_argument("value", nargs="?", default="", metavar="PERSON|NAME", help="who, or the new name")
        for verb in verbs.choices.values():
            add_person(verb)

    def do_list(self, options: dict[str, Any]) -> None:
        people.require(actor(options["user"]))
        rows = people.narrowed(
            people.listed().prefetch_related("groups"),
            **{name: options[name] for name in ("text", "role", "state", "group")},
        )
        found = [shown(each) for each in rows.order_by("username")]
        if options["json"]:
            self.print_json([each.model_dump(mode="json") for each in found])
            return
        self.print_table(
            ("USER", "NAME", "ROLE", "STATE", "2ND FACTOR", "AGENTS", "LAST SEEN"),
            (
                (p.username, p.name, p.role, p.state, "yes" if p.has_second_factor else "no", p.agents, p.last_seen_at)
                for p in found
            ),
        )

    def do_show(self, options: dict[str, Any]) -> None:
        told = shown(_who(options)[1]).model_dump(mode="json")
        if options["json"]:
            self.print_json(told)
        else:
            self.print_table(("WHAT", "IS"), [(name, value) for name, value in told.items()])

    def do_role(self, options: dict[str, Any]) -> None:
        people.change_role(*_who(options), options["role"])
        self.say(f"{options['person']} has the role {options['role']} now.")

    def do_suspend(self, options: dict[str, Any]) -> None:
        people.suspend(*_who(options))
        self.say(f"{options['person']} is suspended and signed out.")

    def do_restore(self, options: dict[str, Any]) -> None:
        people.restore(*_who(options))
        self.say(f"{options['person']} may sign in again.")

    def do_approve(self, options: dict[str, Any]) -> None:
        registration.approve(*_who(options), options["note"])
        self.say(f"{options['person']} may sign in now.")

    def do_refuse(self, options: dict[str, Any]) -> None:
        registration.refuse(*_who(options), options["note"])
        self.say(f"{options['person']} is refused.")

    def do_export(self, options: dict[str, Any]) -> None:
        user, found = _who(options)
        exporting.write_to(user, found, Path(options["to"]))
        self.say(f"Written to {options['to']}.")

    def do_erase(self, options: dict[str, Any]) -> None:
        user, found = _who(options)
        erasing.close(user, found, options["confirm"])
        erasing.carry_out(found.pk)
        self.say(f"Erased. What stays is called {erasing.pseudonym(found)}.")

    def do_privacy(self, options: dict[str, Any]) -> None:
        if options["switch"]:
            privacy.switch(actor(options["user"]), options["switch"] == "on")
        self.stdout.write("on" if privacy.is_on() else "off")

    def do_limit(self, options: dict[str, Any]) -> None:
        people.set_limit(*_who(options), options["max_agents"])
        self.say("Saved.")

    def do_sign_out(self, options: dict[str, Any]) -> None:
        self.say(f"Sessions ended: {people.sign_out(*_who(options))}.")

    def do_password_link(self, options: dict[str, Any]) -> None:
        _, secret = invitations.password_link(*_who(options))
        self.stdout.write(_address("agents:set-password", secret))
        self.say("Hand it over: it sets a new password once, within 24 hours.")

    def do_invite(self, options: dict[str, Any]) -> None:
        link, secret = invitations.invite(actor(options["user"]), options["role"], options["email"])
        self.stdout.write(_address("agents:join", secret))
        self.say(f"Hand it over: it works once, until {link.expires_at:%Y-%m-%d %H:%M} UTC.")

    def do_group(self, options: dict[str, Any]) -> None:
        user, what, name, value = actor(options["user"]), options["what"], options["group"], options["value"]
        people.require(user)
        if what == "list":
            rows = groups.listed()
            self.print_table(("GROUP", "MEMBERS"), [(row.name, row.member_count) for row in rows])  # type: ignore[attr-defined]
            return
        if what == "create":
            groups.create(user, name)
        else:
            group = groups.listed().filter(name=name).first()
            if group is None:
                raise NotFound("This group")
            if what == "rename":
                groups.rename(user, group, value)
            elif what == "delete":
                groups.delete(user, group, value)
            else:
                change = groups.add if what == "add" else groups.remove
                change(user, group, people.find(user, username=value or " "))
        self.say("Done.")


def _who(options: dict[str, Any]) -> tuple[User, User]:
    """Who acts, and on whom."""
    user = actor(options["user"])
    return user, people.find(user, username=options["person"])


def _address(name: str, secret: str) -> str:
    base = settings.LOGOS_URL or f"http://{settings.LOGOS_HOST}:{settings.LOGOS_PORT}"
    return base.rstrip("/") + reverse(name, args=[secret])
