"""/api/mcp-configuration: MCP servers, their categories and the site's rules about their calls, as one YAML text."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest
from ninja import Field, Router, Schema

from agents.api.asking import asker
from agents.api.shapes import Text
from mcp_gateway.declared import plan as planning
from mcp_gateway.declared import writing
from mcp_gateway.declared.text import LONGEST

router = Router(tags=["MCP servers"])

TEXT = "mcp_servers:\n  files:\n    timeout: 30\nmcp_policy:\n  admin_approve: [code]\n"
PLAN: dict[str, Any] = {
    "steps": [
        {"what": "server files", "verb": "change", "lines": ["timeout: 120 → 30"]},
        {"what": "category code", "verb": "unchanged", "lines": []},
    ],
    "kept": ["server github"],
    "warnings": [],
    "changes": 1,
    "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}


class McpConfigurationOut(Schema):
    """The servers you see, the table of categories, and for admins the site's rules. Of secrets only names."""

    text: str

    model_config = {"json_schema_extra": {"example": {"text": TEXT}}}


class McpConfigurationIn(Schema):
    """A whole file."""

    text: Text = Field(max_length=LONGEST, description="YAML with `mcp_servers` and `mcp_policy`.")

    model_config = {"json_schema_extra": {"example": {"text": TEXT}}}


class McpApplyIn(McpConfigurationIn):
    """The same file, and the plan that was looked at."""

    digest: Text = Field(max_length=64, description="The `digest` of the plan; 409 `stale` when it is another by now.")

    model_config = {"json_schema_extra": {"example": {"text": TEXT, "digest": PLAN["digest"]}}}


class McpStepOut(Schema):
    """One thing the file names."""

    what: str
    verb: Literal["add", "change", "unchanged", "waits"] = Field(description="`waits`: for a second person.")
    lines: list[str] = Field(description="What of it changes.")


class McpPlanOut(Schema):
    """What a file changes."""

    steps: list[McpStepOut]
    kept: list[str] = Field(description="What there is and the file does not name; it stays as it is.")
    warnings: list[str]
    changes: int
    digest: str

    model_config = {"json_schema_extra": {"example": PLAN}}


@router.get("", response=McpConfigurationOut, operation_id="export_mcp_configuration", summary="MCP servers as a file")
def export(request: HttpRequest) -> dict[str, str]:
    """Applied at once, it changes nothing."""
    return {"text": writing.exported(asker(request))}


@router.post("/plan", response=McpPlanOut, operation_id="plan_mcp_configuration", summary="What a file would change")
def plan(request: HttpRequest, body: McpConfigurationIn) -> dict[str, Any]:
    """Nothing is changed. 400 with line and place for what cannot be."""
    return planning.plan(asker(request), body.text).as_json()


@router.post("/apply", response=McpPlanOut, operation_id="apply_mcp_configuration", summary="Do what a file says")
def apply(request: HttpRequest, body: McpApplyIn) -> dict[str, Any]:
    """All of it or nothing, by the rights you have everywhere."""
    return planning.apply(asker(request), body.text, digest=body.digest).as_json()
