"""/api/mcp-categories: what holds for every MCP server of a category."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest
from ninja import Field, Router, Schema

from agents.api.asking import asker
from agents.api.shapes import Text
from mcp_gateway import categories
from mcp_gateway.models import McpCategory

router = Router(tags=["MCP servers"])

Access = Literal["auto", "user", "admin", "deny"]
Calls = Literal["allow", "notify", "ask", "block"]
EXAMPLE: dict[str, Any] = {"name": "code", "access": "admin", "calls": "ask"}


class McpCategoryOut(Schema):
    """One line of the table."""

    name: str
    access: Access = Field(
        description="Who may let an agent use a server of this category that does not say it itself."
    )
    calls: Calls = Field(description="What becomes of a call where no rule says otherwise.")

    model_config = {"json_schema_extra": {"example": EXAMPLE}}


class McpCategoryIn(Schema):
    """What is to hold from now on."""

    access: Access = "user"
    calls: Calls = "allow"

    model_config = {"json_schema_extra": {"example": {"access": "admin", "calls": "ask"}}}


class McpCategoryList(Schema):
    """The whole table by name."""

    items: list[McpCategoryOut]

    model_config = {"json_schema_extra": {"example": {"items": [EXAMPLE]}}}


@router.get("", response=McpCategoryList, operation_id="list_mcp_categories", summary="Categories of MCP servers")
def list_categories(request: HttpRequest) -> dict:
    """A category that is not in it is `user`, and its calls are allowed."""
    asker(request)
    return {"items": categories.rows()}


@router.put(
    "/{name}", response=McpCategoryOut, operation_id="put_mcp_category", summary="Say what holds for a category"
)
def put_category(request: HttpRequest, name: Text, body: McpCategoryIn) -> McpCategory:
    """Make or change a line. For admins."""
    return categories.put(asker(request), name, body.access, body.calls)


@router.delete("/{name}", response={204: None}, operation_id="delete_mcp_category", summary="Take a line away")
def delete_category(request: HttpRequest, name: Text) -> None:
    """`user` and `allow` hold for it again. For admins."""
    categories.remove(asker(request), name)
