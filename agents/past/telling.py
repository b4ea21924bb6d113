"""Entries of the audit as sentences for people: who did what to what, with the details that matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agents import permissions
from agents.audit import EVENTS
from agents.models import Role, SecurityEvent, User
from agents.past.kinds import kinds
from agents.past.timeline import Entry
from agents.standing import lowered

DOORS = {"page": "page", "api": "API", "console": "console", "command": "command", "task": "task"}
_WORDS = {
    "sitesettings": "site settings",
    "route": "model route",
    "approval": "question of a run",
    "onetimelink": "link",
}
_ABOUT_THEMSELVES = frozenset(
    {"signed_in", "signed_out", "sign_in_failed", "sign_in_locked", "session_ended", "password_changed"}
)


@dataclass(frozen=True, slots=True)
class Told:
    """One line: ``who`` ``does`` ``what`` (a kind and a name) ``details``. ``link`` says whether the reader may open
    the history of it; ``address`` is told to admins and about oneself."""

    entry: Entry
    who: str
    does: str
    kind: str
    name: str
    details: str
    link: bool
    door: str
    address: str
    is_warning: bool


# What an event says before the name of an object.
_OF_IT = {
    "granted": "gave access to",
    "revoked": "took back access to",
    "visibility_changed": "changed who may use",
    "transferred": "gave another owner to",
    "key_replaced": "replaced the key of",
    "key_removed": "removed the key of",
    "invited": "invited somebody with the",
    "invitation_withdrawn": "withdrew the",
    "refused": "was refused on",
}
_WARNINGS = frozenset({"sign_in_failed", "sign_in_locked", "refused", "token_refused"})


def told(reader: User, entry: Entry) -> Told:
    """The entry as ``reader`` may read it."""
    event = entry.event
    is_admin = permissions.role_of(reader) == Role.ADMIN
    if event is None:
        return Told(
            entry,
            name_of(entry.by) or ("somebody whose account is gone" if entry.by_id else "Logos"),
            entry.action,
            word(entry.kind),
            entry.name,
            ", ".join(entry.labels).lower(),
            True,
            DOORS.get(entry.via, ""),
            "",
            False,
        )
    is_own = reader in (event.actor, event.person)
    return Told(
        entry,
        _who(event),
        (_OF_IT.get(event.kind) if event.object_name else "") or EVENTS.get(event.kind, event.kind.replace("_", " ")),
        word(event.object_kind),
        event.object_name if event.object_kind != "person" or event.person is None else "",
        details(event),
        bool(event.object_id) and event.object_kind in kinds() and (is_admin or not is_own),
        DOORS.get(event.via, ""),
        event.address if is_admin or (event.actor or event.person) == reader else "",
        event.kind in _WARNINGS,
    )


def name_of(person: User | None) -> str:
    """The name nobody else has; a program is called one. Empty for nobody."""
    if person is None:
        return ""
    return f"{person.username} (service account)" if person.is_service else person.username


def word(kind: str) -> str:
    """A kind as a person says it."""
    return _WORDS.get(kind, kind)


def _who(event: SecurityEvent) -> str:
    if event.actor is not None:
        return name_of(event.actor)
    if event.kind in _ABOUT_THEMSELVES and event.person is not None:
        return f"somebody, as {event.person.username},"
    return "somebody" if event.via else "Logos"


def details(event: SecurityEvent) -> str:
    """What else there is to know of an event, in a few words."""
    given, person = event.detail, name_of(event.person)
    if event.kind in ("granted", "revoked"):
        whom = f"the group {given['group']}" if given.get("group") else person or "somebody whose account is gone"
        return f"{given.get('level', '')} {'to' if event.kind == 'granted' else 'from'} {whom}"
    if event.kind == "refused":
        return lowered(str(given.get("what", "")))
    if event.kind in ("sign_in_failed", "sign_in_locked") and event.person is None:
        return "with a name nobody has"
    parts = [_part(name, value) for name, value in given.items() if name not in ("before", "after", "token")]
    if "before" in given or "after" in given:
        parts.insert(0, f"{given.get('before') or 'nobody'} → {given.get('after') or 'nobody'}")
    elif person and event.person != event.actor and event.kind not in _ABOUT_THEMSELVES:
        parts.insert(0, person)
    if "before" in given and event.kind.startswith(("role_", "limit_")) and person:
        parts[0] = f"of {person}: {parts[0]}"
    return ", ".join(filter(None, parts))


def _part(name: str, value: Any) -> str:
    if value in (None, "", [], {}):
        return ""
    if name in ("name", "device", "factor", "role", "provider"):
        return str(value)
    if name == "count":
        return f"{value} of them" if value != 1 else ""
    if name == "days":
        return f"for {value} days"
    return f"{name.replace('_', ' ')} {value}"


def plural(kind: str) -> str:
    """Several of a kind, as a heading."""
    name = word(kind)
    return f"{name[:-1]}ies".capitalize() if name.endswith("y") else f"{name}s".capitalize()


def sentence(said: Told) -> str:
    """The line as plain text."""
    what = f" {said.kind} {said.name}" if said.kind and said.name else ""
    details = f"{':' if said.name else ''} {said.details}" if said.details else ""
    return f"{said.who} {said.does}{what}{details}"
