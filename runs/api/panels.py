"""/api/approvals/panels: who decides what agents ask, how many must, and who else after a while."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.contrib.auth.models import Group
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from agents import permissions
from agents.api.asking import asker
from agents.api.shapes import NEXT, PageQuery, Text, Version, page
from agents.errors import Invalid
from agents.models import User
from runs.approvals import panels
from runs.models import Panel
from runs.models.panels import MOST_MINUTES, MOST_NEEDED

router = Router(tags=["Approvals"])

PanelKind = Literal["", "command", "egress", "tool_call", "mcp_access", "question"]
PanelSeverity = Literal["", "low", "medium", "high", "critical"]
EXAMPLE: dict[str, Any] = {
    "id": "panel_01jd9zd2x4z6b8d0f2h4k6m8p0",
    "policy_id": None,
    "kind": "command",
    "severity": "high",
    "needed": 2,
    "team": "on call",
    "escalate_min": 3,
    "escalate_to": None,
    "note": "What can break production.",
    "is_active": True,
    "says": "2 people of on call; after 3 min also operators who manage the agent",
    "version": 1,
    "updated_at": "2026-11-20T09:15:03.120Z",
}


class PanelOut(Schema):
    """Who decides the requests that fit it."""

    id: str
    policy_id: str | None = Field(None, description="Only of agents with this policy; null is every agent.")
    kind: PanelKind = Field(description="Empty is every kind.")
    severity: PanelSeverity = Field(description="Only what is at least so severe.")
    needed: int
    team: str | None = Field(None, alias="team.name", description="Only the leave of this group's members counts.")
    escalate_min: int | None = Field(None, description="0 is never, null as the site says.")
    escalate_to: str | None = Field(
        None, alias="escalate_to.name", description="The group called then; null is operators who manage the agent."
    )
    note: str
    is_active: bool
    says: str
    version: int
    updated_at: datetime

    model_config = {"json_schema_extra": {"example": EXAMPLE}}

    @staticmethod
    def resolve_says(row: Panel) -> str:
        return panels.says(row)


class PanelPage(Schema):
    """Panels, the newest first."""

    items: list[PanelOut]
    next: str | None = NEXT


class PanelIn(Schema):
    """A new panel."""

    policy_id: Text | None = None
    kind: PanelKind = ""
    severity: PanelSeverity = ""
    needed: int = Field(1, ge=1, le=MOST_NEEDED)
    team: Text | None = Field(None, max_length=150, description="The name of a group.")
    escalate_min: int | None = Field(None, ge=0, le=MOST_MINUTES)
    escalate_to: Text | None = Field(None, max_length=150, description="The name of a group.")
    note: Text = Field("", max_length=200)
    is_active: bool = True

    model_config = {
        "extra": "forbid",
        "json_schema_extra": {"example": {"kind": "command", "severity": "high", "needed": 2, "team": "on call"}},
    }


class PanelPatch(Schema):
    """What is to change; what is left out stays."""

    version: Version
    policy_id: Text | None = None
    kind: PanelKind | None = None
    severity: PanelSeverity | None = None
    needed: int | None = Field(None, ge=1, le=MOST_NEEDED)
    team: Text | None = Field(None, max_length=150)
    escalate_min: int | None = Field(None, ge=0, le=MOST_MINUTES)
    escalate_to: Text | None = Field(None, max_length=150)
    note: Text | None = Field(None, max_length=200)
    is_active: bool | None = None

    model_config = {"json_schema_extra": {"example": {"version": 1, "needed": 3}}}


@router.get("/panels", response=PanelPage, operation_id="list_panels", summary="List who decides what")
def list_panels(request: HttpRequest, query: Query[PageQuery]) -> dict:
    """Admins see all, others those of policies they see."""
    return page(panels.seen_by(asker(request)), query)


@router.post("/panels", response={201: PanelOut}, operation_id="create_panel", summary="Say who decides")
def create_panel(request: HttpRequest, body: PanelIn) -> Status:
    """For what is asked from now on. For admins."""
    user = asker(request)
    permissions.require(user, "panel.set")
    return Status(201, panels.create(user, **_rows(user, body.dict())))


@router.get("/panels/{panel_id}", response=PanelOut, operation_id="get_panel", summary="Read one panel")
def get_panel(request: HttpRequest, panel_id: Text) -> Panel:
    """What it says."""
    return panels.fetch(asker(request), panel_id)


@router.patch("/panels/{panel_id}", response=PanelOut, operation_id="change_panel", summary="Change who decides")
def change_panel(request: HttpRequest, panel_id: Text, body: PanelPatch) -> Panel:
    """For what is asked from now on. 409 `stale` when somebody saved since the `version` you read."""
    user = asker(request)
    permissions.require(user, "panel.set")
    fields = body.dict(exclude_unset=True)
    version = fields.pop("version")
    nullable = {"policy_id", "team", "escalate_min", "escalate_to"}
    fields = {name: value for name, value in fields.items() if value is not None or name in nullable}
    return panels.change(user, panel_id, version, **_rows(user, fields))


@router.delete("/panels/{panel_id}", response={204: None}, operation_id="delete_panel", summary="Delete a panel")
def delete_panel(request: HttpRequest, panel_id: Text) -> Status[None]:
    """What waits already stays as it was asked."""
    panels.remove(asker(request), panel_id)
    return Status(204, None)


def _rows(user: User, fields: dict[str, Any]) -> dict[str, Any]:
    """The same with rows in place of ids and names."""
    for name in ("team", "escalate_to"):
        if name in fields:
            fields[name] = group_called(fields[name] or "", name)
    if "policy_id" in fields:
        given = fields.pop("policy_id")
        fields["policy"] = panels.policies(user).filter(pk=given).first() if given else None
        if given and fields["policy"] is None:
            raise Invalid("There is no such policy.", field="policy_id")
    return fields


def group_called(name: str, field: str) -> Group | None:
    """The group of this name, None for none. Invalid when there is no such."""
    found = Group.objects.filter(name=name).first() if name else None
    if name and found is None:
        raise Invalid("There is no group of this name.", field=field)
    return found
