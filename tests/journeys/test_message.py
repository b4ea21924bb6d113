"""One message becomes one run: the main job, from the API to rows and back."""

from __future__ import annotations

import pytest

from tests.journeys.house import House
from tests.journeys.sound import assert_sound, kinds_of, text_of

pytestmark = pytest.mark.runtime


def test_a_message_runs_a_command_in_the_sandbox_and_is_answered(logos: House) -> None:
    run = logos.ask("run: echo hello && id")

    assert run.status == "completed"
    story = assert_sound(run)
    started = next(event for event in story if event.kind == "tool.started")
    result = next(event for event in story if event.kind == "tool.result")
    assert started.data["args"] == {"command": "echo hello && id"}
    assert "hello" in result.data["result"]
    assert "uid=10001(agent)" in result.data["result"]
    assert "uid=10001(agent)" in run.reply.text
    assert text_of(story).endswith(run.reply.text)


def test_what_is_streamed_live_is_what_is_stored(logos: House) -> None:
    run_id = logos.send("think: first this\nthen run: ls /\nslow: 5ms")["id"]

    live = [(event["seq"], event["kind"], event["data"]) for event in logos.stream(run_id)]

    story = assert_sound(logos.ended(run_id))
    assert live == [(event.seq, event.kind, event.data) for event in story]
    assert "reasoning.delta" in kinds_of(story)


def test_a_reader_that_comes_back_in_mid_run_has_no_gap_and_no_duplicate(logos: House) -> None:
    run_id = logos.send("words: 120\nslow: 10ms")["id"]
    seen: list[int] = []
    while not seen or seen[-1] < logos.row(run_id).events.count() or not logos.row(run_id).has_finished:
        for count, event in enumerate(logos.stream(run_id, after=seen[-1] if seen else 0)):
            seen.append(event["seq"])
            if count == 7:
                break

    story = assert_sound(logos.ended(run_id))
    assert seen == [event.seq for event in story]


def test_the_next_message_knows_what_was_said_before(logos: House) -> None:
    first = logos.ask("remember the blue teapot")
    second = logos.ask("what did I say", talk=first.conversation_id)

    assert_sound(second)
    assert "the blue teapot" in second.reply.text


def test_several_tools_of_one_turn_and_of_two_keep_their_own_results(logos: House) -> None:
    run = logos.ask("run: echo one\nrun: echo two\nthen run: echo three")

    story = assert_sound(run)
    commands = {e.data["call_id"]: e.data["args"]["command"] for e in story if e.kind == "tool.started"}
    results = {e.data["call_id"]: e.data["result"] for e in story if e.kind == "tool.result"}
    assert sorted(commands.values()) == ["echo one", "echo three", "echo two"]
    for call_id, command in commands.items():
        assert command.split()[-1] in results[call_id]
    assert run.tool_calls == 3
    assert run.model_calls == 3


def test_a_run_says_what_it_used_and_what_it_cost(logos: House) -> None:
    run = logos.ask("hello")

    assert_sound(run)
    assert run.input_tokens > 0
    assert run.output_tokens > 0
    assert run.cost == 0
    assert not run.cost_is_partial


def test_a_run_tells_the_walls_that_stood_around_it(logos: House) -> None:
    run = logos.ask("hello")

    had = logos.api("GET", f"/runs/{run.pk}/permissions")

    assert {"userns", "mnt", "pid", "net", "seccomp"} <= set(had["layers"])
    assert (had["driver"], had["added"], had["removed"]) == ("local", [], [])
    walls = {wall["name"]: wall["is_up"] for wall in had["walls"]}
    assert walls["Namespaces"]
    assert walls["System calls"]
    assert "Restart it" not in str(had["walls"])  # every limit is kept by something


def test_files_stay_from_one_conversation_to_the_next(logos: House) -> None:
    logos.ask("write: kept.txt = still here")
    run = logos.ask("run: cat kept.txt")

    assert "still here" in run.reply.text


def test_a_dangerous_command_waits_for_a_person_and_runs_when_allowed(logos: House) -> None:
    logos.ask("run: mkdir -p build/deep")
    run_id = logos.send("run: rm -rf build")["id"]
    logos.until_event(run_id, "approval.requested")
    assert logos.row(run_id).status == "waiting"
    (question,) = logos.api("GET", "/approvals")["items"]
    assert question["text"] == "rm -rf build"

    logos.api("POST", f"/approvals/{question['id']}", json={"choice": "once", "subject_hash": question["subject_hash"]})

    run = logos.ended(run_id)
    story = assert_sound(run)
    assert run.status == "completed"
    assert kinds_of(story).index("approval.requested") < kinds_of(story).index("approval.decided")
    assert "build" not in logos.ask("run: ls").reply.text


def test_a_dangerous_command_that_is_denied_does_not_run(logos: House) -> None:
    logos.ask("run: mkdir -p precious")
    run_id = logos.send("run: rm -rf precious")["id"]
    logos.until_event(run_id, "approval.requested")
    (question,) = logos.api("GET", "/approvals")["items"]

    logos.api("POST", f"/approvals/{question['id']}", json={"choice": "deny"})

    assert_sound(logos.ended(run_id))
    assert "precious" in logos.ask("run: ls").reply.text
