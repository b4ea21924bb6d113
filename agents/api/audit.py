"""/api/audit and /api/history: what was changed and what happened, versions of a row, and putting one back."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import permissions
from agents.api.asking import asker
from agents.api.shapes import NEXT, PageQuery, PersonRef, Text
from agents.api.soul_revisions import PieceOut
from agents.errors import Invalid, NotFound
from agents.models import User
from agents.numbers import whole
from agents.past import comparing, reverting, telling, timeline, versions
from agents.past.kinds import Past, find, kinds
from agents.past.timeline import Wanted

router = Router(tags=["History"])

_ID = "agent_01jd9z6w3v8f4k2m7q5t0x1y9c"
_AT = "2026-11-20T09:12:44.120Z"


class EntryOut(Schema):
    """One thing that happened. ``action`` is made, changed, deleted or the kind of a security event; ``address`` is
    told to admins and about one's own account."""

    at: datetime
    by: str = Field(description="A username; empty for Logos itself, strangers, and people whose account is gone.")
    via: str = Field(description="page, api, console, command or task; empty for Logos itself.")
    action: str
    kind: str = Field(description="What it happened to: agent, soul, route, policy, provider, person, group, …")
    id: str
    name: str = Field(description="What it was called at that time.")
    person: str = Field(description="To whom an event happened.")
    changed: list[str] = Field(description="The fields a change changed.")
    reason: str
    address: str
    sentence: str

    model_config = {
        "json_schema_extra": {
            "example": {
                "at": _AT,
                "by": "alice",
                "via": "api",
                "action": "changed",
                "kind": "agent",
                "id": _ID,
                "name": "atlas",
                "person": "",
                "changed": ["description", "toolsets"],
                "reason": "",
                "address": "",
                "sentence": "alice changed agent atlas: description, toolsets",
            }
        }
    }


class EntryPage(Schema):
    """Entries, the newest first."""

    items: list[EntryOut]
    next: str | None = NEXT


class AuditQuery(PageQuery):
    """What to narrow the audit to; everything else is left out."""

    person: Text = Field("", max_length=150, description="A username: whoever did it, or to whom it happened.")
    action: Text = Field("", max_length=40, description="made, changed, deleted, or the kind of a security event.")
    kind: Text = Field("", max_length=40, description="agent, soul, route, policy, provider, person or group.")
    id: Text = Field("", max_length=60, description="The id of one object.")
    text: Text = Field("", max_length=200, description="Words in a name, a field, a reason or a detail.")
    since: datetime | None = Field(None, description="From this moment on.")
    until: datetime | None = Field(None, description="Before this moment.")


class VersionOut(Schema):
    """One version of a row."""

    number: int
    at: datetime
    by: PersonRef | None
    via: str
    what: Literal["made", "changed", "deleted"]
    reason: str
    changed: list[str]
    name: str

    model_config = {
        "json_schema_extra": {
            "example": {
                "number": 7,
                "at": _AT,
                "by": {"username": "alice", "name": "Alice Liddell"},
                "via": "page",
                "what": "changed",
                "reason": "",
                "changed": ["text"],
                "name": "Steady hand",
            }
        }
    }


class VersionPage(Schema):
    """The versions of a row, the newest first. ``version`` is the newest one's number."""

    version: int
    items: list[VersionOut]
    next: str | None = NEXT


class ChangeOut(Schema):
    """How one field differs. ``form`` is text (``pieces``), set (``added``, ``removed``) or value (``before``,
    ``after``). References are told by the names you may see."""

    name: str
    form: Literal["text", "set", "value"]
    before: str
    after: str
    pieces: list[PieceOut]
    added: list[str]
    removed: list[str]


class DifferenceOut(VersionOut):
    """A version, and how it differs from another: ``from`` is 0 for nothing at all."""

    compared_with: int
    changes: list[ChangeOut]


class FromQuery(Schema):
    """With which version to compare."""

    compare: int | None = Field(
        None,
        ge=0,
        le=2**31,
        description="A number; 0 for nothing, so that all of the version is told. Default: the one before.",
    )


class RevertIn(Schema):
    """Which version to put back, and which was the newest when you looked."""

    to: int = Field(ge=1, le=2**31)
    version: int | None = Field(None, ge=1, description="409 with reason stale when there is a newer one by now.")
    reason: Text = Field("", max_length=250)

    model_config = {"json_schema_extra": {"example": {"to": 3, "version": 7, "reason": "It worked better"}}}


@router.get("/audit", response=EntryPage, operation_id="list_audit", summary="What happened")
def list_audit(request: HttpRequest, query: Query[AuditQuery]) -> dict[str, Any]:
    """For admins and operators. Operators see changes of rows they may see, access to what they manage, and their
    own account."""
    user = asker(request)
    permissions.require(user, "audit.view")
    wanted = wanted_from(query.person, query.action, query.kind, query.id, query.text, query.since, query.until)
    entries, more = timeline.page(user, wanted, timeline.place(query.after), query.limit)
    return {
        "items": [entry_out(user, entry) for entry in entries],
        "next": timeline.cursor(entries[-1]) if more else None,
    }


def wanted_from(
    person: str, action: str, kind: str, object_id: str, text: str, since: datetime | None, until: datetime | None
) -> Wanted:
    """What somebody asks the audit for; Invalid or NotFound for what there is not."""
    if action and action not in timeline.actions():
        raise Invalid("There is no such action.", field="action", action=f"There are: {', '.join(timeline.actions())}.")
    if kind and kind not in kinds():
        raise Invalid("There is no such kind.", field="kind", action=f"There are: {', '.join(kinds())}.")
    somebody = User.objects.filter(username__iexact=person).first() if person else None
    if person and somebody is None:
        raise NotFound("This person")
    return Wanted(somebody, action, kind, object_id, text, since, until)


def entry_out(reader: User, entry: timeline.Entry) -> dict[str, Any]:
    """An entry as the API and ``manage.py audit --json`` show it."""
    said, event = telling.told(reader, entry), entry.event
    return {
        "at": entry.at,
        "by": telling.name_of(entry.by),
        "via": entry.via,
        "action": entry.action,
        "kind": entry.kind,
        "id": entry.object_id,
        "name": entry.name,
        "person": telling.name_of(event.person) if event else "",
        "changed": list(entry.changed),
        "reason": entry.reason,
        "address": said.address,
        "sentence": telling.sentence(said),
    }


@router.get(
    "/history/{kind}/{object_id}", response=VersionPage, operation_id="list_versions", summary="Versions of a row"
)
def list_versions(request: HttpRequest, kind: Text, object_id: Text, query: Query[PageQuery]) -> dict[str, Any]:
    """For who may edit the row, operators who may see it, and admins, also of rows that are gone."""
    past = find(asker(request), kind, object_id)
    before = whole(query.after) if query.after else None
    if query.after and before is None:
        raise Invalid("This is not the `next` of a page.", field="after")
    found, total = versions.listed(past, before, query.limit)
    more = bool(found) and found[-1].number > 1
    return {"version": total, "items": found, "next": str(found[-1].number) if more else None}


@router.get(
    "/history/{kind}/{object_id}/{int:number}",
    response=DifferenceOut,
    operation_id="get_version",
    summary="What changed",
)
def get_version(
    request: HttpRequest, kind: Text, object_id: Text, number: int, query: Query[FromQuery]
) -> dict[str, Any]:
    """One version and how it differs from another."""
    user = asker(request)
    past = find(user, kind, object_id)
    return difference(user, past, number, query.compare)


def difference(user: User, past: Past, number: int, compare: int | None) -> dict[str, Any]:
    """A version and how it differs from version ``compare`` (0: from nothing; None: from the one before)."""
    version = versions.one(past, number)
    other = number - 1 if compare is None else compare
    before = versions.one(past, other).record if other else None
    told = {name: getattr(version, name) for name in VersionOut.model_fields}
    return {**told, "compared_with": other, "changes": comparing.compare(user, before, version.record)}


@router.post(
    "/history/{kind}/{object_id}/revert", response=VersionPage, operation_id="revert", summary="Put a version back"
)
def revert(request: HttpRequest, kind: Text, object_id: Text, body: RevertIn) -> dict[str, Any]:
    """A new version that says what ``to`` said, by the rules of today. Owner, visibility, grants, keys and what opens
    an account stay as they are."""
    past = reverting.revert(asker(request), kind, object_id, body.to, body.version, body.reason)
    found, total = versions.listed(past)
    return {"version": total, "items": found, "next": str(found[-1].number) if found[-1].number > 1 else None}
