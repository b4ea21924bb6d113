"""Personal API tokens: whose, made and revoked; the API, the pages and the shell all come here."""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from agents import audit, permissions, second_factor
from agents.errors import Invalid, NotFound
from agents.models import ApiToken, User

MAX_DAYS = 3650


def of(user: User) -> QuerySet[ApiToken]:
    """The person's tokens that are not revoked, the newest first."""
    return ApiToken.objects.filter(user=user, revoked_at=None)


def make(user: User, name: str, days: int | None = None) -> tuple[ApiToken, str]:
    """A token that may do whatever ``user`` may, and its secret, which cannot be read again.

    Raises Invalid for an empty name or days outside 1 to 3650, LogosError(reason="second_factor_required") for
    somebody who still has to set one up."""
    permissions.require(user, "token.create")
    second_factor.require(user)
    if not name.strip():
        raise Invalid("A token needs a name that says what it is for.", field="name")
    if days is not None and not 1 <= days <= MAX_DAYS:
        raise Invalid(f"A token is valid for 1 to {MAX_DAYS} days.", field="days")
    with transaction.atomic():
        token, secret = ApiToken.make(user, name.strip(), days)
        audit.note("token_made", person=user, token=token.pk, name=token.name, days=days)
    return token, secret


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
