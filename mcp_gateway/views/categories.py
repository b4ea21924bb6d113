"""The page of categories: who lets agents use servers of each, and what becomes of their calls without a rule."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from agents import permissions
from agents.errors import LogosError
from agents.models import User
from agents.views import listing
from agents.views.access import person, signed_in
from agents.views.listing import Filters
from mcp_gateway import categories, server_pages
from mcp_gateway.models import AccessTier, McpCategory
from sandboxes.tool_server.tiers import Tier

LOOKS = {Tier.ALLOW: "ok", Tier.NOTIFY: "running", Tier.ASK: "waiting", Tier.BLOCK: "blocked"}
SHOWN_UNLISTED = 30


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def category_list(request: HttpRequest) -> HttpResponse:
    """The table; admins change it."""
    user = person(request)
    permissions.require(user, "server.view")
    if request.method != "POST":
        return _page(request, user, _to_change(request.GET.get("name", "")))
    typed = {name: request.POST.get(name, "")[:80] for name in ("name", "access", "calls")}
    try:
        said = _change(user, request.POST.get("remove", ""), typed)
    except LogosError as error:
        if error.reason in ("not_found", "forbidden"):
            raise
        return _page(request, user, typed, error=error, status=400)
    messages.success(request, said)
    return redirect("mcp:categories")


def _change(user: User, removed: str, typed: dict[str, str]) -> str:
    if removed:
        categories.remove(user, removed[:40])
        return f"Servers of {removed[:40]} are as those of any category that is not in the table."
    row = categories.put(user, typed["name"], typed["access"], typed["calls"])
    return f"{row.name} is saved. It holds within a second."


def _to_change(name: str) -> dict[str, str]:
    """The form's fields as the line of this name fills them; without one, what holds for it so far."""
    name = name.replace("\x00", "").strip()[:40]
    row = McpCategory.objects.filter(pk=name).first() if name else None
    return {
        "name": name,
        "access": row.access if row else AccessTier.USER,
        "calls": row.calls if row else Tier.ALLOW,
    }


def _page(request: HttpRequest, user: User, typed: dict[str, str], *, status: int = 200, **more: Any) -> HttpResponse:
    filters = Filters(request.GET, hint="Category")
    page = listing.page(filters.search(categories.rows(), "name"), filters, order="name")
    counts = categories.counted(user)
    listed = set(categories.rows().values_list("name", flat=True))
    context = {
        "tabs": server_pages.places(user, "categories"),
        "filters": filters,
        "page": page,
        "found": [
            {"row": row, "look": LOOKS[Tier(row.calls)], "servers": counts.get(row.name, 0)} for row in page.items
        ],
        "unlisted": [name for name in sorted(counts) if name not in listed][:SHOWN_UNLISTED],
        "may_change": permissions.may(user, "tool.site"),
        "accesses": AccessTier.choices[1:],
        "tiers": Tier.choices,
        "typed": typed,
        "wrong": getattr(more.get("error"), "field", ""),
        **more,
    }
    return render(request, "mcp/categories.html", context, status=status)
