"""`manage.py runs`: list, show, cancel."""

from __future__ import annotations

import pytest

from agents.models import Agent, User
from runs import dispatch
from runs.models import Run, Status
from tests import shell
from tests.api_client import end, record


@pytest.fixture
def run(alice: User, atlas: Agent) -> Run:
    return dispatch.start(alice, "run: echo hello\nplease", agent=atlas).run


def test_lists_narrow_by_person_agent_and_state(ada: User, bob: User, mallory: User, run: Run) -> None:
    end(dispatch.start(bob, "bob's words", agent=run.agent).run)

    def listed(*words: str) -> list[str]:
        return [it["text"] for it in shell.run("runs", "list", "--json", *words).json]

    assert listed() == ["bob's words", "run: echo hello\nplease"]
    assert listed("--user", "bob", "--status", "completed") == ["bob's words"]
    assert listed("--user", "mallory") == []
    assert listed("--agent", "ATLAS", "-n", "1") == ["bob's words"]
    assert listed("--agent", run.agent_id, "--status", "queued") == ["run: echo hello\nplease"]
    assert listed("--agent", "nobody") == []
    assert "run: echo hello\n" in shell.run("runs", "list").out


def test_a_run_is_shown_with_its_steps(ada: User, run: Run) -> None:
    record(
        run,
        ("tool.started", {"call_id": "c", "tool": "terminal", "args": {"command": "echo hello"}}),
        ("tool.result", {"call_id": "c", "result": '{"output": "hel\\u001blo", "exit_code": 0}'}),
        ("tool.completed", {"call_id": "c", "ok": True, "duration_ms": 31.0}),
        ("text.delta", {"text": "It said hello."}),
    )
    end(run, "It said hello.")

    out = shell.run("runs", "show", run.pk).out

    assert "> run: echo hello\n> please\n" in out
    assert "→ terminal echo hello  [done, 31 ms]\n    hello\n" in out
    assert "It said hello.\n" in out
    assert f"fingerprint {run.fingerprint}" in out
    assert "cost unknown" in out
    assert "\x1b" not in out


def test_a_failed_run_shows_the_sentence_and_the_action(ada: User, run: Run) -> None:
    end(run, status=Status.FAILED, code="provider_auth", message="Key refused.", action="Replace it.")

    assert "Key refused. Replace it." in shell.run("runs", "show", run.pk).out


def test_json_has_the_stamp_and_the_events(ada: User, run: Run) -> None:
    shown = shell.run("runs", "show", run.pk, "--json").json

    assert (shown["id"], shown["stamp"]["agent_name"]) == (run.pk, "atlas")
    assert [event["kind"] for event in shown["events"]] == ["run.queued"]


@pytest.mark.parametrize("verb", ["show", "cancel"])
def test_somebody_elses_run_is_not_there(mallory: User, ada: User, run: Run, verb: str) -> None:
    ended = shell.run("runs", verb, run.pk, "--user", "mallory")

    assert (ended.code, ended.said) == (1, "Run was not found.\n")
    run.refresh_from_db()
    assert run.cancel_requested_at is None


def test_a_run_is_asked_to_stop_in_ones_own_name(ada: User, alice: User, run: Run) -> None:
    assert shell.run("runs", "cancel", run.pk, "--user", "alice").code == 0

    run.refresh_from_db()
    assert run.cancelled_by == alice
    end(run, status=Status.CANCELLED)
    assert shell.run("runs", "cancel", run.pk).said == "This run has already ended.\n"
