"""/api/agents: list, read, make, change, duplicate, archive and delete agents."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Field, Query, Router, Schema

from agents import (
    agent_templates,
    choosing,
    composed,
    composition,
    duplicating,
    permissions,
    preparing,
    retiring,
    sharing,
    sprites,
)
from agents.api.asking import asker
from agents.api.shapes import NEXT, PageQuery, PersonRef, Text, Version, page
from agents.editing import editing
from agents.errors import NotFound
from agents.models import Agent, Policy, User, Visibility
from agents.models.agents import AgentQuerySet
from agents.views.pictures import sprite_response

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


class SpriteOut(Schema):
    """How an agent is drawn, and where its picture is."""

    shape: str
    palette: str
    url: str


class AgentOut(Schema):
    """An agent and how it is composed."""

    id: str
    name: str
    description: str
    owner: PersonRef | None
    visibility: Visibility
    soul: SoulRef | None = Field(description="Null: a soul you may not see; the agent keeps it.")
    toolsets: list[str]
    runtime: str
    route: RouteRef | None = Field(description="Null: the default when a run starts, or one you may not see.")
    sprite: SpriteOut
    archived_at: datetime | None
    version: int = Field(description="Send it with a change; another one means that somebody saved first.")
    created_at: datetime
    updated_at: datetime

    @staticmethod
    def resolve_soul(agent: Agent) -> Any:
        return None if agent.hides_soul else agent.soul

    @staticmethod
    def resolve_route(agent: Agent) -> Any:
        return None if agent.hides_route else agent.route

    @staticmethod
    def resolve_sprite(agent: Agent) -> dict[str, str]:
        look = sprites.look(agent.pk, agent.sprite_shape, agent.sprite_palette)
        return {"shape": look.shape, "palette": look.palette, "url": reverse("agents:agent-sprite", args=[agent.pk])}

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
                "sprite": {
                    "shape": "owl",
                    "palette": "moss",
                    "url": "/agents/agent_01jd9z6w3v8f4k2m7q5t0x1y9c/sprite.svg",
                },
                "archived_at": None,
                "version": 4,
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
    toolsets: list[Text] | None = Field(None, max_length=40, description="Absent: what the soul suggests.")
    route_id: Text = Field("", description="The route's id or its model's name; empty uses the default route.")
    description: Text = Field("", max_length=300)
    visibility: Visibility = Visibility.PRIVATE
    policy_ids: list[Text] = Field([], max_length=100, description="What it may reach.")
    sprite_shape: Text = Field("", description="Empty leaves it to the agent.")
    sprite_palette: Text = Field("", description="Empty leaves it to the agent.")
    template: Text = Field("", description="A template's slug: its soul, tools and look, where you say nothing else.")
    prepare: bool | None = Field(None, description="Prepare its sandbox in the background now. Null: the site's rule.")

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


class AgentPatch(Schema):
    """What is to change; what is left out stays."""

    version: Version
    name: Text | None = None
    description: Text | None = Field(None, max_length=300)
    soul_id: Text | None = Field(None, description="The soul's id or slug.")
    toolsets: list[Text] | None = Field(None, max_length=40)
    route_id: Text | None = Field(None, description="The route's id or its model's name; empty is the default route.")
    policy_ids: list[Text] | None = Field(None, max_length=100, description="Those you may not see stay.")
    sprite_shape: Text | None = None
    sprite_palette: Text | None = None
    visibility: Visibility | None = Field(None, description="For those who manage the agent.")

    model_config = {"json_schema_extra": {"example": {"version": 4, "name": "atlas II", "toolsets": ["terminal"]}}}


class CopyIn(Schema):
    """A new agent like another one."""

    name: Text
    soul_id: Text = Field("", description="Needed when you may not see the soul of the original.")
    copy_parts: list[Text] = Field(
        [], alias="copy", max_length=10, description="Of files, notes, sessions; for those who manage the original."
    )
    prepare: bool | None = Field(None, description="Prepare its sandbox in the background now. Null: the site's rule.")

    model_config = {"json_schema_extra": {"example": {"name": "atlas for tests", "copy": ["files", "notes"]}}}


class TemplateOut(Schema):
    """Something to begin a new agent with."""

    slug: str
    name: str
    title: str
    description: str
    soul: str = Field(description="The starter soul it is copied from.")
    shape: str
    palette: str


class ListQuery(PageQuery):
    """Which agents, and which page of them."""

    owner: Text = Field("", description="Username.")
    text: Text = Field("", max_length=200, description="In the name or the description.")
    archived: bool = Field(False, description="The archived ones instead of those in use.")


def rows() -> AgentQuerySet:
    """Living agents with everything an answer shows, in one query."""
    return Agent.objects.alive().select_related("owner", "soul", "route__provider")


@router.get("", response=AgentPage, operation_id="list_agents", summary="List agents")
def list_agents(request: HttpRequest, query: Query[ListQuery]) -> dict:
    """The agents you own, were given, or that are shared with everyone."""
    user = asker(request)
    found = permissions.visible(user, rows()).filter(archived_at__isnull=not query.archived)
    if query.owner:
        found = found.filter(owner__username=query.owner)
    for word in query.text.split():
        found = found.filter(Q(name__icontains=word) | Q(description__icontains=word))
    listed = page(found, query)
    composed.hide(user, listed["items"])
    return listed


@router.post("", response={201: AgentOut}, operation_id="create_agent", summary="Create an agent")
def create_agent(request: HttpRequest, body: AgentIn) -> Agent:
    """A new agent of yours. Answers at once; its sandbox is prepared in the background."""
    user = asker(request)
    with transaction.atomic():
        begun = agent_templates.get(body.template) if body.template else None
        if begun is not None and not body.soul_id:
            soul = agent_templates.soul_from(begun.starter, user)
        else:
            soul = choosing.soul(user, body.soul_id)
        own = begun.toolsets if begun else None
        agent = composition.create(
            user,
            body.name,
            soul,
            toolsets=body.toolsets if body.toolsets is not None else list(own) if own is not None else None,
            route=choosing.route(user, body.route_id),
            description=body.description or (begun.description if begun else ""),
            visibility=body.visibility,
            policies=_policies(user, body.policy_ids),
            sprite=(
                body.sprite_shape or (begun.shape if begun else ""),
                body.sprite_palette or (begun.palette if begun else ""),
            ),
        )
        preparing.ask(agent, body.prepare)
    return _marked(user, agent)


@router.get("/templates", response=list[TemplateOut], operation_id="list_templates", summary="List templates")
def list_templates(request: HttpRequest) -> list[Any]:
    """What a new agent can begin with."""
    return list(agent_templates.every())


@router.get("/{agent_id}", response=AgentOut, operation_id="get_agent", summary="Read an agent")
def get_agent(request: HttpRequest, agent_id: Text) -> Agent:
    """One agent by its id."""
    user = asker(request)
    return _marked(user, permissions.fetch(user, "agent.view", rows(), pk=agent_id))


@router.patch("/{agent_id}", response=AgentOut, operation_id="change_agent", summary="Change an agent")
def change_agent(request: HttpRequest, agent_id: Text, body: AgentPatch) -> Agent:
    """Takes effect on the next message; sandbox, files and history stay. 409 `stale` when somebody saved since the
    `version` you read."""
    user = asker(request)
    with editing(user, "agent.edit", rows(), agent_id, body.version) as agent:
        if body.visibility is not None and body.visibility != agent.visibility:
            permissions.require(user, "agent.manage", agent)
        shape, palette = body.sprite_shape, body.sprite_palette
        keeps_look = shape is None and palette is None
        composition.change(
            user,
            agent,
            name=body.name,
            description=body.description,
            soul=choosing.soul(user, body.soul_id) if body.soul_id else None,
            toolsets=body.toolsets,
            route=composition.KEEP if body.route_id is None else choosing.route(user, body.route_id),
            policies=None if body.policy_ids is None else _policies(user, body.policy_ids),
            sprite=None
            if keeps_look
            else (
                agent.sprite_shape if shape is None else shape,
                agent.sprite_palette if palette is None else palette,
            ),
        )
        if body.visibility is not None and body.visibility != agent.visibility:
            sharing.set_visibility(user, agent, body.visibility)
    return _marked(user, rows().get(pk=agent.pk))


@router.post("/{agent_id}/duplicate", response={201: AgentOut}, operation_id="duplicate_agent", summary="Duplicate")
def duplicate_agent(request: HttpRequest, agent_id: Text, body: CopyIn) -> Agent:
    """A new agent of yours composed alike. Chats, runs and grants stay with the original; parts of its sandbox are
    copied in the background."""
    user = asker(request)
    source = permissions.fetch(user, "agent.view", rows(), pk=agent_id)
    soul = choosing.soul(user, body.soul_id) if body.soul_id else None
    copy = duplicating.duplicate(user, source, body.name, soul=soul, parts=body.copy_parts, prepare=body.prepare)
    return _marked(user, copy)


@router.post("/{agent_id}/archive", response=AgentOut, operation_id="archive_agent", summary="Archive an agent")
def archive_agent(request: HttpRequest, agent_id: Text) -> Agent:
    """Nobody can message it; what it does is stopped, its sandbox ends, everything stays readable."""
    user = asker(request)
    return _marked(user, retiring.archive(user, agent_id))


@router.post("/{agent_id}/unarchive", response=AgentOut, operation_id="unarchive_agent", summary="Unarchive an agent")
def unarchive_agent(request: HttpRequest, agent_id: Text) -> Agent:
    """It can be used again."""
    user = asker(request)
    return _marked(user, retiring.unarchive(user, agent_id))


@router.delete("/{agent_id}", response={204: None}, operation_id="delete_agent", summary="Delete an agent")
def delete_agent(request: HttpRequest, agent_id: Text) -> None:
    """For good: what it does is stopped, its sandbox ends, its files are removed from disk in the background. Its
    conversations and runs stay readable."""
    retiring.delete(asker(request), agent_id)


@router.get("/{agent_id}/sprite.svg", operation_id="get_sprite", summary="Its picture", response={200: None})
def get_sprite(request: HttpRequest, agent_id: Text) -> HttpResponse:
    """An SVG."""
    agent = permissions.fetch(asker(request), "agent.view", rows(), pk=agent_id)
    return sprite_response(request, agent)


def _marked(user: User, agent: Agent) -> Agent:
    composed.hide(user, [agent])
    return agent


def _policies(user: User, ids: list[str]) -> list[Policy]:
    found = list(permissions.visible(user, Policy.objects.filter(pk__in=ids)))
    if len(found) != len(set(ids)):
        raise NotFound("A policy")
    return found
