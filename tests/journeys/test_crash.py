"""Logos is killed in the middle of things: no run is stuck, none is carried out twice, what was shown is kept.

A tool that leaves one line per call in the workspace shows how often it really ran.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from datetime import timedelta

import httpx
import pytest

from runs import dispatch
from runs.models import Run, Status
from sandboxes.inference.rehearsal_lines import CONTINUATION
from sandboxes.models import Sandbox
from tests.journeys.house import House, keepers_of, until
from tests.journeys.sound import assert_sound, kinds_of, text_of

pytestmark = pytest.mark.runtime

DISCONNECTED = (("failed", "sandbox_disconnected"), ("interrupted", "sandbox_disconnected"))
# More by hand: each is a run, a kill and a start.
KILLS = int(os.environ.get("CRASH_KILLS", "8"))
SEED = 20261121


def lines_in(logos: House, name: str) -> list[str]:
    """The lines of a file in the workspace of ``atlas``."""
    box = Sandbox.objects.get(agent_id=logos.agent_id)
    path = logos.home / "agents" / box.pk / "workspace" / name
    return path.read_text().splitlines() if path.exists() else []


def next_message_works(logos: House, run: Run) -> None:
    """In the same conversation, at once."""
    after = logos.ask("hello again", talk=run.conversation_id)
    assert after.status == "completed"
    assert_sound(after)


def test_killed_in_a_stream_the_run_goes_on_and_is_told_in_full(logos: House) -> None:
    run_id = logos.send("words: 250\nslow: 10ms")["id"]
    shown = ""
    with contextlib.closing(logos.stream(run_id)) as events:
        while len(shown) < 200:
            event = next(events)
            shown += event["data"].get("text", "")

    logos.restart()

    run = logos.ended(run_id)
    story = assert_sound(run)
    assert run.status == "completed"
    assert run.reply.text.startswith(shown.rstrip())
    assert run.reply.text.endswith(CONTINUATION), "the runtime asks the model for the rest"
    assert text_of(story) == run.reply.text
    assert run.attempt == 2
    next_message_works(logos, run)


def test_killed_in_a_tool_the_tool_runs_once_and_its_result_is_told(logos: House) -> None:
    run_id = logos.send("run: echo x >> in-a-tool; sleep 1.5; echo done-it")["id"]
    logos.until_event(run_id, "tool.started")
    until(lambda: logos.row(run_id).events.filter(kind="tool.started").exists(), "what was shown is stored")

    logos.restart()

    run = logos.ended(run_id)
    story = assert_sound(run)
    assert run.status == "completed"
    assert "done-it" in run.reply.text
    assert kinds_of(story).count("tool.started") == kinds_of(story).count("tool.completed") == 1
    assert lines_in(logos, "in-a-tool") == ["x"]
    assert run.model_calls == 2
    next_message_works(logos, run)


def test_a_message_accepted_before_the_claim_is_carried_out_after_the_restart(logos: House) -> None:
    logos.kill9()
    waiting = dispatch.start(logos.admin, "run: echo x >> before-claim", agent=logos.agent()).run

    logos.start()

    run = logos.ended(waiting.pk)
    assert_sound(run)
    assert run.status == "completed"
    assert run.attempt == 1
    assert lines_in(logos, "before-claim") == ["x"]


def test_killed_after_the_claim_but_before_the_runtime_was_told_the_run_starts_again(logos: House) -> None:
    logos.kill9()
    run = dispatch.start(logos.admin, "run: echo x >> after-claim", agent=logos.agent()).run
    Run.objects.filter(pk=run.pk).update(status=Status.PROVISIONING, **as_a_killed_engine_leaves_it())

    logos.start()

    run = logos.ended(run.pk)
    assert_sound(run)
    assert run.status == "completed"
    assert lines_in(logos, "after-claim") == ["x"]


def test_killed_while_the_runtime_was_being_told_the_run_is_not_sent_again(logos: House) -> None:
    logos.kill9()
    run = dispatch.start(logos.admin, "run: echo x >> while-told", agent=logos.agent()).run
    note = {"lane": 1, "runtime_session_id": "run_nobody_knows"}
    Run.objects.filter(pk=run.pk).update(status=Status.PROVISIONING, **note, **as_a_killed_engine_leaves_it())

    logos.start()

    run = logos.ended(run.pk)
    assert_sound(run)
    assert run.status == "interrupted"
    assert run.error_message
    assert run.error_action
    assert lines_in(logos, "while-told") == []
    next_message_works(logos, run)


def as_a_killed_engine_leaves_it() -> dict[str, object]:
    """A lease of a process of this host that is dead: this number never had this start."""
    import socket

    from django.utils import timezone

    owner = f"{socket.gethostname()[:30]}:{os.getpid()}:1"
    return {"lease_owner": owner, "lease_until": timezone.now() + timedelta(seconds=15), "attempt": 1}


def test_killed_while_a_person_is_asked_the_question_still_counts(logos: House) -> None:
    logos.ask("run: mkdir -p doomed")
    run_id = logos.send("run: rm -rf doomed")["id"]
    logos.until_event(run_id, "approval.requested")

    logos.restart()

    (question,) = logos.api("GET", "/approvals")["items"]
    assert question["run_id"] == run_id
    logos.api("POST", f"/approvals/{question['id']}", json={"choice": "once"})
    run = logos.ended(run_id)
    story = assert_sound(run)
    assert run.status == "completed"
    assert kinds_of(story).count("approval.requested") == 1
    assert kinds_of(story).count("approval.decided") == 1
    assert "doomed" not in logos.ask("run: ls").reply.text


def test_a_question_that_comes_after_the_restart_reaches_the_person(logos: House) -> None:
    logos.ask("run: mkdir -p late")
    run_id = logos.send("run: sleep 1\nthen run: rm -rf late")["id"]
    logos.until_event(run_id, "tool.started")

    logos.restart()

    asked = logos.until_event(run_id, "approval.requested")
    assert asked["data"]["command"] == "rm -rf late"
    assert logos.row(run_id).status == "waiting"
    logos.api("POST", f"/approvals/{asked['data']['id']}", json={"choice": "once"})
    run = logos.ended(run_id)
    story = assert_sound(run)
    assert run.status == "completed"
    assert kinds_of(story).count("approval.requested") == 1
    assert "late" not in logos.ask("run: ls").reply.text


def test_killed_while_the_sandbox_is_prepared_there_is_one_sandbox_in_the_end(logos: House) -> None:
    agent = logos.api("POST", "/agents", json={"name": "half-born"})["id"]
    run_id = logos.send("run: echo alive", agent=agent)["id"]
    logos.until_event(run_id, "sandbox.progress")
    time.sleep(0.2)

    logos.restart()

    run = logos.ended(run_id)
    assert_sound(run)
    assert run.status == "completed"
    assert "alive" in run.reply.text
    assert len(keepers_of(logos.home)) == Sandbox.objects.filter(state="running").count()


def test_killed_twice_in_a_row_the_run_still_ends_once(logos: House) -> None:
    run_id = logos.send("run: echo x >> twice; sleep 3; echo done-it")["id"]
    logos.until_event(run_id, "tool.started")

    logos.restart()
    until(lambda: logos.row(run_id).attempt == 2, "the run is taken over")
    logos.restart()

    run = logos.ended(run_id)
    story = assert_sound(run)
    assert run.status == "completed"
    assert "done-it" in run.reply.text
    assert lines_in(logos, "twice") == ["x"]
    assert run.attempt == 3
    assert kinds_of(story).count("tool.started") == 1


def test_killed_with_six_runs_at_once_every_one_goes_on(logos: House) -> None:
    texts = [f"run: echo x >> six-{number}; sleep 1.5; echo I am {number}" for number in range(6)]
    ids = [logos.send(text)["id"] for text in texts]
    for run_id in ids:
        logos.until_event(run_id, "tool.started")

    logos.restart()

    for number, run_id in enumerate(ids):
        run = logos.ended(run_id)
        assert_sound(run)
        assert run.status == "completed"
        assert f"I am {number}" in run.reply.text
        assert lines_in(logos, f"six-{number}") == ["x"]


def test_stop_asked_while_logos_is_down_is_obeyed_by_the_next(logos: House) -> None:
    run_id = logos.send("run: sleep 2345")["id"]
    logos.until_event(run_id, "tool.started")
    keepers = keepers_of(logos.home)
    logos.kill9()
    dispatch.cancel(logos.admin, logos.row(run_id))

    logos.start()

    run = logos.ended(run_id)
    assert_sound(run)
    assert run.status == "cancelled"
    until(lambda: not logos.inside("sleep 2345"), "the tool is gone", 60.0)
    assert keepers_of(logos.home) == keepers, "the runtime obeyed; its sandbox need not end"


def test_ended_in_good_order_the_next_serve_takes_over_at_once(logos: House) -> None:
    run_id = logos.send("run: echo x >> sigterm; sleep 1.5; echo done-it")["id"]
    logos.until_event(run_id, "tool.started")

    took_s = logos.terminate()
    logos.start()

    assert took_s < 60.0
    until(lambda: logos.row(run_id).attempt == 2, "the run is taken over", 60.0)
    run = logos.ended(run_id)
    assert_sound(run)
    assert run.status == "completed"
    assert lines_in(logos, "sigterm") == ["x"]


def test_the_keeper_is_killed_in_mid_run(logos: House) -> None:
    run_id = logos.send("words: 400\nslow: 10ms")["id"]
    logos.until_event(run_id, "text.delta")
    box = Sandbox.objects.get(agent_id=logos.agent_id)

    os.kill(box.driver_state["keeper"]["pid"], signal.SIGKILL)

    run = logos.ended(run_id)
    story = assert_sound(run)
    assert (run.status, run.error_code) in DISCONNECTED
    assert run.error_message
    assert run.error_action
    assert run.reply.text == text_of(story).strip()
    next_message_works(logos, run)


def test_the_agent_kills_its_own_runtime(logos: House) -> None:
    kill_all = "for p in os.listdir('/proc'): p.isdigit() and 1 < int(p) != os.getpid() and os.kill(int(p), 9)"
    run_id = logos.send(f"write: end.py = import os; exec({kill_all!r})\nthen run: python3 end.py")["id"]

    run = logos.ended(run_id)
    assert_sound(run)
    assert (run.status, run.error_code) in DISCONNECTED
    next_message_works(logos, run)


IMPOSTOR = """import os, signal, socket, time
if os.fork() == 0:
    os.setsid()
    while True:
        try: listener = socket.create_server(("127.0.0.1", 8642)); break
        except OSError: time.sleep(0.001)
    while True: listener.accept()[0].sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n{}")
time.sleep(0.2)
[os.kill(int(p), 9) for p in os.listdir("/proc") if p.isdigit() and int(p) > 1
 and b"launch.py" in open("/proc/" + p + "/cmdline", "rb").read()]
"""


def test_an_agent_that_kills_its_runtime_cannot_answer_in_its_place(logos: House) -> None:
    logos.ask(f"write: impostor.py = exec({IMPOSTOR!r})")

    run = logos.ended(logos.send("run: python3 impostor.py; sleep 5")["id"])

    assert_sound(run)
    assert (run.status, run.error_code) in DISCONNECTED
    next_message_works(logos, run)


def test_killed_at_random_moments_no_run_is_stuck_and_no_tool_runs_twice(logos: House) -> None:
    moments = random.Random(SEED)
    logos.ask("run: true")
    ends = []
    for number in range(KILLS):
        text = f"think: about it\nrun: echo x >> random-{number}; sleep 0.15\nthen run: echo y >> random-{number}\nslow: 4ms"
        run_id = logos.send(text)["id"]
        time.sleep(moments.uniform(0.0, 0.6))
        with contextlib.suppress(httpx.HTTPError):
            logos.kill9()
        logos.start()
        run = logos.ended(run_id)
        story = assert_sound(run)
        ends.append(run.status)
        lines = lines_in(logos, f"random-{number}")
        assert lines == ["x", "y"][: len(lines)], f"kill {number}: {lines}"
        if run.status == "completed":
            # A model call that was cut is asked for the rest, and the rehearsal model then has nothing to run.
            assert len(lines) == kinds_of(story).count("tool.started") == kinds_of(story).count("tool.completed")
            assert len(lines) == 2 or run.reply.text.endswith(CONTINUATION)
        else:
            assert run.status == "interrupted", f"kill {number}: {run.status} {run.error_code} {run.error_message}"
            assert run.error_message
    assert ends.count("completed") >= KILLS // 2, ends
    next_message_works(logos, run)
