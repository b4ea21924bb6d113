"""Starting and stopping sandboxes from the console."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from agents import permissions
from agents.models import Agent, Role, User
from sandboxes import lifecycle, tasks
from sandboxes.driver import SandboxError
from sandboxes.models import Sandbox
from tests.conftest import person
from tests.console import Console


@pytest.fixture
def box(atlas: Agent) -> Sandbox:
    return Sandbox.objects.create(agent=atlas, number=1)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of the sandboxes, in order."""
    asked: list[str] = []

    async def ensure_running(agent_id: str, *rest: Any, **options: Any) -> Any:
        asked.append(f"start {agent_id}")
        return SimpleNamespace(sandbox_id="sbx_1")

    async def stop(agent_id: str, **how: Any) -> None:
        asked.append(f"stop {agent_id}")

    monkeypatch.setattr(lifecycle, "ensure_running", ensure_running)
    monkeypatch.setattr(lifecycle, "stop", stop)
    return asked


def test_sandboxes_start_and_stop_in_the_background(
    ada: User, box: Sandbox, asked: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    console = Console(ada)

    with django_capture_on_commit_callbacks(execute=True):
        assert console.act(Sandbox, "start", box) == ["Starting in the background: 1."]
    assert console.act(Sandbox, "stop", box, confirmed="yes") == ["Stopping in the background: 1."]
    assert console.act(Sandbox, "restart", box, confirmed="yes") == ["Starting anew in the background: 1."]
    agent = box.agent_id
    assert asked == [f"start {agent}", f"stop {agent}", f"stop {agent}", f"start {agent}"]


def test_stopping_asks_first(ada: User, box: Sandbox, asked: list[str]) -> None:
    page = Console(ada).question(Sandbox, "stop", box)

    assert "What runs in them ends." in page
    assert str(box) in page
    assert asked == []


def test_what_would_not_stop_is_not_started_over_it(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    async def stop(agent_id: str, **how: Any) -> None:
        raise SandboxError("It would not stop.", reason="conflict", action="Try again.")

    async def ensure_running(agent_id: str) -> Any:
        raise AssertionError("started")

    monkeypatch.setattr(lifecycle, "stop", stop)
    monkeypatch.setattr(lifecycle, "ensure_running", ensure_running)

    assert tasks.restart(box.agent_id) == "It would not stop."


def test_who_only_sees_an_agent_does_not_operate_its_sandbox(box: Sandbox, atlas: Agent, asked: list[str]) -> None:
    otto = person("otto", Role.OPERATOR)
    permissions.grant(otto, "edit", atlas)

    assert Console(otto).act(Sandbox, "stop", box, confirmed="yes") == [f"You may not do this to {box}."]
    assert asked == []


def test_an_agents_sandbox_is_stopped_from_the_list_of_agents(
    ada: User, box: Sandbox, atlas: Agent, asked: list[str]
) -> None:
    console = Console(ada)
    assert console.act(Agent, "stop_sandbox", atlas, confirmed="yes") == ["atlas: No sandbox of it runs."]

    Sandbox.objects.filter(pk=box.pk).update(state="running")

    assert console.act(Agent, "stop_sandbox", atlas, confirmed="yes") == ["Stopping in the background: 1."]
    assert asked == [f"stop {atlas.pk}"]
