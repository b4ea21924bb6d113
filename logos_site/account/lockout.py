"""Failed sign-ins, counted until nobody may try any more for a while.

Two counts run beside each other, each per address. The count of what was typed locks loudly: it says when to try
again, and does so alike for names nobody has. The count of the person behind it, whether their user name or their
e-mail was typed, locks quietly: right passwords are answered like wrong ones, because a refusal of its own would
tell that two names belong to one person, and so that both exist.
"""

from __future__ import annotations

import time
from math import ceil
from typing import Any

from allauth.core.internal import ratelimit
from django.core.cache import cache
from django.db.models import Q
from django.http import HttpRequest

from agents.models import User

APP = "allauth.account"


def minutes_left(request: HttpRequest, key: str) -> int:
    """How long until the oldest failure that counts for ``key``, or for the address, is forgotten; at least 1."""
    waits = [0.0]
    for rate in ratelimit.get_rates(app=APP, action="login_failed"):
        failures = cache.get(ratelimit.get_cache_key(request, app=APP, action="login_failed", rate=rate, key=key)) or []
        if len(failures) >= rate.amount:
            waits.append(failures[rate.amount - 1] + rate.duration - time.time())
    return max(1, ceil(max(waits) / 60))


class PersonCount:
    """One attempt to sign in as a person, counted until it succeeds."""

    def __init__(self, request: HttpRequest, ip: str, credentials: dict[str, Any]) -> None:
        names = {str(credentials[kind]) for kind in ("username", "email") if credentials.get(kind)}
        which = Q()
        for name in names:
            which |= Q(username__iexact=name) | Q(email__iexact=name)
        found = User.objects.filter(which).order_by("pk").first() if names else None
        # Whose account it would be. What was typed is kept nowhere: people type passwords into the wrong field.
        self.person = found
        self.names = sorted(names)
        self._usages: list[ratelimit.RateLimitUsage] = []
        # Names nobody has are counted too, so that both cost the same.
        person = found.pk if found is not None else f"nobody:{sorted(names)}"
        self.is_full = not all(
            self._take(request, action, key)
            for action, key in (
                ("login_failed_person", f"{person}|{ip}"),
                ("login_failed_anywhere", str(person)),
            )
        )

    def _take(self, request: HttpRequest, action: str, key: str) -> bool:
        usage = ratelimit.consume(request, app=APP, action=action, key=key)
        if usage:
            self._usages.append(usage)
        return usage is not None

    def forget(self) -> None:
        """The attempt succeeded and does not count; earlier failures still do."""
        for usage in self._usages:
            usage.rollback()
