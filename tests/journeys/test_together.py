"""Several at once: runs side by side, two tabs, the same message twice, an agent that goes away meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from runs import dispatch
from runs.models import Message, Run, RunEvent
from sandboxes.models import InferenceCall
from tests.journeys.house import House, until
from tests.journeys.sound import assert_sound

pytestmark = pytest.mark.runtime

# A command that goes on until the test has seen what it waits for.
UNTIL_TOLD = "until [ -e {} ]; do sleep 0.2; done"


def at_once(*calls: Callable[[], httpx.Response]) -> list[httpx.Response]:
    """All of them, let go in the same moment."""
    gate = threading.Barrier(len(calls))

    def call(what: Callable[[], httpx.Response]) -> httpx.Response:
        gate.wait()
        return what()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


def test_six_runs_of_one_agent_go_on_side_by_side_and_keep_apart(logos: House) -> None:
    logos.ask("hello")
    texts = {number: f"run: {UNTIL_TOLD.format('six')}; echo I am number {number}" for number in range(6)}

    started = {number: logos.send(text)["id"] for number, text in texts.items()}
    for run_id in started.values():
        logos.until_event(run_id, "tool.started")
    (logos.workspace / "six").touch()
    runs = {number: logos.ended(run_id) for number, run_id in started.items()}

    for number, run in runs.items():
        story = assert_sound(run)
        assert run.status == "completed"
        (result,) = [event.data["result"] for event in story if event.kind == "tool.result"]
        assert f"I am number {number}" in result
        assert {call.run_id for call in InferenceCall.objects.filter(run_id=run.pk)} == {run.pk}
        assert run.model_calls == 2
    spans = [(run.started_at, run.finished_at) for run in runs.values()]
    assert max(began for began, _ in spans) < min(ended for _, ended in spans), "they did not run at once"


def test_two_agents_at_once_share_no_files(logos: House) -> None:
    other = logos.api("POST", "/agents", json={"name": "boreas"})["id"]
    ids = [logos.send(f"write: mine.txt = {name}\nthen run: ls; cat mine.txt", agent=agent)["id"]
           for name, agent in (("of-atlas", logos.agent_id), ("of-boreas", other))]  # fmt: skip

    first, second = (logos.ended(run_id) for run_id in ids)

    for run, own, foreign in ((first, "of-atlas", "of-boreas"), (second, "of-boreas", "of-atlas")):
        assert_sound(run)
        assert own in run.reply.text
        assert foreign not in run.reply.text


def test_two_tabs_that_send_at_once_make_one_run_and_one_refusal(logos: House) -> None:
    talk = logos.ask("hello").conversation_id
    for number in range(5):
        body = {"text": f"run: echo {number}; sleep 0.2"}
        path = f"/api/conversations/{talk}/messages"

        answers = at_once(*[lambda: logos.http.post(path, json=body)] * 2)  # noqa: B023

        assert sorted(answer.status_code for answer in answers) == [202, 409]
        refused = next(answer.json()["error"] for answer in answers if answer.status_code == 409)
        assert refused["reason"] == "conversation_busy"
        assert refused["message"]
        assert refused["action"]
        (run_id,) = [answer.json()["run"]["id"] for answer in answers if answer.status_code == 202]
        assert_sound(logos.ended(run_id))
    assert Message.objects.filter(conversation_id=talk).count() == 2 + 5 * 2


def test_the_same_idempotency_key_twice_at_once_makes_one_run(logos: House) -> None:
    opening = {"agent_id": logos.agent_id, "text": "run: echo once"}
    before = Run.objects.count()

    answers = at_once(
        *[lambda: logos.http.post("/api/conversations", json=opening, headers={"Idempotency-Key": "k-1"})] * 4
    )

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["run"]["id"] for answer in answers}) == 1
    assert sorted(answer.json()["repeated"] for answer in answers) == [False, True, True, True]
    assert Run.objects.count() == before + 1
    assert_sound(logos.ended(answers[0].json()["run"]["id"]))


def test_the_same_idempotency_key_after_the_end_gives_the_first_run(logos: House) -> None:
    talk = logos.ask("hello").conversation_id
    first = logos.send("run: echo once", talk=talk, key="k-2")["id"]
    logos.ended(first)

    assert logos.send("run: echo once", talk=talk, key="k-2")["id"] == first


def test_a_run_that_waits_while_its_agent_is_deleted_ends_with_a_reason(logos: House) -> None:
    agent = logos.api("POST", "/agents", json={"name": "short-lived"})["id"]
    logos.kill9()
    from agents.models import Agent

    row = Agent.objects.select_related("soul", "route__provider").get(pk=agent)
    waiting = dispatch.start(logos.admin, "run: echo never", agent=row).run
    row.mark_deleted()

    logos.start()

    run = logos.ended(waiting.pk)
    assert_sound(run)
    assert run.status == "failed"
    assert "deleted" in run.error_message
    assert run.error_action
    again = logos.http.post(f"/api/conversations/{run.conversation_id}/messages", json={"text": "hello?"})
    assert again.status_code in (404, 409)
    assert again.json()["error"]["message"]


@pytest.mark.parametrize(
    ("text", "status"),
    [("", 400), ("   \n", 400), ("nul \x00 byte", 400), ("x" * 1_000_000, 413)],
    ids=["empty", "blank", "nul", "1 MB"],
)
def test_what_cannot_be_sent_is_refused_and_nothing_is_stored(logos: House, text: str, status: int) -> None:
    talk = logos.ask("hello").conversation_id
    before = Message.objects.count()

    answer = logos.http.post(f"/api/conversations/{talk}/messages", json={"text": text})

    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]
    assert Message.objects.count() == before
    assert logos.ask("still there?", talk=talk).status == "completed"


def test_more_runs_than_the_runtime_takes_at_once_wait_for_their_turn(logos: House) -> None:
    logos.kill9()
    texts = [f"run: {UNTIL_TOLD.format('twelve')}; echo done"] * 12
    ids = [dispatch.start(logos.admin, text, agent=logos.agent()).run.pk for text in texts]

    logos.start()

    until(lambda: len(waiting(ids)) == 4, "the runtime takes eight of them")
    (logos.workspace / "twelve").touch()
    runs = [logos.ended(run_id) for run_id in ids]

    assert [run.status for run in runs] == ["completed"] * 12
    assert len(waiting(ids)) == 4
    for run in runs:
        assert_sound(run)


def waiting(ids: list[str]) -> set[str]:
    """Those that were told to wait for others."""
    told = RunEvent.objects.filter(run_id__in=ids, kind="sandbox.progress").values_list("run_id", "data")
    return {run_id for run_id, data in told if "other runs" in str(data)}


def test_a_run_that_waits_for_others_can_be_stopped_and_survives_a_restart(logos: House) -> None:
    busy = [logos.send("run: sleep 300")["id"] for _ in range(8)]
    for run_id in busy:
        logos.until_event(run_id, "tool.started")
    stopped, kept = (logos.send("run: echo later")["id"] for _ in range(2))
    for run_id in (stopped, kept):
        until(lambda: any("other runs" in str(e.data) for e in logos.row(run_id).events.all()), "it waits")  # noqa: B023

    assert logos.stop_run(stopped) < 60.0
    logos.restart()
    assert logos.row(kept).status in ("queued", "provisioning")
    logos.stop_run(busy[0])

    assert logos.ended(kept).status == "completed"
    for run_id in busy[1:]:
        logos.stop_run(run_id)
    assert {logos.row(run_id).status for run_id in (*busy, stopped)} == {"cancelled"}
    for run_id in (*busy, stopped, kept):
        assert_sound(logos.row(run_id))
