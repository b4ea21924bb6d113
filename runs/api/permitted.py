"""/api/runs/{id}/permissions and one connection tried: on the frozen rules of a run, and on an agent's rules now."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from agents import agent_pages, permissions
from agents.api.asking import asker
from agents.api.policies import Answer, Attempt
from agents.api.shapes import Text
from agents.models import Agent
from agents.reach import Verdict
from runs import permitted
from runs.api.runs import rows
from runs.models import Run

router = Router(tags=["Runs"])

LAYERS: list[Any] = ["userns", "mnt", "pid", "net", "ipc", "uts", "seccomp", "landlock:7", "memory:cgroup2"]


class PermitSource(Schema):
    """Where rules stood, and they, as people write them."""

    name: str
    lines: list[str]


class StoodOut(Schema):
    """One wall. `is_up` false: something weaker stood there, or nothing; the sentence says what."""

    name: str
    is_up: bool
    sentence: str


class PermittedOut(Schema):
    """What a run was permitted, frozen when it began; the rules themselves are in its STAMP."""

    driver: str
    has_rules: bool = Field(description="False: an older record, with hosts alone.")
    hides: bool = Field(description="There were policies you may not see.")
    sources: list[PermitSource]
    added: list[str] | None = Field(description="Rules a run that began now would have more; null: the agent is gone.")
    removed: list[str] | None = Field(description="Rules a run that began now would not have.")
    layers: list[str] = Field(description="The walls that stood, as the sandbox named them.")
    walls: list[StoodOut]

    model_config = {
        "json_schema_extra": {
            "example": {
                "driver": "local",
                "has_rules": True,
                "hides": False,
                "sources": [{"name": "Python packages", "lines": ["pypi.org by /usr/bin/pip as packages"]}],
                "added": [],
                "removed": [],
                "layers": LAYERS,
                "walls": [],
            }
        }
    }


@router.get(
    "/runs/{run_id}/permissions",
    response=PermittedOut,
    operation_id="get_run_permissions",
    summary="What a run was permitted",
)
def get_run_permissions(request: HttpRequest, run_id: Text) -> permitted.Permitted:
    """Its frozen rules, what has become of them since, and the walls that stood around it."""
    user = asker(request)
    run: Run = permissions.fetch(user, "run.view", rows().defer(None), pk=run_id)
    return permitted.told(user, run)


@router.get("/runs/{run_id}/reach", response=Answer, operation_id="try_run", summary="Would it have been let through?")
def try_run(request: HttpRequest, run_id: Text, query: Query[Attempt]) -> dict[str, Any]:
    """Try a host and port on the frozen rules. 409 when the record has none, or not all of them are for you to see."""
    user = asker(request)
    run: Run = permissions.fetch(user, "run.view", rows().defer(None), pk=run_id)
    return _answer(permitted.attempt(user, run, query.host, query.port, query.binary))


@router.get("/agents/{agent_id}/reach", response=Answer, operation_id="try_agent", summary="Would it reach?")
def try_agent(request: HttpRequest, agent_id: Text, query: Query[Attempt]) -> dict[str, Any]:
    """Try a host and port on all rules the agent has now; nothing is connected to."""
    user = asker(request)
    agent: Agent = permissions.fetch(user, "agent.view", agent_pages.rows(), pk=agent_id)
    return _answer(permitted.attempt_now(user, agent, query.host, query.port, query.binary))


def _answer(verdict: Verdict) -> dict[str, Any]:
    return {"allowed": verdict.allowed, "rule": verdict.rule, "reason": verdict.reason}
