"""Who must have a second factor, who has one, and taking it away from somebody who lost theirs."""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import transaction

from agents import audit
from agents.errors import LogosError
from agents.models import User

# Recovery codes only help somebody who has one of these.
FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


def has_one(user: User) -> bool:
    """Is an authenticator app or a passkey set up?"""
    return Authenticator.objects.filter(user=user, type__in=FACTORS).exists()


def is_required_of(user: User) -> bool:
    """Is the person's role one of ``LOGOS_SECOND_FACTOR_ROLES``? A service account never signs in."""
    return user.role in settings.LOGOS_SECOND_FACTOR_ROLES and not user.is_service


def is_missing(user: User) -> bool:
    """Must the person set one up before anything else? No query for roles that need none."""
    return is_required_of(user) and not has_one(user)


def require(user: User) -> None:
    """Return if nothing is missing; raise LogosError(reason="second_factor_required")."""
    if is_missing(user):
        raise LogosError(
            "Your role needs a second factor to sign in.",
            reason="second_factor_required",
            action="Set one up under Your account, Second factor.",
        )


def reset(user: User) -> int:
    """Remove every factor and the recovery codes; the number of factors that were set up."""
    factors = Authenticator.objects.filter(user=user, type__in=FACTORS).count()
    with transaction.atomic():
        if Authenticator.objects.filter(user=user).delete()[0]:
            audit.note("factor_removed", person=user, count=factors)
    return factors
