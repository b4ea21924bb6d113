"""/api/presets: the library of rules that policies include; read it, and for admins write it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import permissions, preset_library
from agents.api.asking import asker
from agents.api.policies import RULE, RuleIn, RuleOut, written
from agents.api.shapes import NEXT, PageQuery, Text, Version, given, page
from agents.models import Preset, PresetCategory
from agents.reach import MAX_RULES

router = Router(tags=["Presets"])

EXAMPLE: dict[str, Any] = {
    "id": "python-packages",
    "name": "Python packages",
    "category": "packages",
    "description": "What pip and uv need from PyPI.",
    "rules": [RULE],
    "is_shipped": True,
    "is_edited": False,
    "version": 1,
    "updated_at": "2026-11-20T09:12:44.120Z",
}


class PresetOut(Schema):
    """Rules under a name. `is_shipped`: it comes with Logos; `is_edited`: it says something else than what came."""

    id: str
    name: str
    category: PresetCategory
    description: str
    rules: list[RuleOut]
    is_shipped: bool
    is_edited: bool
    version: int
    updated_at: datetime

    model_config = {"json_schema_extra": {"example": EXAMPLE}}

    @staticmethod
    def resolve_is_shipped(preset: Preset) -> bool:
        return preset_library.shipped(preset) is not None

    @staticmethod
    def resolve_is_edited(preset: Preset) -> bool:
        return preset_library.is_edited(preset)


class PresetPage(Schema):
    """Presets, by id."""

    items: list[PresetOut]
    next: str | None = NEXT

    model_config = {"json_schema_extra": {"example": {"items": [EXAMPLE], "next": None}}}


class PresetQuery(PageQuery):
    """Which presets."""

    category: PresetCategory | None = Field(None, description="Only those of this category.")


class PresetIn(Schema):
    """A new preset."""

    id: Text = Field("", max_length=40, description="Small letters, digits and hyphens; made from the name if empty.")
    name: Text = Field(description="1 to 80 characters; no other preset has it.")
    category: PresetCategory = PresetCategory.OTHER
    description: Text = Field("", max_length=300)
    rules: list[RuleIn] = Field([], max_length=MAX_RULES)

    model_config = {
        "json_schema_extra": {"example": {name: EXAMPLE[name] for name in ("name", "category", "description", "rules")}}
    }


class PresetPatch(Schema):
    """What is to change; what is left out stays."""

    version: Version
    name: Text | None = None
    category: PresetCategory | None = None
    description: Text | None = Field(None, max_length=300)
    rules: list[RuleIn] | None = Field(None, max_length=MAX_RULES, description="The whole list.")

    model_config = {"json_schema_extra": {"example": {"version": 1, "rules": [RULE]}}}


class Restoring(Schema):
    """Which version you read."""

    version: Version

    model_config = {"json_schema_extra": {"example": {"version": 2}}}


class UserOut(Schema):
    """A policy or an agent."""

    id: str = Field(alias="pk")
    name: str


class UseOut(Schema):
    """Who includes a preset, as far as you may see them; of the others the number."""

    policies: list[UserOut]
    more_policies: int
    agents: list[UserOut]
    more_agents: int

    model_config = {
        "json_schema_extra": {
            "example": {
                "policies": [{"id": "pol_01jd9z7c3f5h7k9n1q3s5v7x9z", "name": "Build"}],
                "more_policies": 0,
                "agents": [{"id": "agent_01jd9z6w3v8f4k2m7q5t0x1y9c", "name": "atlas"}],
                "more_agents": 2,
            }
        }
    }


@router.get("", response=PresetPage, operation_id="list_presets", summary="List presets")
def list_presets(request: HttpRequest, query: Query[PresetQuery]) -> dict:
    """The library; everybody may read it."""
    rows = permissions.visible(asker(request), Preset.objects.all())
    if query.category is not None:
        rows = rows.filter(category=query.category)
    return page(rows, query, newest_first=False)


@router.post("", response={201: PresetOut}, operation_id="create_preset", summary="Write a preset")
def create_preset(request: HttpRequest, body: PresetIn) -> Preset:
    """A new preset. It does nothing until a policy includes it. For admins."""
    fields = {"category": body.category, "description": body.description}
    return preset_library.create(asker(request), body.name, written(body.rules), id=body.id, **fields)


@router.get("/{preset_id}", response=PresetOut, operation_id="get_preset", summary="Read a preset")
def get_preset(request: HttpRequest, preset_id: Text) -> Preset:
    """One preset by its id."""
    return permissions.fetch(asker(request), "preset.view", Preset.objects.all(), pk=preset_id)


@router.get("/{preset_id}/use", response=UseOut, operation_id="get_preset_use", summary="Who includes a preset")
def get_preset_use(request: HttpRequest, preset_id: Text) -> preset_library.Use:
    """The policies that include it, and the agents that have one of those."""
    user = asker(request)
    return preset_library.use_of(user, permissions.fetch(user, "preset.edit", Preset.objects.all(), pk=preset_id))


@router.patch("/{preset_id}", response=PresetOut, operation_id="change_preset", summary="Change a preset")
def change_preset(request: HttpRequest, preset_id: Text, body: PresetPatch) -> Preset:
    """Counts at once for every agent that has it. 409 `stale` when somebody saved since the `version` you read."""
    fields = given(body)
    if body.rules is not None:
        fields["rules"] = written(body.rules)
    return preset_library.change(asker(request), preset_id, body.version, **fields)


@router.post("/{preset_id}/restore", response=PresetOut, operation_id="restore_preset", summary="Back to what shipped")
def restore_preset(request: HttpRequest, preset_id: Text, body: Restoring) -> Preset:
    """Make it say what came with Logos; 404 when nothing did."""
    return preset_library.restore(asker(request), preset_id, body.version)


@router.delete("/{preset_id}", response={204: None}, operation_id="delete_preset", summary="Delete a preset")
def delete_preset(request: HttpRequest, preset_id: Text) -> None:
    """Delete a preset no policy includes; 409 `in_use` says which do."""
    preset_library.remove(asker(request), preset_id)
