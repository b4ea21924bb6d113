"""What happens to sessions by itself: noted at sign-in, ended for a suspended person and after a new password."""

from __future__ import annotations

from typing import Any

from allauth.account.signals import password_changed, password_set
from django.contrib.auth.signals import user_logged_in
from django.db.models.signals import post_save
from django.http import HttpRequest

from agents.models import User
from logos_site.account import sessions


def connect() -> None:
    """Listen for all three."""
    user_logged_in.connect(_when_signed_in)
    post_save.connect(_when_suspended, sender=User)
    for signal in (password_changed, password_set):
        signal.connect(_when_password_is_new)


def _when_signed_in(request: HttpRequest, **rest: Any) -> None:
    sessions.seen(request)


def _when_suspended(instance: User, created: bool, **rest: Any) -> None:
    # Whoever is let in again later signs in again: the old cookies stay worthless.
    if not created and not instance.is_active:
        sessions.end_all(instance)


def _when_password_is_new(request: HttpRequest, user: User, **rest: Any) -> None:
    sessions.end_all(user, keep=request.session.session_key)
