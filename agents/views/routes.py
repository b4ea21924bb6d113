"""The pages of model routes: the list, one with its prices and who uses it, a new one."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agents import permissions, routes
from agents.editing import Stale
from agents.errors import Invalid, LogosError
from agents.models import Agent, ModelRoute, Provider, ProviderKind, User
from agents.views import conflicts, deciding, listing
from agents.views.access import person, signed_in
from agents.views.confirming import confirmed
from agents.views.forms import complain
from agents.views.listing import Filters

SHOWN_AGENTS = 12


class Figures(forms.Form):
    """What may change of a route."""

    context_length = forms.IntegerField(
        label="Context",
        required=False,
        min_value=1,
        max_value=routes.MAX_CONTEXT,
        help_text="Tokens; empty when unknown.",
    )
    price_input = forms.DecimalField(
        label="Input price", required=False, min_value=0, max_value=routes.MAX_PRICE, decimal_places=6,
        help_text="USD per million tokens; empty means unknown, which is not free.",
    )  # fmt: skip
    price_output = forms.DecimalField(
        label="Output price", required=False, min_value=0, max_value=routes.MAX_PRICE, decimal_places=6,
        help_text="USD per million tokens; empty means unknown, which is not free.",
    )  # fmt: skip
    price_cached = forms.DecimalField(
        label="Price of cached input", required=False, min_value=0, max_value=routes.MAX_PRICE, decimal_places=6,
        help_text="USD per million tokens read from the provider's cache; empty: as any other input.",
    )  # fmt: skip
    fallback = forms.ModelChoiceField(
        ModelRoute.objects.none(),
        label="When the provider fails, ask",
        required=False,
        empty_label="Nobody: the run fails",
        help_text="Before its first word: it cannot be reached, is overloaded, wants to be paid or refuses the key.",
    )
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=1)

    use_required_attribute = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in routes.PRICES:
            self.fields[name].widget.attrs.update({"step": "any", "inputmode": "decimal"})

    @classmethod
    def bound(cls, user: User, route: ModelRoute, data: Any) -> Figures:
        """The form with what was sent, and the fallbacks this person may choose."""
        form = cls(data)
        form.offer(user, route)
        return form

    def offer(self, user: User, route: ModelRoute) -> None:
        """Those that can stand in for ``route``; what does already is among them, seen or not."""
        seen = permissions.visible(user, ModelRoute.objects.exclude(pk=route.pk)).order_by().values("pk")
        rows = ModelRoute.objects.filter(Q(pk__in=seen) | Q(pk=route.fallback_id)).select_related("provider")
        alike = Q(provider__kind=ProviderKind.ANTHROPIC)
        self.fields["fallback"].queryset = rows.filter(alike if route.wire == "anthropic" else ~alike)  # type: ignore[attr-defined]

    @classmethod
    def of(cls, user: User, route: ModelRoute) -> Figures:
        """The form with what is stored."""
        initial = {name: getattr(route, name) for name in routes.CHANGEABLE}
        prices = {name: _plain(initial[name]) for name in routes.PRICES}
        form = cls(initial={**initial, **prices, "fallback": route.fallback_id, "version": route.version})
        form.offer(user, route)
        return form


class NewRoute(Figures):
    """A route that is not there yet."""

    provider = forms.ModelChoiceField(Provider.objects.all(), empty_label=None)
    model = forms.CharField(max_length=200, help_text="As the provider names it.")
    version = None  # type: ignore[assignment]  # how Django is told to leave a field out
    fallback = None  # type: ignore[assignment]  # chosen once it is there

    field_order = ("provider", "model", *routes.CHANGEABLE)


@require_safe
@signed_in
def route_list(request: HttpRequest) -> HttpResponse:
    """The models one may use, with their prices and how many agents one sees use them."""
    user = person(request)
    filters = Filters(request.GET, hint="Model or provider")
    rows = permissions.visible(user, ModelRoute.objects.select_related("provider"))
    page = listing.page(filters.search(rows, "model", "provider__name"), filters, order="model")
    _count_users(user, page.items)
    context = {
        "filters": filters,
        "page": page,
        "tabs": tabs(user, "models"),
        "may_add": permissions.may(user, "route.create"),
        "may_add_provider": permissions.may(user, "provider.edit"),
    }
    return render(request, "models/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def route_detail(request: HttpRequest, route_id: str) -> HttpResponse:
    """One route; who may edit it changes context and prices here."""
    user = person(request)
    route = permissions.fetch(
        user, "route.view", ModelRoute.objects.select_related("provider", "owner", "price_list"), pk=route_id
    )
    if request.method != "POST":
        return _detail(request, route, Figures.of(user, route))
    form = Figures.bound(user, route, request.POST)
    if not form.is_valid():
        permissions.require(user, "route.edit", route)
        return _detail(request, route, form, status=400)
    fields = dict(form.cleaned_data)
    try:
        routes.change(user, route_id, fields.pop("version"), **fields)
    except Stale as stale:
        first = conflicts.for_form(stale, form, user, _texts)
        return _detail(request, stale.row, Figures.bound(user, stale.row, first.data), status=409, conflict=first)
    except Invalid as error:
        complain(form, error)
        return _detail(request, route, form, status=400)
    messages.success(request, f"{route.model} is saved.")
    return redirect("agents:route-detail", route_id)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def route_new(request: HttpRequest) -> HttpResponse:
    """Add a model of a provider by its name."""
    user = person(request)
    permissions.require(user, "route.create")
    form = NewRoute(request.POST or None, initial={"provider": request.GET.get("provider", "")})
    if form.is_valid():
        given = dict(form.cleaned_data)
        try:
            route = routes.create(user, given.pop("provider"), given.pop("model"), **given)
        except LogosError as error:
            complain(form, error)
        else:
            messages.success(request, f"{route.model} is added.")
            return redirect("agents:route-detail", route.pk)
    context = {"form": form, "has_providers": Provider.objects.exists()}
    return render(request, "models/new.html", context, status=400 if form.is_bound else 200)


@require_POST
@signed_in
def route_default(request: HttpRequest, route_id: str) -> HttpResponse:
    """Agents without a route of their own use this one from now on."""
    route = permissions.fetch(person(request), "route.manage", ModelRoute.objects.all(), pk=route_id)
    routes.make_default(route)
    messages.success(request, f"{route.model} is the default now.")
    return redirect("agents:route-detail", route_id)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def route_delete(request: HttpRequest, route_id: str) -> HttpResponse:
    """Asks, then deletes; says why not when it has to stay."""
    user = person(request)
    rows = ModelRoute.objects.select_related("provider")
    route = permissions.fetch(user, "route.manage", rows, pk=route_id)
    context = {
        "question": f"Delete model {route.model}?",
        "words": "Agents can no longer choose it. Runs that used it keep its name and their cost.",
        "button": f"Delete model {route.model}",
        "back": reverse("agents:route-detail", args=[route_id]),
    }
    return confirmed(
        request, context, partial(routes.remove_route, route, user),
        done=f"{route.model} is deleted.", to=reverse("agents:route-list"),
    )  # fmt: skip


def tabs(user: User, current: str) -> list[dict[str, Any]]:
    """Models and, for who may see them, providers and lists of prices."""
    known = [("models", "Models", "agents:route-list", "route.view")]
    known.append(("providers", "Providers", "sandboxes:provider-list", "provider.view"))
    known.append(("prices", "Prices", "agents:price-lists", "price.import"))
    return [
        {"url": reverse(url), "label": label, "current": name == current}
        for name, label, url, action in known
        if permissions.may(user, action)
    ]


def _detail(request: HttpRequest, route: ModelRoute, form: Figures, status: int = 200, **extra: Any) -> HttpResponse:
    user = person(request)
    using = Agent.objects.alive().filter(route=route)
    if route.is_default:
        using = using | Agent.objects.alive().filter(route=None)
    seen = permissions.visible(user, using).order_by("name")
    context = {
        "route": route,
        "form": form,
        "may": deciding.offers(user, route),
        "agents": seen[: SHOWN_AGENTS + 1],
        "shown": SHOWN_AGENTS,
        "may_see_provider": permissions.may(user, "provider.view"),
        "may_import": permissions.may(user, "price.import"),
        **extra,
    }
    return render(request, "models/detail.html", context, status=status)


def _count_users(user: User, shown: list[ModelRoute]) -> None:
    """How many agents one sees use each; those that name none use the default."""
    seen = permissions.visible(user, Agent.objects.alive()).order_by()
    counts = dict(seen.values_list("route").annotate(number=Count("pk")))
    for route in shown:
        number = counts.get(route.pk, 0) + (counts.get(None, 0) if route.is_default else 0)
        route.used_by = number  # type: ignore[attr-defined]


def _texts(row: Any) -> dict[str, str]:
    """What the form posts for a stored route."""
    texts = {name: str(_plain(getattr(row, name)) or "") for name in routes.CHANGEABLE}
    return {**texts, "fallback": row.fallback_id or ""}


def _plain(value: Any) -> Any:
    """0.22 rather than 0.220000."""
    return format(value.normalize(), "f") if hasattr(value, "normalize") else value
