"""/api/agents: list, read, create and delete agents."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import choosing, composition, permissions
from agents.api.asking import asker
from agents.api.shapes import NEXT, PageQuery, PersonRef, Text, page
from agents.models import Agent, Visibility
from agents.models.agents import AgentQuerySet

router = Router(tags=["Agents"])


class SoulRef(Schema):
    """The soul an agent has."""

    id: str
    name: str
    revision: int


class RouteRef(Schema):
    """The model an agent uses."""

    id: str
    model: str
    provider: str = Field(alias="provider.name")


class AgentOut(Schema):
    """An agent and how it is composed."""

    id: str
    name: str
    description: str
    owner: PersonRef | None
    visibility: Visibility
    soul: SoulRef
    toolsets: list[str]
    runtime: str
    route: RouteRef | None = Field(description="Null: whichever route is the default when a run starts.")
    created_at: datetime
    updated_at: datetime

    model_config = {
        "json_schema_extra": {
            "example": {
                "id": "agent_01jd9z6w3v8f4k2m7q5t0x1y9c",
                "name": "atlas",
                "description": "Looks after the build machine.",
                "owner": {"username": "alice", "name": "Alice Liddell"},
                "visibility": "private",
                "soul": {"id": "soul_01jd9z6w2ecn6p8r4s1v7w3x5z", "name": "Steady hand", "revision": 3},
                "toolsets": ["terminal", "file"],
                "runtime": "hermes",
                "route": None,
                "created_at": "2026-11-20T09:12:44.120Z",
                "updated_at": "2026-11-20T09:12:44.120Z",
            }
        }
    }


class AgentPage(Schema):
    """Agents, the newest first."""

    items: list[AgentOut]
    next: str | None = NEXT


class AgentIn(Schema):
    """A new agent. Its name is enough: it gets your only soul, or a starter soul when you have none."""

    name: Text = Field(description="At most 60 characters; one of your agents has it once.")
    soul_id: Text = Field("", description="The soul's id or slug; needed when you can see several.")
    toolsets: list[Text] | None = Field(None, max_length=40, description="Absent: terminal and file.")
    route_id: Text = Field("", description="The route's id or its model's name; empty uses the default route.")
    description: Text = Field("", max_length=300)
    visibility: Visibility = Visibility.PRIVATE

    model_config = {
        "json_schema_extra": {
            "example": {
                "name": "atlas",
                "soul_id": "soul_01jd9z6w2ecn6p8r4s1v7w3x5z",
                "toolsets": ["terminal", "file"],
                "description": "Looks after the build machine.",
            }
        }
    }


def rows() -> AgentQuerySet:
    """Living agents with everything an answer shows, in one query."""
    return Agent.objects.alive().select_related("owner", "soul", "route__provider")


@router.get("", response=AgentPage, operation_id="list_agents", summary="List agents")
def list_agents(request: HttpRequest, query: Query[PageQuery]) -> dict:
    """The agents you own, were given, or that are shared with everyone."""
    return page(permissions.visible(asker(request), rows()), query)


@router.post("", response={201: AgentOut}, operation_id="create_agent", summary="Create an agent")
def create_agent(request: HttpRequest, body: AgentIn) -> Agent:
    """A new agent of yours. Its sandbox is made when the first message needs it."""
    user = asker(request)
    with transaction.atomic():
        soul, route = choosing.soul(user, body.soul_id), choosing.route(user, body.route_id)
        return composition.create(
            user,
            body.name,
            soul,
            toolsets=body.toolsets,
            route=route,
            description=body.description,
            visibility=body.visibility,
        )


@router.get("/{agent_id}", response=AgentOut, operation_id="get_agent", summary="Read an agent")
def get_agent(request: HttpRequest, agent_id: Text) -> Agent:
    """One agent by its id."""
    return permissions.fetch(asker(request), "agent.view", rows(), pk=agent_id)


@router.delete("/{agent_id}", response={204: None}, operation_id="delete_agent", summary="Delete an agent")
def delete_agent(request: HttpRequest, agent_id: Text) -> None:
    """The agent can no longer be used; its conversations and runs stay readable."""
    permissions.fetch(asker(request), "agent.manage", rows(), pk=agent_id).mark_deleted()
