"""A call of a tool that is asked for: an approval, its decision, and the call made again."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from agents.models import Agent, User
from runs import approvals, events
from runs.engine import Engine
from runs.events import Event
from runs.models import Approval, ApprovalState
from runs.timeline import Timeline
from sandboxes.tool_server import calls
from sandboxes.tool_server.calls import Answer
from sandboxes.tool_server.models import ToolCall
from sandboxes.tool_server.records import Caller
from sandboxes.tool_server.results import Outcome, done

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def did(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was really carried out."""
    made: list[dict[str, Any]] = []

    async def said(tool: Any, given: dict[str, Any], begun: Any, db: Any) -> Outcome:
        made.append(given)
        return done({}, "done")

    monkeypatch.setattr(calls, "_in_sandbox", said)
    return made


def run(agent: Agent, command: str, **more: Any) -> Answer:
    return async_to_sync(calls.call)(agent.pk, "process.run", {"command": command}, Caller("program", **more))


def test_it_waits_as_an_approval_and_runs_once_when_it_was_allowed(
    alice: User, atlas: Agent, did: list[dict[str, Any]]
) -> None:
    waiting = run(atlas, "make clean", purpose="Tidy up.")
    asked = Approval.objects.get()

    assert (waiting.state, waiting.approval_id) == ("waiting", asked.pk)
    assert (asked.kind, asked.agent, asked.asked_for, asked.purpose) == ("tool_call", atlas, alice, "Tidy up.")
    assert asked.subject == {"tool": "process.run", "command": "make clean"}
    assert asked in approvals.open_for(alice)

    approvals.decide(alice, asked, "once", subject_hash=asked.subject_hash)
    assert did == []
    assert not run(atlas, "make clean").outcome.is_error
    assert len(did) == 1
    assert run(atlas, "make clean").state == "waiting"
    assert len(did) == 1


def test_a_denial_is_told_with_its_note(alice: User, atlas: Agent, did: list[dict[str, Any]]) -> None:
    run(atlas, "make clean")
    approvals.decide(alice, Approval.objects.get(), "deny", note="Never on main.")

    denied = run(atlas, "make clean")

    assert denied.state == "denied"
    assert "Never on main." in denied.outcome.text
    assert did == []


def test_a_rule_allows_the_same_again_and_nothing_else(alice: User, atlas: Agent, did: list[dict[str, Any]]) -> None:
    run(atlas, "make test")
    approvals.decide(alice, Approval.objects.get(), "rule")

    run(atlas, "make test")
    run(atlas, "make test")
    other = run(atlas, "make install")

    assert [given["command"] for given in did] == ["make test", "make test"]
    assert other.state == "waiting"
    assert "process.run" in approvals.living().get().words


def test_who_is_not_asked_cannot_decide(mallory: User, atlas: Agent, did: list[dict[str, Any]]) -> None:
    run(atlas, "make clean")

    assert list(approvals.open_for(mallory)) == []


def test_a_question_whose_time_is_over_has_expired(atlas: Agent, did: list[dict[str, Any]]) -> None:
    run(atlas, "make clean")
    Approval.objects.update(expires_at=Approval.objects.get().created_at)

    answer = run(atlas, "make clean")

    assert answer.state == "expired"
    assert did == []
    assert ToolCall.objects.get().state == "expired"
    assert Approval.objects.get().state in (ApprovalState.PENDING, ApprovalState.EXPIRED)


def test_a_secret_in_the_arguments_is_not_shown_and_that_is_said(
    alice: User, atlas: Agent, did: list[dict[str, Any]]
) -> None:
    run(atlas, "curl -H 'Authorization: Bearer sk-ant-REDACTED'")
    asked = Approval.objects.get()

    assert "sk-ant-REDACTED" not in str(asked.subject) + asked.title
    assert asked.title.startswith(approvals.HIDDEN)


def test_the_timeline_of_a_run_tells_of_a_call_once() -> None:
    def event(seq: int, **data: Any) -> Event:
        return Event("run_x", seq, "tool_server.call", {"call": "tool_1", "tool": "git.push", **data}, events.now())

    line = Timeline([event(1, state="waiting", reason="Without a rule, git.push waits for a person.")])
    first = [item.sentence for item in line.items]  # type: ignore[attr-defined]
    line.apply(event(2, state="done", tier="ask"))

    assert first == ["git.push waits for a person. Without a rule, git.push waits for a person."]
    assert [item.sentence for item in line.items] == ["git.push is done."]  # type: ignore[attr-defined]


def test_what_came_of_a_held_call_stands_below_the_question_it_waited_for() -> None:
    def event(seq: int, about: str, **data: Any) -> Event:
        return Event("run_x", seq, about, data, events.now())

    call: dict[str, Any] = {"call": "tool_1", "tool": "git.push"}
    line = Timeline([event(1, "tool_server.call", **call, state="waiting", reason="A rule says so.")])
    line.apply(event(2, "approval.requested", id="appr_1", command="push", kind="tool_call"))
    line.apply(event(3, "approval.decided", id="appr_1", choice="once", by="alice"))
    changed = line.apply(event(4, "tool_server.call", **call, state="done"))
    again = line.apply(event(5, "tool_server.call", **call, state="failed"))

    assert [getattr(item, "sentence", item.kind) for item in line.items] == [
        "git.push waited for a person.", "question", "git.push failed."
    ]  # fmt: skip
    assert [item.id for item in changed] == ["note-tool_1", "note-tool_1-end"]
    assert [item.id for item in again] == ["note-tool_1-end"]


async def test_an_engine_takes_calls_of_its_runs_into_their_record() -> None:
    engine, told = Engine(), []

    class Recorder:
        def emit(self, kind: str, data: dict[str, Any]) -> None:
            told.append((kind, data["state"]))

    engine._loop = asyncio.get_running_loop()
    engine._runs["run_x"] = SimpleNamespace(recorder=Recorder())  # type: ignore[assignment]
    await asyncio.to_thread(engine._tool_called, "run_x", {"state": "done"})
    await asyncio.to_thread(engine._tool_called, "run_of_somebody_else", {"state": "done"})
    await asyncio.sleep(0)

    assert told == [("tool_server.call", "done")]
