"""Starting and stopping sandboxes from the console."""

from __future__ import annotations

import pytest

from agents import permissions
from agents.models import Agent, Role, User
from sandboxes import lifecycle
from sandboxes.driver import SandboxError
from sandboxes.models import Sandbox
from tests.conftest import person
from tests.console import Console


@pytest.fixture
def box(atlas: Agent) -> Sandbox:
    return Sandbox.objects.create(agent=atlas, number=1)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []

    async def ensure_running(agent_id: str) -> None:
        asked.append(f"start {agent_id}")

    async def stop(agent_id: str) -> None:
        asked.append(f"stop {agent_id}")
        raise SandboxError("It would not stop.", reason="conflict", action="Try again.")

    monkeypatch.setattr(lifecycle, "ensure_running", ensure_running)
    monkeypatch.setattr(lifecycle, "stop", stop)
    return asked


def test_an_action_says_what_came_of_it(ada: User, box: Sandbox, asked: list[str]) -> None:
    console = Console(ada)

    assert console.act(Sandbox, "start", box) == ["The sandbox of atlas runs."]
    assert console.act(Sandbox, "stop", box) == ["atlas: It would not stop. Try again."]
    assert asked == [f"start {box.agent_id}", f"stop {box.agent_id}"]


def test_who_only_sees_an_agent_does_not_operate_its_sandbox(box: Sandbox, atlas: Agent, asked: list[str]) -> None:
    otto = person("otto", Role.OPERATOR)
    permissions.grant(otto, "edit", atlas)

    assert Console(otto).act(Sandbox, "stop", box) == ["You may not operate the sandbox of atlas."]
    assert asked == []
