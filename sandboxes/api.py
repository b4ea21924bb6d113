"""/api/sandboxes: see, start and stop the sandboxes of agents."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.db.models import Q
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import agent_pages, composition, permissions, sandbox_limits
from agents.agent_secrets import known_values
from agents.api.asking import asker
from agents.api.shapes import NEXT, AgentRef, PageQuery, Text, Version, page
from agents.editing import editing
from agents.errors import NotFound
from agents.models import Agent
from sandboxes import health, keeping, logs, operating
from sandboxes.models import Desired, Sandbox, State
from sandboxes.walls import Wall, explained

router = Router(tags=["Sandboxes"])

# The same address streams when asked for an event stream (channels_app.log_streams, before Django).
FOLLOWED = {
    "responses": {
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
    }
}


class WallOut(Schema):
    """One wall around it. ``is_up`` false: something weaker stands there, or nothing; the sentence says what."""

    name: str
    is_up: bool
    sentence: str


class SandboxOut(Schema):
    """Where an agent lives. ``layers`` are the walls that are really up."""

    id: str
    agent: AgentRef
    driver: str
    state: State
    desired: Desired
    keep_running: bool
    reason: str
    layers: list[str]
    walls: list[WallOut]
    limits: dict[str, int] = Field(description="What it may use from its next start on.")
    starts: int
    started_at: datetime | None

    @staticmethod
    def resolve_walls(row: Sandbox) -> list[Wall]:
        return explained(row.layers)

    @staticmethod
    def resolve_limits(row: Sandbox) -> dict[str, int]:
        return sandbox_limits.of(row.agent)

    model_config = {
        "json_schema_extra": {
            "example": {
                "id": "box_01jd9zb4p2r4t6v8x0z2b4d6f8",
                "agent": {"id": "agent_01jd9z6w3v8f4k2m7q5t0x1y9c", "name": "atlas"},
                "driver": "local",
                "state": "running",
                "desired": "running",
                "keep_running": False,
                "reason": "",
                "layers": ["userns", "mnt", "pid", "net", "ipc", "uts", "seccomp", "landlock:7", "memory:cgroup2"],
                "walls": [
                    {"name": "Memory", "is_up": True, "sentence": "Bounded for the whole sandbox by the kernel."}
                ],
                "limits": {"memory_mb": 4096, "cpu_percent": 150, "processes": 400, "disk_mb": 10240},
                "starts": 4,
                "started_at": "2026-11-20T09:15:02.655Z",
            }
        }
    }


class LimitsOut(Schema):
    """What a sandbox may use."""

    limits: dict[str, int]
    own: list[str] = Field(description="Which of them are the agent's own; the others are the site's.")
    version: int = Field(description="The agent's; send it with a change.")

    model_config = {
        "json_schema_extra": {
            "example": {
                "limits": {"memory_mb": 2048, "cpu_percent": 150, "processes": 400, "disk_mb": 10240},
                "own": ["memory_mb"],
                "version": 5,
            }
        }
    }


class LimitsPatch(Schema):
    """Which limits to change."""

    version: Version
    # Required: a limit that is written beside it, not in it, must not look as if it had been set.
    limits: dict[Text, int | None] = Field(
        description="By name; null takes the site's number.", min_length=1, max_length=20
    )

    model_config = {"json_schema_extra": {"example": {"version": 4, "limits": {"memory_mb": 2048, "disk_mb": None}}}}


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


@router.get("/{sandbox_id}/limits", response=LimitsOut, operation_id="get_limits", summary="Read its limits")
def get_limits(request: HttpRequest, sandbox_id: Text) -> dict[str, Any]:
    """What it may use from its next start on, by the sandbox's id or its agent's."""
    agent = _found(request, sandbox_id, "sandbox.view")
    return _limits(agent)


@router.patch("/{sandbox_id}/limits", response=LimitsOut, operation_id="change_limits", summary="Change its limits")
def change_limits(request: HttpRequest, sandbox_id: Text, body: LimitsPatch) -> dict[str, Any]:
    """Names that are absent stay, null takes the site's number. More than the site gives is for operators and admins.
    Holds from the next start. 409 `stale` when somebody saved the agent since the `version` you read."""
    user = asker(request)
    found = _found(request, sandbox_id, "sandbox.limit")
    with editing(user, "sandbox.limit", agent_pages.rows(), found.pk, body.version) as agent:
        composition.change(user, agent, sandbox={**agent.limits, **body.limits})
    return _limits(agent)


@router.post("/{sandbox_id}/start", response=SandboxOut, operation_id="start_sandbox", summary="Start it")
def start_sandbox(request: HttpRequest, sandbox_id: Text) -> Sandbox:
    """Answers when the sandbox and the agent runtime in it are ready, at once if they are already.

    With an agent's id it also makes the agent's first sandbox."""
    agent = _operated(request, sandbox_id)
    operating.start(asker(request), agent, wait=True)
    return _row(agent)


@router.post("/{sandbox_id}/stop", response=SandboxOut, operation_id="stop_sandbox", summary="Stop it")
def stop_sandbox(request: HttpRequest, sandbox_id: Text) -> Sandbox:
    """Answers when everything in the sandbox has ended. A run in progress there ends as interrupted; files stay."""
    agent = _operated(request, sandbox_id)
    operating.stop(asker(request), agent)
    return _row(agent)


class SandboxPatch(Schema):
    """What of a sandbox can be set."""

    keep_running: bool

    model_config = {"json_schema_extra": {"example": {"keep_running": True}}}


class HealthOut(Schema):
    """How a sandbox is right now. Figures are of the last look, one a minute; null while it does not run."""

    sandbox_id: str
    phase: str
    reason: str
    is_well: bool
    desired: Desired
    keep_running: bool
    uptime_s: float | None
    starts: int
    crashes: int
    probed_at: datetime | None
    used_at: datetime | None
    versions: dict[str, str]
    layers: list[str]
    memory_mb: float | None
    processes: int | None
    latency_ms: float | None
    cpu_s: float | None

    model_config = {
        "json_schema_extra": {
            "example": {
                "sandbox_id": "box_01jd9zb4p2r4t6v8x0z2b4d6f8",
                "phase": "ready",
                "reason": "The agent runtime in it answers.",
                "is_well": True,
                "desired": "running",
                "keep_running": False,
                "uptime_s": 5121.4,
                "starts": 4,
                "crashes": 0,
                "probed_at": "2026-11-20T09:15:02.655Z",
                "used_at": "2026-11-20T09:11:40.102Z",
                "versions": {"agent runtime": "0.19.0", "keeper": "1", "bubblewrap": "0.8.0", "kernel": "6.1.0-25"},
                "layers": ["userns", "mnt", "pid", "net", "ipc", "uts", "seccomp", "landlock:7"],
                "memory_mb": 143.2,
                "processes": 4,
                "latency_ms": 2.4,
                "cpu_s": 31.7,
            }
        }
    }


class LogQuery(Schema):
    """Which log, and how much of its end."""

    log: Literal["runtime", "keeper"] = "runtime"
    tail: int = Field(logs.DEFAULT_LINES, ge=1, le=logs.MOST_LINES, description="How many of the last lines.")


class LogOut(Schema):
    """The end of a log. ``empty`` says why there are no lines."""

    log: str
    lines: list[str]
    empty: str
    place: str

    model_config = {
        "json_schema_extra": {
            "example": {"log": "runtime", "lines": ["API server listening"], "empty": "", "place": "131-2048"}
        }
    }


@router.patch("/{sandbox_id}", response=SandboxOut, operation_id="change_sandbox", summary="Keep it running, or not")
def change_sandbox(request: HttpRequest, sandbox_id: Text, data: SandboxPatch) -> Sandbox:
    """With `keep_running` it is not stopped when nobody uses it, and started again whenever it ends."""
    agent = _operated(request, sandbox_id)
    row = Sandbox.objects.select_related("agent").filter(agent=agent).first()
    if row is None:
        raise NotFound("Sandbox")
    keeping.set_to(row, data.keep_running)
    return _row(agent)


@router.get("/{sandbox_id}/health", response=HealthOut, operation_id="get_sandbox_health", summary="How it is")
def get_sandbox_health(request: HttpRequest, sandbox_id: Text) -> dict:
    """Phase and reason, uptime, versions, layers, and what the last look saw."""
    return health.as_json(get_sandbox(request, sandbox_id))


@router.get(
    "/{sandbox_id}/logs",
    response=LogOut,
    operation_id="get_sandbox_logs",
    summary="Read or follow its logs",
    openapi_extra=FOLLOWED,
)
def get_sandbox_logs(request: HttpRequest, sandbox_id: Text, query: Query[LogQuery]) -> dict:
    """The last lines, without secrets, for whoever may operate it.

    With `Accept: text/event-stream` the same address sends what is written from now on as server-sent events, or
    what was written after the place in `after` or `Last-Event-ID`."""
    agent = _operated(request, sandbox_id)
    row = Sandbox.objects.select_related("agent").filter(agent=agent).first()
    if row is None:
        raise NotFound("Sandbox")
    found = logs.tail(row, logs.which(query.log), query.tail, known=known_values(agent))
    return {"log": found.log.key, "lines": list(found.lines), "empty": found.empty, "place": found.place}


def _operated(request: HttpRequest, sandbox_or_agent_id: str) -> Agent:
    return _found(request, sandbox_or_agent_id, "sandbox.operate")


def _found(request: HttpRequest, sandbox_or_agent_id: str, action: str) -> Agent:
    agents = Agent.objects.alive().filter(Q(pk=sandbox_or_agent_id) | Q(sandbox__pk=sandbox_or_agent_id))
    return permissions.fetch(asker(request), action, agents)


def _limits(agent: Agent) -> dict[str, Any]:
    return {"limits": sandbox_limits.of(agent), "own": sorted(agent.limits), "version": agent.version}


def _row(agent: Agent) -> Sandbox:
    return Sandbox.objects.select_related("agent").get(agent=agent)
