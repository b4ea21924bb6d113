"""The pages behind one-time links: join with an invitation, set a new password. Open to whoever holds the link."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.password_validation import password_validators_help_texts
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods

from agents import invitations
from agents.errors import Invalid
from agents.models import Purpose

LOGIN_BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters()
@sensitive_variables("password")
def join(request: HttpRequest, token: str) -> HttpResponse:
    """Choose a name and a password and be signed in."""
    link = invitations.opened(token, Purpose.INVITE)
    context: dict[str, Any] = {"link": link, "rules": password_validators_help_texts(), "given": request.POST}
    if request.method == "POST":
        try:
            password = chosen_password(request)
            found = invitations.join(
                token,
                username=typed(request, "username"),
                password=password,
                email=typed(request, "email"),
                name=typed(request, "name"),
            )
        except Invalid as error:
            return render(request, "people/join.html", {**context, "error": error}, status=400)
        login(request, found, backend=LOGIN_BACKEND)
        return redirect("home")
    return render(request, "people/join.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters()
@sensitive_variables("password")
def set_password(request: HttpRequest, token: str) -> HttpResponse:
    """Choose a new password; then sign in with it, and with the second factor where there is one."""
    link = invitations.opened(token, Purpose.PASSWORD)
    context: dict[str, Any] = {"link": link, "rules": password_validators_help_texts()}
    if request.method == "POST":
        try:
            invitations.set_password(token, chosen_password(request))
        except Invalid as error:
            return render(request, "people/set_password.html", {**context, "error": error}, status=400)
        messages.success(request, "The new password is set. Sign in with it.")
        return redirect("account_login")
    return render(request, "people/set_password.html", context)


def typed(request: HttpRequest, name: str) -> str:
    """What was typed into a field, as any database takes it."""
    return request.POST.get(name, "").replace("\x00", "")


def chosen_password(request: HttpRequest) -> str:
    """The password typed twice; Invalid when the two differ."""
    password = typed(request, "password")
    if password != typed(request, "password2"):
        raise Invalid("The two passwords differ.", field="password2")
    return password
