"""The pages of groups: all of them, and one with its members and what it was given."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from agents import groups, people
from agents.errors import Conflict, Invalid, LogosError
from agents.models import User
from agents.views import listing
from agents.views.access import person, signed_in
from agents.views.listing import Filters

PAGE_SIZE = 50


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def group_list(request: HttpRequest) -> HttpResponse:
    """All groups, and the form for another one."""
    admin = person(request)
    people.require(admin)
    error, given = None, ""
    if request.method == "POST":
        given = request.POST.get("name", "")
        try:
            group = groups.create(admin, given)
        except (Invalid, Conflict) as problem:
            error = problem
        else:
            messages.success(request, f"The group {group.name} is made.")
            return redirect("agents:group", group.pk)
    filters = Filters(request.GET, hint="Name")
    page = listing.page(filters.search(groups.listed(), "name"), filters, order="name", size=PAGE_SIZE)
    context = {"page": page, "filters": filters, "error": error, "given": given}
    return render(request, "groups/list.html", context, status=_status(error))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def group_detail(request: HttpRequest, group_id: int) -> HttpResponse:
    """One group; each form posts its change here, named by ``do``."""
    admin = person(request)
    group = groups.find(admin, group_id)
    if request.method != "POST":
        return render(request, "groups/detail.html", _page(request, group))
    try:
        said = _change(admin, group, request)
    except LogosError as error:
        context = {**_page(request, groups.find(admin, group_id)), "error": error, "given": request.POST}
        status = 404 if error.reason == "not_found" else _status(error)
        return render(request, "groups/detail.html", context, status=status)
    messages.success(request, said)
    return redirect("agents:group-list") if request.POST.get("do") == "delete" else redirect("agents:group", group_id)


def _change(admin: User, group: Group, request: HttpRequest) -> str:
    """Carry out what a form asks for; a sentence about what is true now."""
    given = request.POST
    do, name = given.get("do", ""), group.name
    if do == "rename":
        groups.rename(admin, group, given.get("name", ""))
        return f"The group is called {group.name} now."
    if do == "delete":
        groups.delete(admin, group, given.get("name", ""))
        return f"The group {name} is deleted."
    if do not in ("add", "remove"):
        raise Invalid("The page did not say what to change.", action="Reload it and try again.")
    username = given.get("person", "").strip()
    found = people.find(admin, username=username or " ")
    if do == "add":
        groups.add(admin, group, found)
        return f"{found.username} is a member of {name} now."
    groups.remove(admin, group, found)
    return f"{found.username} left {name}."


def _page(request: HttpRequest, group: Group) -> dict[str, Any]:
    filters = Filters(request.GET, hint="Name or e-mail")
    found = filters.search(group.user_set.all(), "username", "first_name", "last_name", "email")
    members = listing.page(found, filters, order="username", size=PAGE_SIZE)
    lost = groups.granted(group)
    return {
        "group": group,
        "page": members,
        "filters": filters,
        "granted": [(kind, rows[:20], max(0, len(rows) - 20)) for kind, rows in lost.items()],
        "grant_count": sum(len(rows) for rows in lost.values()),
    }


def _status(error: Exception | None) -> int:
    return 200 if error is None else 409 if isinstance(error, Conflict) else 400
