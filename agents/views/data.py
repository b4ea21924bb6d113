"""The pages of one's own data: ask for an archive and fetch it, and erase one's account; admins do both for others."""

from __future__ import annotations

from typing import Any, cast

from allauth.account.decorators import reauthentication_required
from django.contrib import messages
from django.contrib.auth import logout
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from agents import erasing, exporting, people, privacy
from agents.errors import Conflict, Invalid
from agents.models import User
from agents.views.access import person, signed_in


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def own_data(request: HttpRequest) -> HttpResponse:
    """One's own archives, and the way to leave."""
    user = person(request)
    if request.method == "POST":
        return _ask(request, user, user)
    return render(request, "account/data.html", _page(user, user))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def persons_data(request: HttpRequest, person_id: int) -> HttpResponse:
    """The same about somebody else, for admins."""
    admin = person(request)
    found = people.find(admin, person_id)
    if request.method == "POST":
        return _ask(request, admin, found)
    return render(request, "people/data.html", _page(admin, found))


@never_cache
@require_safe
@signed_in
def archive(request: HttpRequest, export_id: str) -> HttpResponse:
    """The archive itself; asks for the password again when it was typed long ago."""
    exporting.fetch(person(request), export_id)  # what is not there needs no password
    return _send(request, export_id=export_id)


@reauthentication_required
def _send(request: HttpRequest, export_id: str) -> HttpResponse:
    row, file = exporting.opened(person(request), export_id)
    # Streamed from the file, however large; the decorators know no base of all responses.
    return cast(HttpResponse, FileResponse(file, as_attachment=True, filename=f"logos-{row.person.username}.zip"))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def erase_self(request: HttpRequest) -> HttpResponse:
    """Leave for good."""
    return _erase_self(request)


@reauthentication_required
def _erase_self(request: HttpRequest) -> HttpResponse:
    user = person(request)
    return _erase(request, user, user, reverse("account-data"))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def erase_person(request: HttpRequest, person_id: int) -> HttpResponse:
    """Erase somebody, or take up an erasure that did not come to its end."""
    admin = person(request)
    found = people.find(admin, person_id)
    return _erase(request, admin, found, reverse("agents:person", args=[person_id]))


def _erase(request: HttpRequest, actor: User, found: User, back: str) -> HttpResponse:
    error = None
    if request.method == "POST":
        try:
            erasing.erase(actor, found, request.POST.get("typed", ""))
        except (Invalid, Conflict) as problem:
            error = problem
        else:
            if actor == found:
                logout(request)
                return redirect("home")
            messages.success(request, "The account is closed; the rest is being erased.")
            return redirect("agents:people")
    mine = actor == found
    whose = "your" if mine else "their"
    first = "Your name" if mine else "Name"
    context = {
        "question": "Erase your account?" if mine else f"Erase {found.username}?",
        "button": f"Erase {found.username}",
        "typed": found.username,
        "back": back,
        "error": error,
        "consequences": [
            f"{first}, e-mail, sessions, API tokens and second factors go at once; nobody signs in again.",
            f"Texts of {whose} chats, and of what agents did in them, are erased. They cannot be brought back.",
            f"{whose.capitalize()} agents stop, and the sandboxes with all files are removed.",
            f"Service accounts {'you keep' if mine else 'they keep'} go too; give those that others need to somebody first.",
            "That there were runs, when, and what they cost stays, under a name that says nothing.",
        ],
    }
    status = 200 if error is None else 409 if isinstance(error, Conflict) else 400
    return render(request, "_confirm.html", context, status=status)


def _ask(request: HttpRequest, actor: User, found: User) -> HttpResponse:
    exporting.ask(actor, found)
    messages.success(request, "The archive is being made. Reload this page in a moment.")
    return redirect("account-data") if actor == found else redirect("agents:person-data", found.pk)


def _page(actor: User, found: User) -> dict[str, Any]:
    return {
        "found": found,
        "archives": exporting.of(found, actor)[:10],
        "days": exporting.KEPT_FOR.days,
        "is_private": privacy.is_on(),
    }
