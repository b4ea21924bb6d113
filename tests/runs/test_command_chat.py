"""`manage.py chat`: tells the run as it happens, and its exit code tells how it ended."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from agents.models import Agent, User
from runs import dispatch
from runs.models import Run, Status
from tests import shell
from tests.api_client import end, record

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def engine(carry_out: Callable[[Run], None]) -> Iterator[None]:
    """Somebody who carries out the next run as ``carry_out`` says, in a thread as an engine would in a process."""

    def work() -> None:
        try:
            deadline = time.monotonic() + 180
            while (run := Run.objects.select_related("conversation").first()) is None:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            carry_out(run)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join(240)
    assert not thread.is_alive()


def answer(run: Run) -> None:
    record(
        run,
        ("sandbox.progress", {"sentence": "Preparing the sandbox"}),
        ("text.delta", {"text": "I will run it."}),
        ("tool.started", {"call_id": "c1", "tool": "terminal", "args": {"command": "echo hello"}}),
        ("tool.completed", {"call_id": "c1", "ok": True, "duration_ms": 31.0}),
        ("text.delta", {"text": "\n\nIt said \x1b[31mhello"}),
        ("text.delta", {"text": ".\n"}),
    )
    end(run, "It said hello.")


def test_the_reply_is_printed_and_the_steps_are_told_beside_it(ada: User, atlas: Agent) -> None:
    with engine(answer):
        ended = shell.run("chat", "atlas", "run: echo hello")

    assert ended.code == 0
    assert ended.out == "I will run it.\nIt said [31mhello.\n"
    assert ended.said == "· Preparing the sandbox\n→ terminal echo hello\n  terminal: ok, 31 ms\n"
    run = Run.objects.get()
    assert (run.actor, run.conversation.origin, run.message.text) == (ada, "cli", "run: echo hello")


def test_json_prints_the_run_with_its_events_and_nothing_else(ada: User, atlas: Agent) -> None:
    with engine(answer):
        ended = shell.run("chat", "atlas", "hi", "--json")

    shown = ended.json
    assert (shown["status"], shown["reply"], ended.said) == ("completed", "It said hello.", "")
    assert [event["seq"] for event in shown["events"]] == list(range(1, len(shown["events"]) + 1))
    assert shown["events"][-1]["kind"] == "run.completed"
    assert shown["stamp"]["agent_name"] == "atlas"


@pytest.mark.parametrize(
    ("outcome", "code", "said"),
    [
        ({"status": Status.FAILED, "code": "provider_auth", "message": "Key refused.", "action": "Replace it."}, 2, "Failed: Key refused. Replace it.\n"),
        ({"status": Status.CANCELLED, "by": "ada"}, 3, "Stopped.\n"),
        ({"status": Status.INTERRUPTED, "message": "Logos was restarted."}, 4, "Interrupted: Logos was restarted.\n"),
    ],
)  # fmt: skip
def test_the_exit_code_tells_the_outcome(ada: User, atlas: Agent, outcome: dict, code: int, said: str) -> None:
    with engine(lambda run: end(run, "half", **outcome) and None):
        ended = shell.run("chat", "atlas", "hi")

    assert (ended.code, ended.out, ended.said) == (code, "half\n", said)


def test_when_time_is_over_the_run_goes_on_and_is_named(ada: User, atlas: Agent) -> None:
    ended = shell.run("chat", "atlas", "hi", "--timeout-s", "0.1")

    run = Run.objects.get()
    assert ended.code == 5
    assert run.pk in ended.said
    assert (run.status, run.cancel_requested_at) == (Status.QUEUED, None)


def test_when_nobody_takes_the_run_up_the_way_forward_is_named(
    ada: User, atlas: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runs.management.commands.chat.PATIENCE_S", 0.0)

    ended = shell.run("chat", "atlas", "hi", "--timeout-s", "0.1")

    assert ended.said.count("Is Logos running? Start it with: ./logos up") == 1


def test_a_conversation_goes_on(ada: User, atlas: Agent) -> None:
    first = dispatch.start(ada, "one", agent=atlas).run
    end(first)
    Run.objects.filter(pk=first.pk).update(created_at=first.created_at)

    ended = shell.run("chat", "atlas", "two", "--conversation", first.conversation_id, "--timeout-s", "0", "--json")

    assert ended.json["conversation_id"] == first.conversation_id


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("atlas", ""), "an empty message cannot be sent"),
        (("nobody", "hi"), "Agent was not found."),
        (("atlas", "hi", "--user", "mallory"), "Agent was not found."),
        (("atlas", "hi", "--user", "viewer"), "Agent was not found."),
        (("atlas", "hi", "--user", "nobody"), "There is no active person called nobody."),
        (("atlas", "hi", "--conversation", "conv_nobody"), "Conversation was not found."),
        (("atlas", "a\x00b"), "NUL"),
    ],
)
def test_what_cannot_be_sent_is_one_sentence_and_no_run(
    ada: User, mallory: User, viewer: User, atlas: Agent, words: tuple[str, ...], sentence: str
) -> None:
    ended = shell.run("chat", *words)

    assert ended.code == 1
    assert sentence in ended.said
    assert ended.said.count("\n") == 1
    assert not Run.objects.exists()


def test_ctrl_c_stops_the_run_and_waits_for_its_end(ada: User, atlas: Agent) -> None:
    process = shell.start("chat", "atlas", "sleep")

    def carry_out(run: Run) -> None:
        record(run, ("text.delta", {"text": "Sleeping"}))
        deadline = time.monotonic() + 180
        while run.cancel_requested_at is None and time.monotonic() < deadline:
            time.sleep(0.01)
            run.refresh_from_db()
        assert run.cancelled_by_id == ada.pk
        end(run, "Sleeping", status=Status.CANCELLED, by="ada")

    with engine(carry_out):
        assert process.stdout is not None
        assert process.stdout.read(8) == "Sleeping"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=240)

    assert process.returncode == 3
    assert said.strip().splitlines() == ["Stopping the run.", "Stopped."]


def test_a_message_can_come_from_standard_input(ada: User, atlas: Agent) -> None:
    process = shell.start("chat", "atlas", "-", "--timeout-s", "0", "--json")

    out, _ = process.communicate("first line\nsecond line\n", timeout=240)

    assert json.loads(out)["text"] == "first line\nsecond line"
