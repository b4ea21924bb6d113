"""/api/sandboxes: see, start and stop the sandboxes of agents."""

from __future__ import annotations

from datetime import datetime

from asgiref.sync import async_to_sync
from django.db.models import Q
from django.http import HttpRequest
from ninja import Query, Router, Schema

from agents import permissions
from agents.api.asking import asker
from agents.api.shapes import NEXT, PageQuery, Text, page
from agents.models import Agent
from sandboxes import lifecycle
from sandboxes.models import Sandbox, State

router = Router(tags=["Sandboxes"])


class AgentRef(Schema):
    """The agent that lives in it."""

    id: str
    name: str


class SandboxOut(Schema):
    """Where an agent lives. ``layers`` are the walls that are really up."""

    id: str
    agent: AgentRef
    driver: str
    state: State
    reason: str
    layers: list[str]
    starts: int
    started_at: datetime | None

    model_config = {
        "json_schema_extra": {
            "example": {
                "id": "box_01jd9zb4p2r4t6v8x0z2b4d6f8",
                "agent": {"id": "agent_01jd9z6w3v8f4k2m7q5t0x1y9c", "name": "atlas"},
                "driver": "local",
                "state": "running",
                "reason": "",
                "layers": ["userns", "mnt", "pid", "net", "ipc", "uts", "seccomp", "landlock:7"],
                "starts": 4,
                "started_at": "2026-11-20T09:15:02.655Z",
            }
        }
    }


class SandboxPage(Schema):
    """Sandboxes, the newest first."""

    items: list[SandboxOut]
    next: str | None = NEXT


@router.get("", response=SandboxPage, operation_id="list_sandboxes", summary="List sandboxes")
def list_sandboxes(request: HttpRequest, query: Query[PageQuery]) -> dict:
    """The sandboxes of agents you can see. An agent that never ran has none yet."""
    return page(permissions.visible(asker(request), Sandbox.objects.select_related("agent")), query)


@router.get("/{sandbox_id}", response=SandboxOut, operation_id="get_sandbox", summary="Read a sandbox")
def get_sandbox(request: HttpRequest, sandbox_id: Text) -> Sandbox:
    """One sandbox, by its own id or its agent's."""
    rows = Sandbox.objects.select_related("agent").filter(Q(pk=sandbox_id) | Q(agent_id=sandbox_id))
    return permissions.fetch(asker(request), "sandbox.view", rows)


@router.post("/{sandbox_id}/start", response=SandboxOut, operation_id="start_sandbox", summary="Start it")
def start_sandbox(request: HttpRequest, sandbox_id: Text) -> Sandbox:
    """Answers when the sandbox and the agent runtime in it are ready, at once if they are already.

    With an agent's id it also makes the agent's first sandbox."""
    agent = _operated(request, sandbox_id)
    async_to_sync(lifecycle.ensure_running)(agent.pk)
    return _row(agent)


@router.post("/{sandbox_id}/stop", response=SandboxOut, operation_id="stop_sandbox", summary="Stop it")
def stop_sandbox(request: HttpRequest, sandbox_id: Text) -> Sandbox:
    """Answers when everything in the sandbox has ended. A run in progress there ends as interrupted; files stay."""
    agent = _operated(request, sandbox_id)
    async_to_sync(lifecycle.stop)(agent.pk)
    return _row(agent)


def _operated(request: HttpRequest, sandbox_or_agent_id: str) -> Agent:
    agents = Agent.objects.alive().filter(Q(pk=sandbox_or_agent_id) | Q(sandbox__pk=sandbox_or_agent_id))
    return permissions.fetch(asker(request), "sandbox.operate", agents)


def _row(agent: Agent) -> Sandbox:
    return Sandbox.objects.select_related("agent").get(agent=agent)
