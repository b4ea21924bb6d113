"""Write, change, list, try and delete policies from a shell."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Q

from agents import permissions, policies
from agents.api.policies import PolicyOut, rows
from agents.command_line import LogosCommand, actor, add_person, reader
from agents.models import Policy, User, Visibility


class Command(LogosCommand):
    """``policy create|list|edit|try|delete``."""

    help = "Write, change, list, try and delete policies: the hosts an agent may reach."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="create|list|edit|try|delete")
        create = verbs.add_parser("create", help="write a policy; prints its id")
        create.add_argument("name", metavar="NAME")
        create.add_argument("hosts", nargs="*", metavar="HOST", help="a name, or *. and a name")
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
        edit.add_argument("--hosts", nargs="*", metavar="HOST", help="the whole list")
        edit.add_argument("--add", nargs="+", default=[], metavar="HOST", help="hosts to add")
        edit.add_argument("--remove", nargs="+", default=[], metavar="HOST", help="hosts to take out")
        add_person(edit)
        attempt = verbs.add_parser("try", help="would this policy alone let a host through? exit code 1 if not")
        attempt.add_argument("policy", metavar="POLICY", help="name or id")
        attempt.add_argument("host", metavar="HOST")
        attempt.add_argument("port", nargs="?", default=443, type=int, metavar="PORT")
        add_person(attempt)
        delete = verbs.add_parser("delete", help="delete a policy no agent has")
        delete.add_argument("policy", metavar="POLICY", help="name or id")
        add_person(delete)

    def do_create(self, options: dict[str, Any]) -> None:
        visibility = Visibility.SHARED if options["shared"] else Visibility.PRIVATE
        made = policies.create(
            actor(options["user"]),
            options["name"],
            options["hosts"],
            description=options["description"],
            visibility=visibility,
        )
        self.stdout.write(made.pk)

    def do_list(self, options: dict[str, Any]) -> None:
        seen = permissions.visible(reader(options["user"]), rows()).order_by("name")
        if options["json"]:
            self.print_json([PolicyOut.from_orm(policy).model_dump(mode="json") for policy in seen])
            return
        self.print_table(
            ("NAME", "HOSTS", "OWNER", "ACCESS", "ID"),
            ((p.name, ",".join(p.hosts) or "none", p.owner, p.visibility, p.pk) for p in seen),
        )

    def do_edit(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        policy = _named(user, options["policy"], "policy.edit")
        fields = {name: options[name] for name in ("name", "description") if options[name] is not None}
        if options["hosts"] is not None or options["add"] or options["remove"]:
            gone = set(policies.clean_hosts(options["remove"]))
            given = policy.hosts if options["hosts"] is None else options["hosts"]
            fields["hosts"] = [host for host in policies.clean_hosts([*given, *options["add"]]) if host not in gone]
        policies.change(user, policy.pk, policy.version, **fields)
        self.say(f"{policy.name} is saved.")

    def do_try(self, options: dict[str, Any]) -> None:
        policy = _named(actor(options["user"]), options["policy"], "policy.view")
        verdict = policies.would_reach(policy, options["host"], options["port"])
        self.stdout.write(f"{'let through' if verdict.allowed else 'refused'}: {verdict.reason}")
        if not verdict.allowed:
            self.end(1)

    def do_delete(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        policy = _named(user, options["policy"], "policy.manage")
        policies.remove(user, policy.pk)
        self.say(f"{policy.name} is deleted.")


def _named(user: User, name_or_id: str, action: str) -> Policy:
    return permissions.fetch(user, action, Policy.objects.filter(Q(pk=name_or_id) | Q(name=name_or_id)))
