"""Add, change, list and delete model routes from a shell, and choose the default."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Q

from agents import permissions, routes
from agents.api.routes import RouteOut, rows
from agents.command_line import LogosCommand, actor, add_person, reader
from agents.errors import Conflict, Invalid
from agents.models import ModelRoute, Provider, User


class Command(LogosCommand):
    """``route add|list|edit|default|delete``."""

    help = "Add, change, list and delete model routes: the models agents answer with."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="add|list|edit|default|delete")
        add = verbs.add_parser("add", help="add a provider's model; prints its id")
        add.add_argument("provider", metavar="PROVIDER", help="name or id")
        add.add_argument("model", metavar="MODEL", help="as the provider names it")
        _add_figures(add)
        add_person(add)
        listing = verbs.add_parser("list", help="list model routes")
        listing.add_argument("--json", action="store_true", help="print them as the API shows them")
        add_person(listing, "list what this person sees")
        edit = verbs.add_parser("edit", help="change context and prices; what is left out stays")
        edit.add_argument("route", metavar="ROUTE", help="model or id")
        _add_figures(edit)
        add_person(edit)
        for verb, purpose in (
            ("default", "agents that name no model use this one"),
            ("delete", "delete a model route"),
        ):
            named = verbs.add_parser(verb, help=purpose)
            named.add_argument("route", metavar="ROUTE", help="model or id")
            add_person(named)

    def do_add(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        permissions.require(user, "route.create")
        wanted = Q(pk=options["provider"]) | Q(name=options["provider"])
        provider = permissions.fetch(user, "provider.view", Provider.objects.filter(wanted))
        self.stdout.write(routes.create(user, provider, options["model"], **_figures(user, options)).pk)

    def do_list(self, options: dict[str, Any]) -> None:
        seen = permissions.visible(reader(options["user"]), rows()).order_by("provider__name", "model")
        if options["json"]:
            self.print_json([RouteOut.from_orm(route).model_dump(mode="json") for route in seen])
            return
        self.print_table(
            ("MODEL", "PROVIDER", "CONTEXT", "INPUT", "OUTPUT", "DEFAULT", "ID"),
            (
                (r.model, r.provider, r.context_length or "unknown", *_prices(r), "yes" if r.is_default else "", r.pk)
                for r in seen
            ),
        )

    def do_edit(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        route = _named(user, options["route"], "route.edit")
        routes.change(user, route.pk, route.version, **_figures(user, options))
        self.say(f"{route.model} is saved.")

    def do_default(self, options: dict[str, Any]) -> None:
        route = _named(actor(options["user"]), options["route"], "route.manage")
        routes.make_default(route)
        self.say(f"{route.model} is the default now.")

    def do_delete(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        route = _named(user, options["route"], "route.manage")
        routes.remove_route(route, user)
        self.say(f"{route.model} is deleted.")


def _add_figures(parser: CommandParser) -> None:
    parser.add_argument("--context", metavar="TOKENS", help='"unknown" when it is not known')
    parser.add_argument("--input", metavar="USD", help='per million input tokens; "unknown" is not free')
    parser.add_argument("--output", metavar="USD", help='per million output tokens; "unknown" is not free')
    parser.add_argument("--cached", metavar="USD", help='per million input tokens from the cache; "unknown": as others')
    parser.add_argument("--fallback", metavar="ROUTE", help='asked when the provider fails; "none" for nobody')


def _figures(user: User, options: dict[str, Any]) -> dict[str, Any]:
    """What was given, by the names of its columns."""
    named = {"context": "context_length", "input": "price_input", "output": "price_output", "cached": "price_cached"}
    fields: dict[str, Any] = {
        name: _figure(option, options[option]) for option, name in named.items() if options[option] is not None
    }
    if (fallback := options["fallback"]) is not None:
        fields["fallback"] = None if fallback == "none" else _named(user, fallback, "route.view")
    return fields


def _figure(option: str, text: str) -> int | Decimal | None:
    if text == "unknown":
        return None
    try:
        return int(text) if option == "context" else Decimal(text)
    except (ValueError, InvalidOperation) as error:
        raise Invalid(f"--{option} is a number or unknown.", field=option) from error


def _prices(route: ModelRoute) -> tuple[str, str]:
    def shown(price: Decimal | None) -> str:
        return "unknown" if price is None else f"{price.normalize():f}"

    return shown(route.price_input), shown(route.price_output)


def _named(user: User, named: str, action: str) -> ModelRoute:
    """The route of this id or model; Conflict when several providers have the model."""
    rows = ModelRoute.objects.select_related("provider").filter(Q(pk=named) | Q(model=named))
    found = list(permissions.visible(user, rows, action)[:2])
    if len(found) > 1:
        raise Conflict(f"Several providers have {named}.", reason="ambiguous", action="Use the route's id.")
    return found[0] if found else permissions.fetch(user, action, rows)
