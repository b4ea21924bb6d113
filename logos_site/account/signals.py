"""What happens to sessions by itself: noted at sign-in, ended for a suspended person and after a new password; and the
security events of signing in and out and of second factors."""

from __future__ import annotations

from typing import Any

from allauth.account.signals import password_changed, password_set
from allauth.mfa import signals as factors
from allauth.mfa.models import Authenticator
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db.models.signals import post_save
from django.http import HttpRequest

from agents import audit, people
from agents.models import User
from logos_site.account import sessions
from logos_site.account.devices import device

_FACTORS = {"totp": "authenticator app", "webauthn": "passkey", "recovery_codes": "recovery codes"}


def connect() -> None:
    """Listen for all of it."""
    user_logged_in.connect(_when_signed_in)
    user_logged_out.connect(_when_signed_out)
    factors.authenticator_added.connect(_when_factor_added)
    factors.authenticator_removed.connect(_when_factor_removed)
    factors.authenticator_reset.connect(_when_factor_added)
    factors.authentication_failed.connect(_when_factor_failed)
    post_save.connect(_when_suspended, sender=User)
    for signal in (password_changed, password_set):
        signal.connect(_when_password_is_new)


def _when_signed_in(request: HttpRequest, user: User, **rest: Any) -> None:
    sessions.seen(request)
    audit.note("signed_in", actor=user, person=user, device=device(request.headers.get("User-Agent", "")))


def _when_signed_out(user: User | None, **rest: Any) -> None:
    if isinstance(user, User):
        audit.note("signed_out", actor=user, person=user)


def _when_factor_added(user: User, authenticator: Authenticator, **rest: Any) -> None:
    is_codes = authenticator.type == Authenticator.Type.RECOVERY_CODES
    audit.note("codes_made" if is_codes else "factor_added", person=user, factor=_FACTORS.get(authenticator.type, ""))


def _when_factor_removed(user: User, authenticator: Authenticator, **rest: Any) -> None:
    audit.note("factor_removed", person=user, factor=_FACTORS.get(authenticator.type, ""))


def _when_factor_failed(user: User, **rest: Any) -> None:
    audit.note("sign_in_failed", person=user, factor="second factor")


def _when_suspended(instance: User, created: bool, **rest: Any) -> None:
    # Whoever is let in again later signs in again: the old cookies stay worthless.
    if not created and not instance.is_active:
        people.end_sessions(instance)


def _when_password_is_new(request: HttpRequest, user: User, **rest: Any) -> None:
    people.end_sessions(user, keep=request.session.session_key)
