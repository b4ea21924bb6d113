"""The page of one's own API tokens: what there is, make one and see its secret once, rotate, revoke."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from agents import tokens
from agents.models import ApiToken
from agents.views.access import person, signed_in
from agents.views.tokens import NewToken


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@sensitive_variables("secret")
def own_tokens(request: HttpRequest) -> HttpResponse:
    """The list and the form."""
    form, made, secret = NewToken(request.POST or None), None, ""
    if form.is_valid():
        made, secret = tokens.make(
            person(request), form.cleaned_data["name"], form.cleaned_data["days"], form.cleaned_data["scopes"]
        )
        form = NewToken()
    return _page(request, form, made, secret)


@never_cache
@require_POST
@signed_in
@sensitive_variables("secret")
def rotate(request: HttpRequest, token_id: int) -> HttpResponse:
    """A new secret; the old one works another day."""
    made, secret = tokens.rotate(person(request), token_id)
    return _page(request, NewToken(), made, secret)


@require_POST
@signed_in
def revoke(request: HttpRequest, token_id: int) -> HttpResponse:
    """The token stops working at once."""
    tokens.revoke(person(request), token_id)
    messages.success(request, "The token is revoked.")
    return redirect("account-tokens")


@sensitive_variables("secret")
def _page(request: HttpRequest, form: NewToken, made: ApiToken | None, secret: str) -> HttpResponse:
    # The secret is in the answer to the form and nowhere else, so a reload cannot show it again.
    context = {
        "form": form,
        "made": made,
        "secret": secret,
        "now": timezone.now(),
        "tokens": tokens.of(person(request)),
    }
    return render(request, "account/tokens.html", context, status=400 if form.errors else 200)
