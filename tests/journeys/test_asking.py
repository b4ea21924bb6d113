"""What the real runtime asks, and what becomes of it: reasons, rules, two questions of one turn, time, and who waits."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from runs.models import Approval, ApprovalRule
from tests.journeys.house import House, until
from tests.journeys.sound import assert_sound, kinds_of

pytestmark = pytest.mark.runtime


def waiting(logos: House, run_id: str) -> dict[str, Any]:
    """What the run asks now."""
    found = until(lambda: logos.api("GET", f"/approvals?run_id={run_id}")["items"], "it asks")
    assert len(found) == 1, "one question at a time"
    return dict(found[0])


def decide(logos: House, question: dict[str, Any], choice: str, **more: Any) -> None:
    body = {"choice": choice, "subject_hash": question["subject_hash"], **more}
    logos.api("POST", f"/approvals/{question['id']}", json=body)


def test_a_person_who_says_no_says_why_and_the_agent_reads_it(logos: House) -> None:
    logos.ask("run: mkdir -p dear")
    run_id = logos.send("run: rm -rf dear")["id"]

    decide(logos, waiting(logos, run_id), "deny", note="Use the\ntrash instead.")

    run = logos.ended(run_id)
    assert_sound(run)
    assert 'Reason given by the user: "Use the trash instead."' in run.reply.text.replace('\\"', '"')
    assert "dear" in logos.ask("run: ls").reply.text


def test_two_questions_of_one_turn_are_decided_one_by_one(logos: House) -> None:
    logos.ask("run: mkdir -p box-a17 box-b29")
    run_id = logos.send("run: rm -rf box-a17\nrun: rm -rf box-b29")["id"]
    first = waiting(logos, run_id)
    decide(logos, first, "once")
    second = until(
        lambda: next(
            (each for each in logos.api("GET", f"/approvals?run_id={run_id}")["items"] if each["id"] != first["id"]),
            None,
        ),
        "the second question",
    )
    assert {first["text"], second["text"]} == {"rm -rf box-a17", "rm -rf box-b29"}
    decide(logos, second, "deny")

    run = logos.ended(run_id)
    story = assert_sound(run)
    assert kinds_of(story).count("approval.requested") == kinds_of(story).count("approval.decided") == 2
    left = logos.ask("run: ls").reply.text
    assert [name in left for name in ("box-a17", "box-b29")] == [
        name in second["text"] for name in ("box-a17", "box-b29")
    ]


def test_allowed_for_this_run_the_same_command_is_not_asked_again(logos: House) -> None:
    run_id = logos.send("run: rm -rf again\nthen run: rm -rf again\nthen run: rm -rf other")["id"]
    decide(logos, waiting(logos, run_id), "run")
    other = until(
        lambda: next(
            (each for each in logos.api("GET", f"/approvals?run_id={run_id}")["items"] if "other" in each["text"]), None
        ),
        "another command is asked",
    )

    decide(logos, other, "once")

    run = logos.ended(run_id)
    story = assert_sound(run)
    decided = [event.data for event in story if event.kind == "approval.decided"]
    assert [each["choice"] for each in decided] == ["run", "rule", "once"]
    assert decided[1]["via"] == "rule"
    assert ApprovalRule.objects.get(run=run).expires_at <= timezone.now(), "it ends with the run"


def test_what_nobody_decides_in_time_is_denied_and_the_agent_goes_on(logos: House) -> None:
    logos.ask("run: mkdir -p kept")
    run_id = logos.send("run: rm -rf kept")["id"]
    question = waiting(logos, run_id)

    Approval.objects.filter(pk=question["id"]).update(expires_at=timezone.now() - timedelta(seconds=1))

    run = logos.ended(run_id)
    story = assert_sound(run)
    assert run.status == "completed"
    assert [event.data["choice"] for event in story if event.kind == "approval.decided"] == ["expired"]
    assert "Nobody decided in time" in run.reply.text
    assert logos.api("GET", f"/approvals/{question['id']}")["state"] == "expired"
    assert "kept" in logos.ask("run: ls").reply.text


def test_runs_that_wait_hold_no_thread_of_ours(logos: House) -> None:
    def threads() -> int:
        assert logos.process is not None
        return len(os.listdir(f"/proc/{logos.process.pid}/task"))

    runs = [logos.send("run: rm -rf nothing-0")["id"]]
    waiting(logos, runs[0])
    before = threads()

    runs += [logos.send(f"run: rm -rf nothing-{number}")["id"] for number in range(1, 5)]
    questions = [waiting(logos, run_id) for run_id in runs]

    until(lambda: threads() <= before + 1, "as many threads as with one run")
    until(lambda: {logos.row(run_id).status for run_id in runs} == {"waiting"}, "all of them wait")
    for question in questions:
        decide(logos, question, "deny")
    for run_id in runs:
        assert_sound(logos.ended(run_id))


def test_from_inside_the_sandbox_there_is_no_door_to_decide(logos: House) -> None:
    script = (
        "import urllib.request as u, urllib.error as e, os\n"
        "base = 'http://inference.logos.internal:8081'\n"
        "for path in ('/api/approvals', '/lane/1/api/approvals', '/lane/1/v1/../../api/approvals'):\n"
        "    try: print('OPEN', u.build_opener(u.ProxyHandler({})).open(base + path, timeout=20).status)\n"
        "    except e.HTTPError as error: print('refused', error.code)\n"
        "    except OSError as error: print('refused', type(error).__name__)\n"
    )
    logos.ask("write: knock.py = " + f"exec({script!r})")

    run = logos.ask("run: python3 knock.py")

    assert run.reply.text.count("refused") >= 3, run.reply.text
    assert "OPEN" not in run.reply.text
