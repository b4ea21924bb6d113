"""The pages of prices from files: read one and look at what it would change, apply it, undo it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agents import permissions, price_lists, pricing
from agents.errors import Conflict, Invalid
from agents.models import PriceList, User
from agents.views import listing
from agents.views.access import person, signed_in
from agents.views.listing import Filters
from agents.views.routes import tabs

SHOWN = 200
# As the site takes it in one request; the command takes larger ones.
MOST_BYTES = 3 * 1024 * 1024


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def price_list_list(request: HttpRequest) -> HttpResponse:
    """The files that were read; a new one is read here."""
    user = person(request)
    permissions.require(user, pricing.ACTION)
    problem = None
    if request.method == "POST":
        try:
            return redirect("agents:price-list", _uploaded(user, request).pk)
        except Invalid as error:
            problem = error
    filters = Filters(request.GET, hint="File")
    page = listing.page(filters.search(pricing.seen_by(user), "source", "sha256"), filters)
    context = {"page": page, "filters": filters, "tabs": tabs(user, "prices"), "error": problem}
    return render(request, "prices/list.html", context, status=400 if problem else 200)


def _uploaded(user: User, request: HttpRequest) -> PriceList:
    file: Any = request.FILES.get("file")
    if file is None:
        raise Invalid("Choose a file first.", field="file")
    if file.size > min(MOST_BYTES, price_lists.MAX_BYTES):
        raise Invalid(
            f"A file read here has at most {MOST_BYTES >> 20} MB.",
            field="file",
            action="Read a larger one with ./logos prices import.",
        )
    return pricing.propose(user, str(file.name), file.read())


@require_safe
@signed_in
def price_list_detail(request: HttpRequest, list_id: str) -> HttpResponse:
    """One list: what it would change, or what it changed."""
    user = person(request)
    return _detail(request, pricing.fetch(user, list_id))


@require_POST
@signed_in
def price_list_apply(request: HttpRequest, list_id: str) -> HttpResponse:
    """Change the prices as they were shown."""
    user = person(request)
    row = pricing.fetch(user, list_id)
    try:
        row = pricing.apply(user, list_id, request.POST.get("digest", ""))
    except Conflict as error:
        return _detail(request, row, error=error, status=409)
    messages.success(request, f"{row.source} is applied; models changed: {len(row.changed)}.")
    return redirect("agents:price-list", list_id)


@require_POST
@signed_in
def price_list_undo(request: HttpRequest, list_id: str) -> HttpResponse:
    """Give the models back what stood before."""
    user = person(request)
    row = pricing.fetch(user, list_id)
    try:
        count = pricing.undo(user, list_id)
    except Conflict as error:
        return _detail(request, row, error=error, status=409)
    messages.success(request, f"{row.source} is undone; models with their former prices: {count}.")
    return redirect("agents:price-list", list_id)


@require_POST
@signed_in
def price_list_again(request: HttpRequest, list_id: str) -> HttpResponse:
    """Look at the same list once more, to apply it anew."""
    return redirect("agents:price-list", pricing.again(person(request), list_id).pk)


def _detail(request: HttpRequest, row: PriceList, status: int = 200, **extra: Any) -> HttpResponse:
    user = person(request)
    is_new = row.applied_at is None
    news = pricing.news(user, row) if is_new else []
    if is_new:
        lines = [_line(each.route.pk, each.route.model, each.before, each.after) for each in news]
    else:
        lines = [
            _line(each["route"], each["model"], each["before"], each["after"])
            for each in pricing.visible_changes(user, row)
        ]
    context = {
        "row": row,
        "is_new": is_new,
        "lines": lines[:SHOWN],
        "more": max(0, len(lines) - SHOWN),
        "digest": pricing.digest_of(news) if is_new else "",
        **extra,
    }
    return render(request, "prices/detail.html", context, status=status)


def _line(route_id: str, model: str, before: Any, after: Any) -> dict[str, Any]:
    def told(prices: Any) -> list[Decimal | None]:
        return [None if each is None else Decimal(each) for each in list(prices)[:3]]

    sides = zip(("Input", "Output", "Cached"), told(before), told(after), strict=True)
    return {"route": route_id, "model": model, "sides": [(name, was, now) for name, was, now in sides]}
