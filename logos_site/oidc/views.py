"""Pages of signing in with a provider: going there, coming back, and which ones open one's account."""

from __future__ import annotations

from allauth.account.decorators import reauthentication_required
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.internal.flows import connect
from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers.base import AuthProcess
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from agents import audit
from agents.errors import Invalid, NotFound
from agents.views.access import person, signed_in
from logos_site.oidc.protocol import Exchange, Provider


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def begin(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Only a form of ours sends somebody to a provider."""
    _provider(request, provider_id)
    if request.method != "POST":
        return redirect("account_login")
    return _leave(request, provider_id, AuthProcess.LOGIN)


@never_cache
@require_POST
@signed_in
@reauthentication_required
def add(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Connect a provider to one's account: its sign-in opens it from now on."""
    return _leave(request, provider_id, AuthProcess.CONNECT)


@sensitive_variables()
def _leave(request: HttpRequest, provider_id: str, process: str) -> HttpResponse:
    # A page that leads on rather than a redirect: the policy on where forms may go holds for redirects too, and it
    # names nobody but ourselves.
    provider = _provider(request, provider_id)
    try:
        kwargs = provider.get_redirect_from_request_kwargs(request) | {"process": process}
        there = provider.redirect(request, **kwargs)["Location"]
    except OAuth2Error as error:
        try:
            get_adapter().on_authentication_error(request, provider, exception=error)
        except ImmediateHttpResponse as answer:
            return answer.response
        raise
    return render(request, "oidc/leave.html", {"provider": provider, "there": there})


@never_cache
@require_safe
@sensitive_variables()
def callback(request: HttpRequest, provider_id: str) -> HttpResponse:
    """They come back with a code. Whatever does not fit ends on the sign-in page."""
    provider = _provider(request, provider_id)
    view = OAuth2CallbackView.adapter_view(Exchange(request, provider.app.provider_id))
    return view(request)


def _provider(request: HttpRequest, provider_id: str) -> Provider:
    if provider_id not in settings.LOGOS_OIDC:
        raise Http404
    return get_adapter().get_provider(request, provider_id)


@never_cache
@require_safe
@signed_in
def ways_in(request: HttpRequest) -> HttpResponse:
    """Which providers open one's account, and which could."""
    mine = {row.provider: row for row in SocialAccount.objects.filter(user=person(request))}
    known = settings.LOGOS_OIDC
    connected = [
        {"row": row, "title": known[name].title if name in known else name, "is_gone": name not in known}
        for name, row in sorted(mine.items())
    ]
    others = [one for name, one in known.items() if name not in mine]
    return render(request, "oidc/ways_in.html", {"connected": connected, "others": others})


@never_cache
@require_POST
@signed_in
@reauthentication_required
def remove(request: HttpRequest, account_id: int) -> HttpResponse:
    """A provider does not open the account any more; never the last way in."""
    row = SocialAccount.objects.filter(user=person(request), pk=account_id).first()
    if row is None:
        raise NotFound("Connection")
    try:
        connect.validate_disconnect(request, row)
    except ValidationError as error:
        raise Invalid(
            "This is the only way into your account.", action="Set a password first, under Your account, Password."
        ) from error
    title = settings.LOGOS_OIDC[row.provider].title if row.provider in settings.LOGOS_OIDC else row.provider
    row.delete()
    audit.note("sign_in_removed", person=person(request), provider=row.provider)
    messages.success(request, f"{title} does not open your account any more.")
    return redirect(reverse("account-sign-in"))
