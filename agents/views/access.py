"""The door of every page: signed in, or sent to the login page with the way back."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import resolve_url

from agents.models import User

R = TypeVar("R", bound=HttpResponseBase)


def signed_in(view: Callable[..., R]) -> Callable[..., R | HttpResponse]:
    """Strangers are redirected to the login page; htmx is told to take the whole page there."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> R | HttpResponse:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        if is_htmx(request):
            here = getattr(request, "htmx").current_url_abs_path or "/"  # noqa: B009 (put there by a middleware)
            return leave_to(request, redirect_to_login(here, resolve_url(settings.LOGIN_URL)).url)
        return redirect_to_login(request.get_full_path(), resolve_url(settings.LOGIN_URL))

    return guarded


def person(request: HttpRequest) -> User:
    """Who is asking; only behind ``signed_in``."""
    assert isinstance(request.user, User)  # noqa: S101 (narrows the type)
    return request.user


def is_htmx(request: HttpRequest) -> bool:
    """Does htmx ask for a part of a page?"""
    return bool(getattr(request, "htmx", False))


def leave_to(request: HttpRequest, url: str) -> HttpResponse:
    """Go to another page, whoever asks."""
    if not is_htmx(request):
        return HttpResponseRedirect(url)
    response = HttpResponse(status=204)
    response["HX-Redirect"] = url
    return response
