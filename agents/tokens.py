"""API tokens: whose, for what, made, rotated and revoked; the API, the pages and the shell all come here."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from agents import acting, audit, permissions, scopes, second_factor
from agents.errors import Invalid, LogosError, NotFound
from agents.models import ApiToken, User

DEFAULT_DAYS = 90
OVERLAP_HOURS = 24
MAX_OVERLAP_HOURS = 24 * 30
# How a token begins, and how long it is at least: what tells one in an address.
BEGINS, LENGTH = "logos_", 30


def of(user: User) -> QuerySet[ApiToken]:
    """The tokens of a person or service account that are not revoked, the newest first."""
    return ApiToken.objects.filter(user=user, revoked_at=None)


def make(
    user: User, name: str, days: int | None = None, words: list[str] | None = None, *, maker: User | None = None
) -> tuple[ApiToken, str]:
    """A token of ``user`` for the scopes ``words`` (None: whatever ``user`` may), valid for ``days`` (None: 90, or the
    most there is), and its secret, which cannot be read again. ``maker`` answers for a service account's.

    Raises Invalid for an empty name, an unknown scope or days outside 1 to LOGOS_TOKEN_MAX_DAYS,
    LogosError(reason="second_factor_required") for somebody who still has to set one up."""
    permissions.require(maker or user, "token.create")
    second_factor.require(maker or user)
    if not name.strip():
        raise Invalid("A token needs a name that says what it is for.", field="name")
    longest = settings.LOGOS_TOKEN_MAX_DAYS
    days = min(DEFAULT_DAYS, longest) if days is None else days
    if not 1 <= days <= longest:
        raise Invalid(f"A token is valid for 1 to {longest} days.", field="days")
    stored = scopes.stored(words)
    with transaction.atomic():
        token, secret = ApiToken.make(user, name.strip(), days, stored)
        audit.note("token_made", person=user, token=token.pk, name=token.name, days=days, scopes=stored)
    return token, secret


@transaction.atomic
def rotate(user: User, token_id: int, hours: int = OVERLAP_HOURS) -> tuple[ApiToken, str]:
    """A new token like this one of ``user``, which itself works for ``hours`` more. NotFound for any other's, and
    for one that is over."""
    if not 0 <= hours <= MAX_OVERLAP_HOURS:
        raise Invalid(f"The old token goes on for 0 to {MAX_OVERLAP_HOURS} hours.", field="hours")
    now = timezone.now()
    old = of(user).select_for_update().filter(pk=token_id).first()
    if old is None or (old.expires_at and old.expires_at <= now):
        raise NotFound("Token")
    lived = (old.expires_at - old.created_at).days if old.expires_at else DEFAULT_DAYS
    days = max(1, min(lived, settings.LOGOS_TOKEN_MAX_DAYS))
    made, secret = ApiToken.make(user, old.name, days, old.scopes)
    ends = now + timedelta(hours=hours)
    old.expires_at = min(old.expires_at, ends) if old.expires_at else ends
    old.save(update_fields=["expires_at"])
    audit.note("token_rotated", person=user, token=made.pk, before=old.pk, name=old.name, hours=hours)
    return made, secret


def revoke(user: User, token_id: int) -> None:
    """The person's own token stops working at once; NotFound for any other."""
    if not revoke_all(of(user).filter(pk=token_id)):
        raise NotFound("Token")


@transaction.atomic
def revoke_all(tokens: QuerySet[ApiToken]) -> int:
    """These tokens stop working at once; how many of them still did."""
    live = list(tokens.filter(revoked_at=None).select_related("user").select_for_update(of=("self",)))
    for token in live:
        token.revoked_at = timezone.now()
        token.save(update_fields=["revoked_at"])
        audit.note("token_revoked", person=token.user, token=token.pk, name=token.name)
    return len(live)


def bearer(secret: str, method: str, path: str) -> User | None:
    """Whoever's live token this is, if it is for such a request. Raises LogosError(reason="scope") if it is not."""
    token = ApiToken.live(secret)
    if token is None:
        _note_dead(secret)
        return None
    wanted = scopes.needed(method, path)
    if not scopes.covers(token.scopes, wanted):
        with acting.through(acting.door(), token.user, acting.address()):
            audit.seldom("refused", f"scope:{token.pk}:{wanted}", token=token.pk, name=token.name, scope=wanted)
        raise LogosError(
            f"This token is not for that: it has the scope {' and '.join(token.scopes.split())}.",
            reason="scope",
            action=f"Use one with the scope {wanted}.",
        )
    return token.user


def refuse_in_address(query: Any) -> None:
    """Raise Invalid for a token in the address, where logs and histories keep it; it opens nothing there."""
    if any(value.startswith(BEGINS) and len(value) > LENGTH for values in query.values() for value in values):
        raise Invalid(
            "A token does not belong in an address: logs and histories keep it.",
            reason="token_in_address",
            action="Revoke it, and send the next one as Authorization: Bearer.",
        )


def _note_dead(secret: str) -> None:
    """Somebody still has a token that was revoked or has expired, or one of a suspended person."""
    token = ApiToken.objects.filter(digest=ApiToken.digest_of(secret)).select_related("user").first()
    if token is not None:
        audit.seldom("token_refused", str(token.pk), person=token.user, token=token.pk, name=token.name)
