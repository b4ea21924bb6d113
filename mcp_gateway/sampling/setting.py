"""What people set for a server that may ask a model: which one, how much and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from django.db.models import Q, QuerySet

from agents import permissions
from agents.errors import Invalid
from agents.models import ModelRoute, User
from agents.numbers import whole
from mcp_gateway.sampling.bounds import Sampling

if TYPE_CHECKING:
    from mcp_gateway.models import McpServer

# The least and the most of each, and how people call it.
NUMBERS: dict[str, tuple[int, int, str]] = {
    "sampling_tokens": (1, 200_000, "The tokens of an answer"),
    "sampling_timeout_s": (1, 3_600, "The seconds for an answer"),
    "sampling_rpm": (1, 600, "The questions a minute"),
    "sampling_rounds": (1, 100, "The rounds of a call"),
    "sampling_tool_rounds": (0, 50, "The rounds with tools"),
}
FIELDS = ("sampling", "sampling_route", "sampling_models", *NUMBERS)
# What holds where nothing is said.
USUAL = {
    **{"sampling_tokens": 1024, "sampling_timeout_s": 60, "sampling_rpm": 10},
    **{"sampling_rounds": 10, "sampling_tool_rounds": 0},
}
# In a list to choose from; beside the one that is asked otherwise.
MOST_SHOWN, MOST_OTHERS = 200, 20
UNSEEN = "a model that you do not see"


def routes_for(user: User) -> QuerySet[ModelRoute]:
    """The models this person may lend to a server: those they see."""
    rows = ModelRoute.objects.select_related("provider")
    return permissions.visible(user, rows, "route.view").order_by("model")


def choices(user: User, server: McpServer | None) -> list[tuple[str, str]]:
    """The models to choose from, and the one there is: by its name only for who sees it."""
    rows = routes_for(user).values_list("pk", "model", "provider__name")[:MOST_SHOWN]
    found = [("", "None"), *((pk, f"{model} · {provider}") for pk, model, provider in rows)]
    kept = server.sampling_route_id if server is not None else None
    return [*found, (kept, "A model that you do not see")] if kept and kept not in dict(found) else found


def with_route(user: User, fields: dict[str, Any], kept: str | None = None) -> dict[str, Any]:
    """``fields`` with the model itself in the place of its route's id, or of its name; one that is not seen is none,
    save the one ``kept``. Raises Invalid."""
    given = fields.get("sampling_route")
    if "sampling_route" not in fields or given is None or isinstance(given, ModelRoute):
        return fields
    if given == "":
        return {**fields, "sampling_route": None}
    seen = (
        ModelRoute.objects.filter(pk=given) if given == kept else routes_for(user).filter(Q(pk=given) | Q(model=given))
    )
    known = list(seen[:2])
    if len(known) != 1:
        several = "Several models are called so: say the id of a route." if known else "There is no such model."
        raise Invalid(several, field="sampling_route")
    return {**fields, "sampling_route": known[0]}


def with_models(user: User, fields: dict[str, Any], kept: Collection[str] = ()) -> dict[str, Any]:
    """``fields`` with the ids of routes in the place of what names the others a server may choose: ids or names of those
    that are seen, and ids of those ``kept``. Raises Invalid."""
    given = fields.get("sampling_models")
    if "sampling_models" not in fields or not isinstance(given, list | tuple):
        return fields
    found: dict[str, None] = {}
    for each in given:
        if each in kept:
            found[each] = None
            continue
        seen = routes_for(user).filter(Q(pk=each) | Q(model=each)) if isinstance(each, str) else ()
        known = list(seen[:2])
        if len(known) != 1:
            several = "Several models are called {}: say the id of a route." if known else "There is no model {}."
            raise Invalid(several.format(f'"{str(each)[:80]}"'), field="sampling_models")
        found[known[0].pk] = None
    return {**fields, "sampling_models": list(found)}


def named(user: User, ids: Iterable[str]) -> list[str]:
    """These routes as a form takes them back: by their model's name where this person sees it and it says which."""
    ids = list(ids)
    rows = list(routes_for(user).values_list("pk", "model")) if ids else []
    once = Counter(model for _, model in rows)
    names = {pk: model for pk, model in rows if once[model] == 1}
    return [names.get(each, each) for each in ids]


def others(user: User, server: McpServer) -> list[str]:
    """What its hints may choose besides the model it has anyway: by name for who sees it, none that is gone."""
    ids = [each for each in server.sampling_models if each != server.sampling_route_id]
    if not ids:
        return []
    there = set(ModelRoute.objects.filter(pk__in=ids).values_list("pk", flat=True))
    seen = dict(routes_for(user).filter(pk__in=ids).values_list("pk", "model"))
    return [seen.get(each, UNSEEN) for each in ids if each in there]


def check_whole(server: McpServer) -> None:
    """Raises Invalid for a server that may ask no particular model."""
    if server.sampling and server.sampling_route is None:
        raise Invalid("Say which model it may ask.", field="sampling_route")


def widens(before: Mapping[str, Any], server: McpServer) -> bool:
    """Does the server get more of a model than it had: that is somebody's money, so it is for whoever manages it."""
    if not server.sampling:
        return False
    other = not before["sampling"] or before["sampling_route"] != server.sampling_route
    other = other or bool(set(server.sampling_models) - set(before["sampling_models"]))
    return other or any(getattr(server, name) > before[name] for name in NUMBERS)


def bounds_of(server: McpServer, models: Mapping[str, str] | None = None) -> Sampling | None:
    """What the gateway holds it to; None for a server that may not ask. A model that is gone is no model. ``models``
    are the names of routes by their ids."""
    if not server.sampling:
        return None
    among = (server.sampling_route_id or "", *server.sampling_models) if server.sampling_models else ()
    known = models or {}
    return Sampling(
        server.sampling_route_id or "",
        server.sampling_tokens,
        server.sampling_timeout_s,
        server.sampling_rpm,
        server.sampling_rounds,
        server.sampling_tool_rounds,
        server.owner_id,
        tuple((each, known[each]) for each in dict.fromkeys(among) if each in known),
    )


def _number(field: str) -> Callable[[Any], int]:
    least, most, name = NUMBERS[field]

    def clean(value: Any) -> int:
        number = whole(value) if isinstance(value, str) else value
        if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
            raise Invalid(f"{name}: {least:,} to {most:,}.", field=field)
        return number

    return clean


def _others(value: Any) -> list[str]:
    if not isinstance(value, list | tuple) or len(value) > MOST_OTHERS:
        raise Invalid(f"Name at most {MOST_OTHERS} models.", field="sampling_models")
    if any(not isinstance(each, str) or not 1 <= len(each) <= 200 or "\x00" in each for each in value):
        raise Invalid("A model is named by a text.", field="sampling_models")
    return list(dict.fromkeys(value))


CLEAN: dict[str, Callable[[Any], Any]] = {
    "sampling": bool,
    "sampling_models": _others,
    **{name: _number(name) for name in NUMBERS},
}
