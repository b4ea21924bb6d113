"""See, set and remove budgets."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import CommandParser

from agents import permissions
from agents.command_line import LogosCommand, actor, add_person, reader
from agents.errors import Invalid
from agents.models import Agent, ModelRoute, User
from runs.api.budgets import BudgetOut, _shown
from runs.budgets import setting, showing
from runs.models import BudgetScope, OnLimit, UnknownPrice, Window

COLUMNS = ("ID", "LIMITS", "USED", "ON LIMIT", "NAME")


class Command(LogosCommand):
    """``budget list|show|set|change|delete``."""

    help = "See, set and remove budgets: what may be spent, and how much of it is."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|show|set|change|delete")
        listing = verbs.add_parser("list", help="the budgets and what is used of each")
        show = verbs.add_parser("show", help="one budget")
        show.add_argument("budget", metavar="BUDGET", help="its id")
        for each in (listing, show):
            each.add_argument("--json", action="store_true", help="print it as the API shows it")
            add_person(each, "look as this person")
        new = verbs.add_parser("set", help="set a new budget")
        new.add_argument("amount", metavar="USD")
        new.add_argument("--scope", choices=BudgetScope.values, default="site", help="what it limits (default site)")
        new.add_argument("--agent", default="", metavar="AGENT", help="name or id")
        new.add_argument("--person", default="", metavar="NAME", help="whose, for --scope person")
        new.add_argument("--subject", default="", metavar="ID", help="of one schedule, conversation or run")
        change = verbs.add_parser("change", help="change a budget; what is not said stays")
        change.add_argument("budget", metavar="BUDGET", help="its id")
        change.add_argument("--amount", metavar="USD")
        state = change.add_mutually_exclusive_group()
        state.add_argument("--on", action="store_const", const=True, dest="is_active", help="it holds again")
        state.add_argument("--off", action="store_const", const=False, dest="is_active", help="it holds nobody up")
        for each in (new, change):
            each.add_argument("--name", metavar="TEXT")
            each.add_argument("--window", choices=Window.values, help="24 hours, the month, or its whole life")
            each.add_argument("--zone", metavar="ZONE", help="in which months begin, such as Europe/Zurich")
            each.add_argument("--unknown-price", choices=UnknownPrice.values, help="models without a price")
            each.add_argument("--assumed-input", metavar="USD", help="per million tokens, for --unknown-price assume")
            each.add_argument("--assumed-output", metavar="USD", help="the same for output")
            each.add_argument("--fallback", metavar="MODEL", help="the local model that answers when it is used up")
            add_person(each)
        gone = verbs.add_parser("delete", help="delete a budget")
        gone.add_argument("budget", metavar="BUDGET", help="its id")
        add_person(gone)

    def do_list(self, options: dict[str, Any]) -> None:
        user = reader(options["user"])
        rows = list(setting.seen_by(user).order_by("pk"))
        if options["json"]:
            self.print_json([BudgetOut(**each).model_dump(mode="json") for each in _shown(user, rows)])
            return
        self.print_table(
            COLUMNS,
            (
                (
                    one.budget.pk,
                    one.whose,
                    one.figure if one.budget.is_active else "off",
                    one.budget.on_limit,
                    one.budget.name,
                )
                for one in showing.shown(user, rows)
            ),
        )

    def do_show(self, options: dict[str, Any]) -> None:
        user = reader(options["user"])
        row = setting.fetch(user, options["budget"])
        if options["json"]:
            self.print_json(BudgetOut(**_shown(user, [row])[0]).model_dump(mode="json"))
            return
        one = showing.shown(user, [row])[0]
        self.stdout.write(f"{one.whose}: {one.figure}")
        if frees := one.frees_at():
            self.stdout.write(f"There is room again from {frees:%Y-%m-%d %H:%M} UTC.")

    def do_set(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        fields = _told(user, options)
        fields["amount"] = _number(options["amount"], "amount")
        fields["scope"], fields["subject"] = options["scope"], options["subject"]
        fields.setdefault("window", "life" if options["scope"] in ("run", "conversation") else "day")
        if options["agent"]:
            fields["agent"] = _agent(user, options["agent"])
        if options["person"]:
            permissions.require(user, "budget.set")
            fields["person"] = User.objects.filter(username=options["person"]).first()
            if fields["person"] is None:
                raise Invalid("There is no person of this name.", field="person")
        self.stdout.write(setting.create(user, **fields).pk)

    def do_change(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        fields = _told(user, options)
        if options["amount"] is not None:
            fields["amount"] = _number(options["amount"], "amount")
        if options["is_active"] is not None:
            fields["is_active"] = options["is_active"]
        setting.change(user, options["budget"], None, **fields)
        self.say("The budget is saved.")

    def do_delete(self, options: dict[str, Any]) -> None:
        setting.remove(actor(options["user"]), options["budget"])
        self.say("The budget is deleted.")


def _told(user: User, options: dict[str, Any]) -> dict[str, Any]:
    fields = {name: options[name] for name in ("name", "window", "zone", "unknown_price") if options[name] is not None}
    for name in ("assumed_input", "assumed_output"):
        if options[name] is not None:
            fields[name] = _number(options[name], name)
    if options["fallback"] is not None:
        rows = ModelRoute.objects.select_related("provider")
        found = permissions.visible(user, rows).filter(model=options["fallback"]).order_by("pk").first()
        fields["fallback"] = found or permissions.fetch(user, "route.view", rows, pk=options["fallback"])
        fields["on_limit"] = OnLimit.FALLBACK
    return fields


def _agent(user: User, named: str) -> Agent:
    rows = Agent.objects.alive()
    found = permissions.visible(user, rows).filter(name=named).first()
    return found or permissions.fetch(user, "agent.view", rows, pk=named)


def _number(text: str, field: str) -> Decimal:
    try:
        return Decimal(text.lstrip("$"))
    except InvalidOperation:
        raise Invalid(f"{text[:40]} is no amount of money.", field=field) from None
