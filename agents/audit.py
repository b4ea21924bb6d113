"""Note security events: one call per event, nothing secret in it, nothing lost when the event's own change is undone.

An event is a row beside the change it tells of, in the same transaction: both happen or neither.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Model

from agents import acting
from agents.models import SecurityEvent, User
from agents.secrets import redact

# kind -> what the audit page says; {detail} parts are filled from the event's detail.
EVENTS: dict[str, str] = {
    "signed_in": "signed in",
    "sign_in_failed": "failed to sign in",
    "sign_in_locked": "was locked out after too many failures",
    "signed_out": "signed out",
    "session_ended": "ended a session",
    "password_changed": "changed the password",
    "factor_added": "added a second factor",
    "factor_removed": "removed a second factor",
    "token_made": "made an API token",
    "token_revoked": "revoked an API token",
    "granted": "gave access",
    "revoked": "took access back",
    "visibility_changed": "changed who may use it",
    "transferred": "gave it to another owner",
    "person_added": "added a person",
    "role_changed": "changed a role",
    "suspended": "suspended an account",
    "restored": "restored an account",
    "key_replaced": "replaced a key",
    "refused": "was refused",
}


def note(
    kind: str,
    *,
    actor: User | None = None,
    person: User | None = None,
    about: Model | None = None,
    address: str = "",
    **detail: Any,
) -> SecurityEvent:
    """Record that ``kind`` happened. ``actor`` defaults to who acts now (``agents.acting``), ``person`` is whom it
    happened to, ``about`` the object. Texts in ``detail`` are redacted and cut to 300 characters.

    Raises KeyError for a kind that is not in EVENTS."""
    EVENTS[kind]
    return SecurityEvent.objects.create(
        kind=kind,
        actor=actor or acting.actor(),
        person=person,
        object_kind=about._meta.model_name or "" if about is not None else "",
        object_id=str(about.pk) if about is not None else "",
        object_name=str(about)[:200] if about is not None else "",
        via=acting.door(),
        address=(address or acting.address())[:45],
        detail={name: redact(value)[:300] if isinstance(value, str) else value for name, value in detail.items()},
    )
