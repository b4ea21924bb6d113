"""How allauth is used here: nobody signs up alone, failed sign-ins lock, secrets of second factors are sealed."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.internal.ratelimit import get_ip
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.crypto import salted_hmac

from agents import audit, secrets
from agents.models import User
from logos_site.account.lockout import PersonCount, minutes_left


class ClosedAccounts(DefaultAccountAdapter):
    """Nobody can sign up by themselves; ten failed attempts lock a name at an address (``account/lockout.py``)."""

    # Whose account the attempt is about, when there is one.
    _person: User | None = None

    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "too_many_login_attempts": "Too many failed attempts. Try again in 15 minutes.",
        "username_password_mismatch": "The user name or the password is not right.",
        "email_password_mismatch": "The e-mail address or the password is not right.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def pre_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> HttpResponse | None:
        """Whatever way somebody came: a service account has tokens and no sessions."""
        if user.is_service:
            messages.error(request, "A service account does not sign in; it has API tokens.")
            return redirect("account_login")
        return super().pre_login(request, user, **kwargs)

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        try:
            super().pre_authenticate(request, **credentials)
        except ValidationError as error:
            minutes = minutes_left(request, self._get_login_attempts_cache_key(request, **credentials))
            self._note_lock(request, credentials)
            raise ValidationError(
                f"Too many failed attempts. Try again in {minutes} minute{'' if minutes == 1 else 's'}. "
                "That holds for the user name and the e-mail address alike.",
                code=error.code,
            ) from error

    def authenticate(self, request: HttpRequest, **credentials: Any) -> Any:
        count = PersonCount(request, get_ip(request), credentials)
        self._person = count.person
        if count.is_full:
            self.pre_authenticate(request, **credentials)  # counts what was typed, and may say when to try again
            User().set_password(credentials.get("password", ""))  # as slow as looking
            self._note_lock(request, credentials)
            return None
        user = super().authenticate(request, **credentials)
        if user:
            count.forget()
        else:
            audit.note("sign_in_failed", person=count.person)
        return user

    def _note_lock(self, request: HttpRequest, credentials: Any) -> None:
        """Once for a name at an address. The name is hashed with this site's key: it may be a mistyped password."""
        key = salted_hmac("audit.lock", self._get_login_attempts_cache_key(request, **credentials)).hexdigest()
        audit.seldom("sign_in_locked", key, person=self._person)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        # Per address too: whoever guesses from elsewhere does not lock the owner out.
        return f"{super()._get_login_attempts_cache_key(request, **credentials)}|{get_ip(request)}"


class SealedFactors(DefaultMFAAdapter):
    """Keys of authenticator apps and recovery codes are unreadable in a stolen database."""

    def encrypt(self, text: str) -> str:
        return secrets.seal(text)

    def generate_authenticator_name(self, user: Any, type: Any) -> str:
        return f"Passkey {Authenticator.objects.filter(user=user, type=type).count() + 1}"

    def decrypt(self, encrypted_text: str) -> str:
        return secrets.unseal(encrypted_text)
