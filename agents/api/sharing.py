"""/api/{agents|souls|routes|policies|mcp-servers}/{id}/grants, /visibility and /owner: who else may use an object."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest
from ninja import Field, Path, Query, Router, Schema

from agents import sharing
from agents.api.asking import asker
from agents.api.shapes import PersonRef, Text
from agents.errors import NotFound
from agents.models import User, Visibility

router = Router(tags=["Sharing"])


_KINDS = {"agents": "agent", "souls": "soul", "routes": "route", "policies": "policy", "mcp-servers": "server"}

# A word of the address rather than a value of the request: an unknown one is an address nobody has.
Collection = Annotated[str, Path(enum=list(_KINDS))]

Level = Literal["view", "chat", "edit", "manage"]

EXAMPLE: dict[str, Any] = {
    "owner": {"username": "alice", "name": "Alice Liddell"},
    "visibility": "private",
    "items": [
        {"kind": "person", "name": "bob", "level": "chat"},
        {"kind": "group", "name": "helpers", "level": "edit"},
    ],
}


class GrantOut(Schema):
    """What one person (by username) or group was given."""

    kind: Literal["person", "group"]
    name: str
    level: Level


class AccessOut(Schema):
    """Who may use an object besides admins: its owner, everyone if it is shared, and those with a grant."""

    owner: PersonRef | None
    visibility: Visibility
    items: list[GrantOut]

    model_config = {"json_schema_extra": {"example": EXAMPLE}}


class SubjectQuery(Schema):
    """A person or a group."""

    person: Text = Field("", description="A username.")
    group: Text = Field("", description="The name of a group.")


class GrantIn(SubjectQuery):
    """A level for a person or a group; it replaces the one they had."""

    level: Level

    model_config = {"json_schema_extra": {"example": {"person": "bob", "level": "chat"}}}


class VisibilityIn(Schema):
    """Private, or shared with everyone who may sign in."""

    visibility: Visibility
    end_access: bool = Field(False, description="Of an MCP server: also take back what agents were given until now.")

    model_config = {"json_schema_extra": {"example": {"visibility": "shared"}}}


class OwnerIn(Schema):
    """The next owner."""

    person: Text = Field(description="A username.")
    keep: bool = Field(True, description="The owner so far keeps the level manage by a grant.")

    model_config = {"json_schema_extra": {"example": {"person": "bob", "keep": True}}}


def access(row: Any) -> dict[str, Any]:
    """The access to ``row`` as the API shows it."""
    return {"owner": row.owner, "visibility": row.visibility, "items": sharing.grants_on(row)}


@router.get(
    "/{collection}/{object_id}/grants", response=AccessOut, operation_id="list_grants", summary="Who has access"
)
def list_grants(request: HttpRequest, collection: Collection, object_id: Text) -> dict[str, Any]:
    """Owner, visibility and grants of an object you manage. Everything below needs the level manage."""
    return access(_managed(request, collection, object_id))


@router.post("/{collection}/{object_id}/grants", response=AccessOut, operation_id="grant", summary="Grant a level")
def grant(request: HttpRequest, collection: Collection, object_id: Text, body: GrantIn) -> dict[str, Any]:
    """Give a person or a group a level; repeating it changes nothing. Refused when their role could not use it."""
    with transaction.atomic():
        row = _managed(request, collection, object_id)
        sharing.grant(asker(request), sharing.subject(person=body.person, group=body.group), body.level, row)
        return access(row)


@router.delete(
    "/{collection}/{object_id}/grants", response={204: None}, operation_id="revoke_grant", summary="Take a grant back"
)
def revoke(request: HttpRequest, collection: Collection, object_id: Text, query: Query[SubjectQuery]) -> None:
    """Name the person or the group in the query. You cannot take from yourself what you need to manage it."""
    row = _managed(request, collection, object_id)
    sharing.revoke(asker(request), sharing.subject(person=query.person, group=query.group, active=False), row)


@router.put(
    "/{collection}/{object_id}/visibility", response=AccessOut, operation_id="set_visibility", summary="Share or not"
)
def set_visibility(request: HttpRequest, collection: Collection, object_id: Text, body: VisibilityIn) -> dict[str, Any]:
    """Share an object with everyone who may sign in, or make it private."""
    row = _managed(request, collection, object_id)
    sharing.set_visibility(asker(request), row, body.visibility, end_access=body.end_access)
    return access(row)


@router.put("/{collection}/{object_id}/owner", response=AccessOut, operation_id="transfer", summary="Give it away")
def transfer(request: HttpRequest, collection: Collection, object_id: Text, body: OwnerIn) -> dict[str, Any]:
    """Make somebody else the owner; the answer shows the access as it is afterwards."""
    row = _managed(request, collection, object_id)
    new_owner = sharing.subject(person=body.person)
    assert isinstance(new_owner, User)  # noqa: S101 (narrows the type)
    sharing.transfer(asker(request), row, new_owner, keep=body.keep)
    return access(row)


def _managed(request: HttpRequest, collection: Collection, object_id: str) -> Model:
    if collection not in _KINDS:
        raise NotFound("This address")
    return sharing.fetch(asker(request), _KINDS[collection], object_id)
