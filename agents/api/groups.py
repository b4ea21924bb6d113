"""/api/groups: groups of people, for admins; a grant to a group counts for all its members."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import groups, people
from agents.api.asking import asker
from agents.api.shapes import NEXT, PageQuery, Text, page

router = Router(tags=["Groups"])


class GroupOut(Schema):
    """A group."""

    id: int
    name: str
    members: int = Field(alias="member_count")

    model_config = {"json_schema_extra": {"example": {"id": 2, "name": "lab", "members": 5}}}


class GroupWithAccess(GroupOut):
    """A group with what it was given: names by kind."""

    granted: dict[str, list[str]]

    model_config = {
        "json_schema_extra": {
            "example": {"id": 2, "name": "lab", "members": 5, "granted": {"agent": ["atlas"], "soul": ["Steady hand"]}}
        }
    }


class GroupPage(Schema):
    """Groups, the newest first."""

    items: list[GroupOut]
    next: str | None = NEXT


class GroupIn(Schema):
    """A name, unique among groups."""

    name: Text = Field(max_length=groups.MAX_NAME)

    model_config = {"json_schema_extra": {"example": {"name": "lab"}}}


class GroupDeletion(Schema):
    """The name again, so that it is no slip."""

    name: Text = ""


@router.get("", response=GroupPage, operation_id="list_groups", summary="List groups")
def list_groups(request: HttpRequest, query: Query[PageQuery]) -> dict[str, Any]:
    """All groups, for admins."""
    people.require(asker(request))
    return page(groups.listed(), query)


@router.post("", response={201: GroupOut}, operation_id="create_group", summary="Make a group")
def create_group(request: HttpRequest, body: GroupIn) -> Group:
    """A new, empty group."""
    user = asker(request)
    return groups.find(user, groups.create(user, body.name).pk)


@router.get("/{group_id}", response=GroupWithAccess, operation_id="get_group", summary="Read a group")
def get_group(request: HttpRequest, group_id: int) -> dict[str, Any]:
    """One group, and what its members would lose with it. Its members: `/api/people?group=NAME`."""
    group = groups.find(asker(request), group_id)
    granted = {kind: [str(row) for row in rows] for kind, rows in groups.granted(group).items()}
    return {"id": group.pk, "name": group.name, "member_count": group.member_count, "granted": granted}  # type: ignore[attr-defined]


@router.patch("/{group_id}", response=GroupOut, operation_id="rename_group", summary="Rename a group")
def rename_group(request: HttpRequest, group_id: int, body: GroupIn) -> Group:
    """Members and grants stay."""
    user = asker(request)
    groups.rename(user, groups.find(user, group_id), body.name)
    return groups.find(user, group_id)


@router.delete("/{group_id}", response={204: None}, operation_id="delete_group", summary="Delete a group")
def delete_group(request: HttpRequest, group_id: int, query: Query[GroupDeletion]) -> None:
    """The group and every grant to it. Send its `name`, so that it is no slip."""
    user = asker(request)
    groups.delete(user, groups.find(user, group_id), query.name)
