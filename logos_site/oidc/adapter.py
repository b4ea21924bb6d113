"""allauth asks here what providers there are, and what to do with somebody one of them sent."""

from __future__ import annotations

import logging
from typing import Any, NoReturn

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp, SocialLogin
from allauth.socialaccount.providers.base import AuthError, AuthProcess
from django.conf import settings
from django.contrib import messages
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.shortcuts import redirect

from agents import audit
from agents.models import User
from agents.secrets import redact
from logos_site.oidc import people
from logos_site.oidc.configuration import Issuer

logger = logging.getLogger(__name__)


class Providers(DefaultSocialAccountAdapter):
    """Providers come from settings alone, and nobody is let in but by ``logos_site.oidc.people``."""

    def list_apps(self, request: HttpRequest, provider: str | None = None, client_id: str | None = None) -> list[Any]:
        return [
            SocialApp(
                provider="openid_connect",
                provider_id=one.name,
                name=one.title[:40],
                client_id=one.client_id,
                secret=one.secret,
                settings={"server_url": one.issuer},
            )
            for one in settings.LOGOS_OIDC.values()
            if provider in (None, "openid_connect", one.name) and client_id in (None, one.client_id)
        ]

    def authenticate_by_email(self, sociallogin: SocialLogin) -> None:
        return None  # ``people.by_email`` does, and knows more

    def get_connect_redirect_url(self, request: HttpRequest, socialaccount: Any) -> str:
        return "/account/sign-in/"

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """Logos mails nothing about accounts."""

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        one: Issuer = settings.LOGOS_OIDC[sociallogin.account.provider]
        claims = sociallogin.claims
        if sociallogin.state.get("process") == AuthProcess.CONNECT:
            if not people.may_enter(one, claims):
                _refuse(request, one, "domain", to="account-sign-in")
            return
        if not people.may_enter(one, claims):
            _refuse(request, one, "domain")
        if sociallogin.is_existing:
            self._known(request, one, sociallogin)
        else:
            self._first_time(request, one, sociallogin)

    def _known(self, request: HttpRequest, one: Issuer, sociallogin: SocialLogin) -> None:
        user = sociallogin.user
        assert isinstance(user, User)  # noqa: S101 (narrows the type)
        if not user.is_active:
            _refuse(request, one, "suspended", user)
        if sociallogin.account.extra_data.get(people.MADE_HERE):
            people.follow(one, sociallogin.claims, user)

    def _first_time(self, request: HttpRequest, one: Issuer, sociallogin: SocialLogin) -> None:
        claims = sociallogin.claims
        try:
            with transaction.atomic():
                user = people.by_email(one, claims)
                if user is None and (user := people.make(one, claims)) is not None:
                    sociallogin.account.extra_data[people.MADE_HERE] = True
                    people.follow(one, claims, user)
                    audit.note("person_added", person=user, about=user, provider=one.name)
                if user is not None:
                    people.connect(sociallogin, user)
        except IntegrityError:  # the same person in two tabs
            user = None
        if user is None:
            _refuse(request, one, "nobody")

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: Any = None,
        exception: Exception | None = None,
        extra_context: Any = None,
    ) -> None:
        one: Issuer = settings.LOGOS_OIDC[provider.app.provider_id]
        back = redirect("account-sign-in" if request.user.is_authenticated else "account_login")
        if error == AuthError.CANCELLED:
            messages.info(request, f"You did not sign in with {one.title}.")
            raise ImmediateHttpResponse(back)
        why = redact(str(exception))[:300] if exception else "it answers no sign-in of this browser, or one long ago"
        logger.warning("Signing in with %s failed: %s", one.name, why)
        messages.error(request, f"Signing in with {one.title} did not work. Try again; the server log says why.")
        raise ImmediateHttpResponse(back)


def _refuse(
    request: HttpRequest, one: Issuer, why: str, user: User | None = None, to: str = "account_login"
) -> NoReturn:
    """One answer for everybody who has no account here, had one, or may not: it says nothing about anybody else."""
    audit.note("sign_in_refused", person=user, provider=one.name, why=why)
    messages.error(
        request, f"{one.title} knows you, but there is no account here for you to use. An administrator can help."
    )
    raise ImmediateHttpResponse(redirect(to))
