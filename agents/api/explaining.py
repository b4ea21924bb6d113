"""/api/explain: may somebody do something to a row, why, and what would change the answer."""

from __future__ import annotations

from typing import Any, Literal

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import explaining
from agents.api.asking import asker
from agents.api.shapes import Text

router = Router(tags=["Sharing"])


class Question(Schema):
    """May this person do this to that?"""

    action: Text = Field(description="An action of docs/permissions.md, for instance agent.chat.")
    kind: Text = Field(
        "",
        description="agent, soul, route, policy, provider, conversation, message, run, approval, sandbox or call; empty for an action that concerns no row.",
    )
    id: Text = Field("", description="The row's id.")
    person: Text = Field("", description="A username; empty for yourself. Others only on what you manage.")


class TargetOut(Schema):
    """The object that carries owner, visibility and grants."""

    kind: str
    id: str
    name: str


class StepOut(Schema):
    """One change. ``role``, ``level``, ``group`` and ``target`` are there when the kind of change has one."""

    kind: Literal["sign_in", "activate", "role", "grant", "suspend", "revoke", "revoke_group", "unshare", "transfer"]
    person: str
    role: str
    level: str
    group: str
    target: TargetOut | None
    sentence: str


class SourceOut(Schema):
    """Where a level comes from."""

    kind: Literal["ownership", "sharing", "grant", "group"]
    level: str
    group: str


class ReasonOut(Schema):
    """One thing that allows it by itself."""

    kind: Literal["admin", "role", "own", "operator", "ownership", "sharing", "grant", "group"]
    source: SourceOut | None
    sentence: str


class ExplanationOut(Schema):
    """The verdict. ``reasons`` is empty when it is no; ``because`` says why (not). ``change`` are the steps that turn
    the answer round, all of them together: the least that would allow it, or what takes away the only reason."""

    person: str
    action: str
    kind: str
    id: str
    allowed: bool
    sentence: str
    because: list[str]
    reasons: list[ReasonOut]
    change: list[StepOut]
    way: str = Field(description="The change in words; empty when there is no single one.")

    model_config = {
        "json_schema_extra": {
            "example": {
                "person": "bob",
                "action": "agent.edit",
                "kind": "agent",
                "id": "agent_01jd9z6w3v8f4k2m7q5t0x1y9c",
                "allowed": False,
                "sentence": "bob may not do this: change an agent's soul, tools, model and policies.",
                "because": ["This needs the level edit on the agent, by ownership, sharing or a grant; there is none."],
                "reasons": [],
                "change": [
                    {
                        "kind": "grant",
                        "person": "bob",
                        "role": "",
                        "level": "edit",
                        "group": "",
                        "target": {"kind": "agent", "id": "agent_01jd9z6w3v8f4k2m7q5t0x1y9c", "name": "atlas"},
                        "sentence": "grant bob the level edit on the agent atlas",
                    }
                ],
                "way": "To allow this, grant bob the level edit on the agent atlas.",
            }
        }
    }


@router.get("", response=ExplanationOut, operation_id="explain", summary="Why, or why not")
def explain(request: HttpRequest, query: Query[Question]) -> Any:
    """Ask for yourself about what you may see, and for others about what you manage."""
    user = asker(request)
    return explaining.answer(user, query.action, query.kind, query.id, query.person)
