"""/api/sandboxes: who sees them, who operates them, and how a failed start is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agents import composition, permissions
from agents.models import Agent, Soul, User
from agents.secrets import seal
from sandboxes import lifecycle, records
from sandboxes.driver import SandboxError
from sandboxes.models import Sandbox, State
from tests.api_client import Program


@pytest.fixture
def box(atlas: Agent) -> Sandbox:
    return Sandbox.objects.create(agent=atlas, number=1, state=State.STOPPED, sealed_api_key=seal("sealed-secret"))


@pytest.fixture
def operated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lifecycle replaced by one that only writes the rows, and what was asked of it."""
    asked: list[str] = []

    async def ensure_running(agent_id: str, *_: Any, **__: Any) -> None:
        asked.append(f"start {agent_id}")
        wanted = await lifecycle.in_thread(records.wanted, agent_id)
        await lifecycle.in_thread(records.started, wanted.sandbox_id, {"pid": 1}, ("userns",), "key", "digest")

    async def stop(agent_id: str, *_: Any, **__: Any) -> None:
        asked.append(f"stop {agent_id}")
        wanted = await lifecycle.in_thread(records.wanted, agent_id)
        await lifecycle.in_thread(records.ended, wanted.sandbox_id, State.STOPPED)

    monkeypatch.setattr(lifecycle, "ensure_running", ensure_running)
    monkeypatch.setattr(lifecycle, "stop", stop)
    return asked


def test_a_sandbox_is_started_and_stopped_by_either_id(
    alice: User, atlas: Agent, box: Sandbox, operated: list[str]
) -> None:
    program = Program(alice)

    started = program.post(f"sandboxes/{box.pk}/start")
    stopped = program.post(f"sandboxes/{atlas.pk}/stop")

    assert (started["state"], started["layers"], started["agent"]["name"]) == ("running", ["userns"], "atlas")
    assert stopped["state"] == "stopped"
    assert operated == [f"start {atlas.pk}", f"stop {atlas.pk}"]


def test_an_agent_that_never_ran_gets_its_sandbox(alice: User, atlas: Agent, operated: list[str]) -> None:
    assert Program(alice).get("sandboxes")["items"] == []

    assert Program(alice).post(f"sandboxes/{atlas.pk}/start")["state"] == "running"


def test_nothing_secret_is_shown(alice: User, box: Sandbox) -> None:
    shown = Program(alice)("GET", f"sandboxes/{box.pk}").content.decode()

    assert box.sealed_api_key not in shown
    assert "sealed" not in shown
    assert "driver_state" not in shown


def test_who_may_only_chat_sees_the_sandbox_but_does_not_operate_it(
    bob: User, box: Sandbox, operated: list[str]
) -> None:
    assert Program(bob).get(f"sandboxes/{box.pk}")["state"] == "stopped"
    Program(bob).post(f"sandboxes/{box.pk}/start", status=404)
    Program(bob).post(f"sandboxes/{box.pk}/stop", status=404)
    assert operated == []


def test_a_stranger_to_the_agent_finds_nothing(mallory: User, box: Sandbox, operated: list[str]) -> None:
    assert Program(mallory).get("sandboxes")["items"] == []
    Program(mallory).get(f"sandboxes/{box.pk}", 404)
    Program(mallory).post(f"sandboxes/{box.agent_id}/start", status=404)
    assert operated == []


@pytest.mark.parametrize(
    ("reason", "status"), [("sandbox_unavailable", 503), ("sandbox_disconnected", 503), ("conflict", 409)]
)
def test_a_start_that_fails_says_why_and_what_to_do(
    alice: User, box: Sandbox, monkeypatch: pytest.MonkeyPatch, reason: str, status: int
) -> None:
    async def fails(agent_id: str, **how: Any) -> None:
        raise SandboxError("It would not start.", reason=reason, action="apt-get install bubblewrap", detail="inner")

    monkeypatch.setattr(lifecycle, "ensure_running", fails)

    answer = Program(alice)("POST", f"sandboxes/{box.pk}/start")

    assert answer.status_code == status
    assert answer.json()["error"]["action"] == "apt-get install bubblewrap"
    assert "inner" not in answer.content.decode()


def test_a_list_costs_two_queries_however_long(
    alice: User, soul: Soul, mallory: User, django_assert_num_queries: Callable
) -> None:
    for n in range(5):
        agent = composition.create(alice, f"agent {n}", soul)
        permissions.grant(mallory, "view", agent)
        Sandbox.objects.create(agent=agent, number=n + 10)
    program = Program(mallory)
    program.get("me")

    with django_assert_num_queries(2):
        assert len(program.get("sandboxes")["items"]) == 5
