"""Where a person is signed in: one row per browser, ended one by one, all others, or all."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime

from allauth.account.adapter import get_adapter
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from agents import audit, people
from agents.errors import NotFound
from agents.models import User
from agents.views.access import person, signed_in
from logos_site.account.devices import device

logger = logging.getLogger(__name__)

SEEN_EVERY_S = 60
# When this process last wrote a session down.
_seen: dict[str, float] = {}


@dataclass(frozen=True, slots=True)
class Place:
    """One browser somebody is signed in with."""

    id: int
    device: str
    ip: str
    since: datetime
    last_seen: datetime
    is_this: bool


def seen(request: HttpRequest) -> None:
    """The session of this signed-in request is in use; written down at most once a minute."""
    key, now = request.session.session_key, time.monotonic()
    if key is None or now - _seen.get(key, -SEEN_EVERY_S) < SEEN_EVERY_S:
        return
    if len(_seen) > 10_000:
        _seen.clear()
    _seen[key] = now
    if "REMOTE_ADDR" not in request.META:
        return  # it comes from no browser
    try:
        _note(request, key)
    except DatabaseError as error:
        # The page is ready; that the list of sessions is a minute older harms nobody.
        logger.warning("A session could not be noted: %s", error)


def _note(request: HttpRequest, key: str) -> None:
    # One query. Should the session have ended a moment ago, ``places`` clears the row away.
    agent = request.headers.get("User-Agent", "")[: UserSession._meta.get_field("user_agent").max_length]
    ip = get_adapter().get_client_ip(request)
    UserSession.objects.bulk_create(
        [UserSession(session_key=key, user=person(request), ip=ip, user_agent=agent)],
        update_conflicts=True,
        unique_fields=["session_key"],
        update_fields=["user", "ip", "user_agent", "last_seen_at"],
    )


def places(user: User, current_key: str | None) -> list[Place]:
    """Where ``user`` is signed in: this browser first, then the last seen first."""
    found = [
        Place(row.pk, device(row.user_agent), row.ip, row.created_at, row.last_seen_at, row.session_key == current_key)
        for row in UserSession.objects.purge_and_list(user)
    ]
    return sorted(found, key=lambda place: (place.is_this, place.last_seen), reverse=True)


@never_cache
@require_safe
@signed_in
def sessions(request: HttpRequest) -> HttpResponse:
    """The list."""
    found = places(person(request), request.session.session_key)
    weeks = settings.SESSION_COOKIE_AGE // (7 * 24 * 3600)
    return render(request, "account/sessions.html", {"places": found, "weeks": weeks})


@require_POST
@signed_in
def end_one(request: HttpRequest, session_id: int) -> HttpResponse:
    """Sign another browser out."""
    row = UserSession.objects.filter(user=person(request), pk=session_id).first()
    if row is None:
        raise NotFound("Session")
    if row.session_key == request.session.session_key:
        return redirect("account_logout")
    row.end()
    audit.note("session_ended", person=person(request), device=device(row.user_agent), count=1)
    messages.success(request, f"{device(row.user_agent)} is signed out.")
    return redirect("account-sessions")


@require_POST
@signed_in
def end_others(request: HttpRequest) -> HttpResponse:
    """Sign every other browser out."""
    count = people.end_sessions(person(request), keep=request.session.session_key)
    messages.success(request, f"Signed out elsewhere: {count}.")
    return redirect("account-sessions")
