"""The pages of people: the list with its filters, one person with what an admin may change, invitations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from agents import audit, erasing, groups, invitations, limits, people, person_pages, registration
from agents.errors import Conflict, Invalid, LogosError
from agents.models import Agent, Role, SecurityEvent, User
from agents.numbers import whole
from agents.views import listing
from agents.views.access import person, signed_in
from agents.views.listing import Choice, Filters


@require_safe
@signed_in
def people_list(request: HttpRequest) -> HttpResponse:
    """Everybody, by name, a page at a time; the erased only when asked for."""
    admin = person(request)
    people.require(admin)
    names = Group.objects.order_by("name").values_list("name", flat=True)[:100]
    filters = Filters(
        request.GET,
        Choice("role", "Role", Role.choices),
        Choice("state", "State", [(state, state) for state in people.STATES]),
        Choice("group", "Group", [(name, name) for name in names]),
        hint="Name or e-mail",
    )
    state = filters.chosen("state")
    rows = people.narrowed(
        people.listed(), text=filters.text, role=filters.chosen("role"), state=state, group=filters.chosen("group")
    )
    page = listing.page(rows if state else rows.filter(erased_at=None), filters, order="username")
    for each in page.items:
        each.seen = people.last_seen(each)  # type: ignore[attr-defined]
    context = {
        "page": page,
        "filters": filters,
        "invitations": invitations.waiting(admin).count(),
        "applicants": registration.queue(admin).count(),
    }
    return render(request, "people/list.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@sensitive_variables("secret", "extra")
def person_detail(request: HttpRequest, person_id: int) -> HttpResponse:
    """One person; each form posts its change here, named by ``do``."""
    admin = person(request)
    found = people.find(admin, person_id)
    if request.method != "POST":
        return render(request, "people/detail.html", _page(admin, found))
    extra: dict[str, Any] = {}
    try:
        if request.POST.get("do") == "password":
            _, secret = invitations.password_link(admin, found)
            # In this answer and nowhere else, so that a reload cannot show it again.
            extra["link"] = request.build_absolute_uri(reverse("agents:set-password", args=[secret]))
            return render(request, "people/detail.html", {**_page(admin, found), **extra})
        said = _change(admin, found, request.POST)
    except LogosError as error:
        if error.reason == "not_found":
            raise
        context = {**_page(admin, people.find(admin, person_id)), "error": error, "given": request.POST}
        return render(request, "people/detail.html", context, status=409 if isinstance(error, Conflict) else 400)
    messages.success(request, said)
    return redirect("agents:person", person_id)


def _change(admin: User, found: User, given: QueryDict) -> str:
    """Carry out what a form asks for; a sentence about what is true now."""
    do = _CHANGES.get(given.get("do", ""))
    if do is None:
        raise Invalid("The page did not say what to change.", action="Reload it and try again.")
    return do(admin, found, given)


def _role(admin: User, found: User, given: QueryDict) -> str:
    people.change_role(admin, found, given.get("role", ""))
    return f"{found.username} has the role {found.get_role_display().lower()} now."


def _limit(admin: User, found: User, given: QueryDict) -> str:
    people.set_limit(admin, found, given.get("max_agents", ""))
    limit = limits.limit_of(found)
    return f"{found.username} may own {'any number of' if limit is None else limit} agents now."


def _groups(admin: User, found: User, given: QueryDict) -> str:
    group_id = given.get("group", "")
    group = groups.find(admin, whole(group_id) or 0)
    if given.get("leave"):
        groups.remove(admin, group, found)
        return f"{found.username} left {group.name}."
    groups.add(admin, group, found)
    return f"{found.username} is a member of {group.name} now."


def _suspend(admin: User, found: User, given: QueryDict) -> str:
    people.suspend(admin, found)
    return f"{found.username} is suspended and signed out."


def _restore(admin: User, found: User, given: QueryDict) -> str:
    people.restore(admin, found)
    return f"{found.username} may sign in again."


def _sign_out(admin: User, found: User, given: QueryDict) -> str:
    return f"Sessions ended: {people.sign_out(admin, found)}."


def _factor(admin: User, found: User, given: QueryDict) -> str:
    count = people.reset_second_factor(admin, found)
    return f"Second factors removed: {count}. {found.username} signs in with the password alone now."


_CHANGES: dict[str, Callable[[User, User, QueryDict], str]] = {
    "role": _role,
    "limit": _limit,
    "group": _groups,
    "suspend": _suspend,
    "restore": _restore,
    "sign-out": _sign_out,
    "factor": _factor,
}


def _page(admin: User, found: Any) -> dict[str, Any]:
    found.seen = people.last_seen(found)
    member_of = list(found.groups.order_by("name"))
    return {
        "found": found,
        "is_self": found == admin,
        "pseudonym": erasing.pseudonym(found),
        "is_last_admin": people.is_last_admin(found),
        "roles": Role.choices,
        "limit": limits.limit_text(found.max_agents),
        "used": limits.used(found),
        "agents": Agent.objects.alive().filter(owner=found).order_by("name")[:20],
        "member_of": member_of,
        "other_groups": Group.objects.exclude(pk__in=[group.pk for group in member_of]).order_by("name")[:100],
        "sections": person_pages.sections(admin, found),
        "sessions": found.usersession_set.count(),
        "tokens": found.tokens.filter(revoked_at=None).count(),
        "events": [
            {"actor": event.actor, "sentence": audit.EVENTS.get(event.kind, event.kind), "at": event.at}
            for event in SecurityEvent.objects.filter(person=found).select_related("actor")[:8]
        ],
    }


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@sensitive_variables("secret", "extra")
def invite(request: HttpRequest) -> HttpResponse:
    """Invite somebody by a link; the links nobody has used yet, each to be withdrawn."""
    admin = person(request)
    people.require(admin)
    extra: dict[str, Any] = {"given": request.POST}
    status = 200
    if request.method == "POST":
        try:
            if withdrawn := request.POST.get("withdraw", ""):
                invitations.withdraw(admin, whole(withdrawn) or 0)
                messages.success(request, "The invitation is withdrawn.")
                return redirect("agents:invite")
            role = request.POST.get("role", "")
            link, secret = invitations.invite(admin, role, request.POST.get("email", ""))
            extra = {"link": request.build_absolute_uri(reverse("agents:join", args=[secret])), "made": link}
        except Invalid as error:
            extra["error"], status = error, 400
    context = {
        "roles": [(value, label, _ROLE_WORDS[value]) for value, label in Role.choices],
        "waiting": invitations.waiting(admin)[:50],
        "days": invitations.INVITED_FOR.days,
        **extra,
    }
    return render(request, "people/invite.html", context, status=status)


_ROLE_WORDS: dict[str, str] = {
    Role.ADMIN: "Everything, people and settings included.",
    Role.OPERATOR: "Looks after models, policies and the agents they are given.",
    Role.USER: "Makes agents of their own and chats.",
    Role.VIEWER: "Looks at what is shared, changes nothing.",
}
