"""Choose and keep model routes: exactly one default, and never none once there was one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import transaction

from agents import acting, permissions, policies
from agents.editing import editing
from agents.errors import Conflict, Invalid
from agents.models import Agent, ModelRoute, Provider, ProviderKind, User, Visibility

REHEARSAL_MODEL = "rehearsal-1"


def default_route() -> ModelRoute | None:
    """The route of agents that name none."""
    return ModelRoute.objects.select_related("provider").filter(is_default=True).first()


def route_of(agent: Agent) -> ModelRoute:
    """The route this agent's next run uses; Invalid when there is none at all."""
    route = agent.route or default_route()
    if route is None:
        raise Invalid(
            "There is no model to answer with.",
            reason="no_route",
            action="Add a provider and a model route in the console.",
        )
    return route


@transaction.atomic
def make_default(route: ModelRoute) -> None:
    """From now on agents without a route of their own use this one."""
    # Two at once take their turns, or both would set theirs and the second fail.
    list(ModelRoute.objects.select_for_update().order_by("pk").values_list("pk", flat=True))
    for other in ModelRoute.objects.filter(is_default=True).exclude(pk=route.pk):
        other.is_default = False
        other.save(update_fields=["is_default", "updated_at"])
    route.refresh_from_db()
    if not route.is_default:
        route.is_default = True
        route.save(update_fields=["is_default", "updated_at"])


@transaction.atomic
def add_route(provider: Provider, model: str, owner: User | None, *, context_length: int | None = None) -> ModelRoute:
    """The route for this provider and model, made if absent; the first one ever becomes the default."""
    model = model.strip()
    if not model or len(model) > 200 or not model.isprintable():
        raise Invalid("A model's name has 1 to 200 visible characters.", field="model")
    route, _ = ModelRoute.objects.get_or_create(
        provider=provider,
        model=model,
        defaults={"owner": owner, "visibility": Visibility.SHARED, "context_length": context_length},
    )
    if default_route() is None:
        make_default(route)
    return route


def create(user: User, provider: Provider, model: str, **figures: Any) -> ModelRoute:
    """A route that is not there yet, with what is known of it; Conflict when it is."""
    with transaction.atomic():
        if ModelRoute.objects.filter(provider=provider, model=model.strip()).exists():
            raise Conflict("This provider's model is there already.", reason="name_taken", action="Change that one.")
        route = add_route(provider, model, user)
        fallback = figures.pop("fallback", None)
        for name in CHANGEABLE:
            setattr(route, name, _figure(name, figures.get(name)))
        check_cached(route)
        if fallback is not None:
            route.fallback = _fitting(user, route, fallback)
        if fallback is not None or any(getattr(route, name) is not None for name in CHANGEABLE):
            route.save()
        return route


def change(user: User, route_id: str, version: int, **fields: Any) -> ModelRoute:
    """Set these of context_length, price_input and price_output (None: unknown), and fallback (a route one may see;
    None: nobody). Another model is another route. Raises NotFound, Stale when somebody saved since ``version``,
    Invalid."""
    rows = ModelRoute.objects.select_related("provider")
    with editing(user, "route.edit", rows, route_id, version) as route:
        before = [route.fallback_id, *(getattr(route, name) for name in CHANGEABLE)]
        for name in CHANGEABLE:
            if name in fields:
                setattr(route, name, _figure(name, fields[name]))
        if "fallback" in fields:
            wanted = fields["fallback"]
            route.fallback = None if wanted is None else _fitting(user, route, wanted)
        check_cached(route)
        now = [route.fallback_id, *(getattr(route, name) for name in CHANGEABLE)]
        with acting.because(by_hand(route) if before[2:] != now[2:] else acting.reason()):
            if before != now:
                route.save()
        return route


def by_hand(route: ModelRoute) -> str:
    """Somebody sets the prices of a route: they are no list's any more. The reason to be kept in its history."""
    route.price_list = None
    return acting.reason() or "Prices by hand"


def check_cached(route: ModelRoute) -> None:
    """Invalid when reading from a cache would cost more than reading anew: what is reserved would not cover it."""
    if route.price_cached is not None and (route.price_input is None or route.price_cached > route.price_input):
        raise Invalid(
            "Tokens from the cache cost at most what others do.",
            field="price_cached",
            action="Leave it empty when it is not known.",
        )


def _fitting(user: User, route: ModelRoute, wanted: ModelRoute) -> ModelRoute:
    """``wanted``, if it can stand in for ``route``; one that did already may stay though ``user`` cannot see it."""
    if wanted.pk == route.fallback_id:
        return wanted
    permissions.require(user, "route.view", wanted)
    wanted.refresh_from_db()  # the caller's copy may not know yet who stands in for it
    check_fallback(route, wanted)
    return wanted


def check_fallback(route: ModelRoute, wanted: ModelRoute) -> None:
    """Invalid with the reason why ``wanted`` cannot stand in for ``route``."""
    if route.pk in {wanted.pk, *(each.pk for each in chain(wanted))}:
        raise Invalid("A model cannot stand in for itself, nor for one that stands in for it.", field="fallback")
    if wanted.wire != route.wire:
        raise Invalid(
            f"{wanted.model} is asked in another format, so it cannot go on with the same request.",
            field="fallback",
            action="Choose a model of a provider of the same kind.",
        )


def chain(route: ModelRoute) -> list[ModelRoute]:
    """Who is asked after ``route``, in order; at most MOST_FALLBACKS, each once."""
    found: list[ModelRoute] = []
    while route.fallback is not None and len(found) < MOST_FALLBACKS and route.fallback not in found:
        route = route.fallback
        found.append(route)
    return found


PRICES = ("price_input", "price_output", "price_cached")
CHANGEABLE = ("context_length", *PRICES)
MOST_FALLBACKS = 3
MAX_CONTEXT = 100_000_000
MAX_PRICE = Decimal(999_999)


def _figure(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name == "context_length":
        if not 0 < value <= MAX_CONTEXT:
            raise Invalid(f"A context has 1 to {MAX_CONTEXT:,} tokens; leave it out when unknown.", field=name)
        return value
    if not value.is_finite() or not 0 <= value <= MAX_PRICE or value != round(value, 6):
        raise Invalid("A price is 0 to 999,999 USD, with at most six decimal places.", field=name)
    return value.quantize(Decimal("0.000001"))  # as it is stored


@transaction.atomic
def remove_route(route: ModelRoute, user: User | None = None) -> None:
    """Delete a route; Conflict when it is the last, the default, or in use (it says by whom: to ``user`` only those
    they may see)."""
    # The caller's copy may be older than a new default.
    route = ModelRoute.objects.select_for_update().get(pk=route.pk)
    using = Agent.objects.alive().filter(route=route)
    if ModelRoute.objects.count() == 1:
        raise Conflict("The last model route cannot be deleted.", action="Add another route first.")
    if route.is_default:
        raise Conflict("The default route cannot be deleted.", action="Make another route the default first.")
    if (waiting := ModelRoute.objects.filter(fallback=route)).exists():
        seen = permissions.visible(user, waiting) if user else waiting
        names = ", ".join(seen.order_by("model").values_list("model", flat=True)[:5]) or "a model you do not see"
        raise Conflict(f"This route stands in for {names}.", action="Give those another fallback first.")
    if using.exists():
        names = policies.named_agents(user, using) if user else ", ".join(using.values_list("name", flat=True)[:5])
        raise Conflict(f"This route is used by {names}.", action="Give those agents another model first.")
    for agent in route.agents.all():  # deleted ones, whose change is a change all the same
        agent.route = None
        agent.save(update_fields=["route", "updated_at"])
    route.delete()


def rehearsal_route(owner: User | None = None) -> ModelRoute:
    """The built-in rehearsal model's route, made if absent."""
    provider = Provider.objects.filter(kind=ProviderKind.REHEARSAL).order_by("created_at").first()
    if provider is None:
        provider = Provider.objects.create(kind=ProviderKind.REHEARSAL, name="Rehearsal (built in, scripted)")
    route = add_route(provider, REHEARSAL_MODEL, owner, context_length=131_072)
    if route.price_input is None:
        route.refresh_from_db()
        route.price_input = route.price_output = Decimal(0)
        route.save(update_fields=["price_input", "price_output", "updated_at"])
    return route
