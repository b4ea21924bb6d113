"""Stop means stop: the run ends at once, the tool's process is gone, what was said is kept."""

from __future__ import annotations

import httpx
import pytest

from tests.journeys.house import House, until
from tests.journeys.sound import assert_sound, kinds_of, text_of

pytestmark = pytest.mark.runtime

# Two seconds on a machine with nothing else to do; far below what the tools and the model here would take.
WITHIN_S = 30.0


def test_stop_in_a_tool_ends_the_tool_itself(logos: House) -> None:
    run_id = logos.send("run: sleep 1234 | cat; echo never")["id"]
    logos.until_event(run_id, "tool.started")
    until(lambda: logos.inside("sleep 1234"), "the tool runs")

    took_s = logos.stop_run(run_id)

    run = logos.row(run_id)
    assert_sound(run)
    assert run.status == "cancelled"
    assert took_s < WITHIN_S
    until(lambda: not logos.inside("sleep 1234"), "the tool's process is gone")
    assert logos.ask("hello", talk=run.conversation_id).status == "completed"


def test_stop_in_a_stream_keeps_what_was_said(logos: House) -> None:
    run_id = logos.send("words: 2000\nslow: 20ms")["id"]
    logos.until_event(run_id, "text.delta")

    took_s = logos.stop_run(run_id)

    run = logos.row(run_id)
    story = assert_sound(run)
    assert run.status == "cancelled"
    assert took_s < WITHIN_S
    assert run.reply.text == text_of(story).strip()
    assert kinds_of(story)[-1] == "run.cancelled"
    assert story[-1].data["by"] == "ada"


def test_stop_while_the_model_says_nothing(logos: House) -> None:
    run_id = logos.send("hang")["id"]
    logos.until_event(run_id, "run.started")

    assert logos.stop_run(run_id) < WITHIN_S

    assert_sound(logos.row(run_id))


def test_stop_while_a_person_is_asked(logos: House) -> None:
    run_id = logos.send("run: rm -rf elsewhere")["id"]
    logos.until_event(run_id, "approval.requested")

    assert logos.stop_run(run_id) < WITHIN_S

    assert_sound(logos.row(run_id))
    assert logos.api("GET", "/approvals")["items"] == []


def test_stop_right_after_sending(logos: House) -> None:
    for _ in range(5):
        run_id = logos.send("run: sleep 3030")["id"]
        assert logos.stop_run(run_id) < WITHIN_S
        assert logos.row(run_id).status == "cancelled"
        assert_sound(logos.row(run_id))
    until(lambda: not logos.inside("sleep 3030"), "no tool is left")


def test_stop_while_the_sandbox_is_prepared(logos: House) -> None:
    agent = logos.api("POST", "/agents", json={"name": "born-late"})["id"]
    run_id = logos.send("run: sleep 3030", agent=agent)["id"]
    logos.until_event(run_id, "sandbox.progress")

    assert logos.stop_run(run_id) < WITHIN_S

    assert_sound(logos.row(run_id))
    assert logos.ask("hello", agent=agent).status == "completed"


def test_stopping_twice_is_one_stop_and_stopping_what_has_ended_is_refused(logos: House) -> None:
    run_id = logos.send("hang")["id"]
    logos.until_event(run_id, "run.started")
    logos.api("POST", f"/runs/{run_id}/cancel")
    logos.http.post(f"/api/runs/{run_id}/cancel")
    logos.ended(run_id)

    answer: httpx.Response = logos.http.post(f"/api/runs/{run_id}/cancel")

    assert answer.status_code == 409
    assert answer.json()["error"]["reason"] == "already_finished"
    assert_sound(logos.row(run_id))
