"""/api/runs: what a run looks like at every stage, its events, stopping it, sending it again."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from agents.models import Agent, Role, User
from runs import dispatch, events
from runs.models import Run, Status
from runs.settling import Figures
from tests.api_client import Program, end, record


@pytest.fixture
def run(alice: User, atlas: Agent) -> Run:
    return dispatch.start(alice, "run: echo hello", agent=atlas).run


def test_a_finished_run_tells_what_it_used(alice: User, run: Run) -> None:
    end(run, "hello", figures=Figures(2, 1, 5210, 148, Decimal("0.00128700"), True))

    seen = Program(alice).get(f"runs/{run.pk}")

    assert (seen["status"], seen["text"], seen["reply"], seen["error"]) == (
        "completed",
        "run: echo hello",
        "hello",
        None,
    )
    assert seen["usage"] == {"model_calls": 2, "tool_calls": 1, "input_tokens": 5210, "output_tokens": 148}
    assert (seen["cost"], seen["cost_is_partial"]) == ("0.00128700", True)
    assert seen["duration_ms"] >= 0
    assert seen["fingerprint"] == run.fingerprint
    assert seen["stamp"]["agent_name"] == "atlas"


def test_a_cost_of_nothing_is_written_out_and_events_keep_their_microseconds(alice: User, run: Run) -> None:
    end(run, figures=Figures(1, 0, 10, 1, Decimal(0)))
    program = Program(alice)

    assert program.get(f"runs/{run.pk}")["cost"] == "0.00000000"
    shown = program.get(f"runs/{run.pk}/events")["items"]
    assert [event["at"] for event in shown] == [event.at.isoformat() for event in events.replay(run.pk)]


def test_an_unknown_cost_is_null_not_zero(alice: User, run: Run) -> None:
    assert Program(alice).get(f"runs/{run.pk}")["cost"] is None


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        ({"status": Status.CANCELLED, "by": "alice"}, None),
        (
            {"status": Status.FAILED, "code": "provider_auth"},
            {
                "code": "provider_auth",
                "message": "The model provider refused the key.",
                "action": "Replace the provider's key in the console.",
            },
        ),
        (
            {"status": Status.FAILED, "code": "provider_timeout", "message": "Nothing for 90 s.", "action": "Wait."},
            {"code": "provider_timeout", "message": "Nothing for 90 s.", "action": "Wait."},
        ),
    ],
)
def test_a_run_that_went_badly_says_why_and_what_to_do(
    alice: User, run: Run, outcome: dict, error: dict | None
) -> None:
    end(run, **outcome)

    seen = Program(alice).get(f"runs/{run.pk}")

    assert (seen["status"], seen["error"]) == (outcome["status"], error)


def test_an_interrupted_run_keeps_what_was_said_and_names_the_reason(alice: User, run: Run) -> None:
    end(run, "half an ans", status=Status.INTERRUPTED, message="Logos was restarted.", action="Send it again.")

    seen = Program(alice).get(f"runs/{run.pk}")

    assert seen["reply"] == "half an ans"
    assert seen["error"]["message"] == "Logos was restarted."
    assert seen["error"]["code"]


def test_events_come_in_pages_without_gap_or_double(alice: User, run: Run) -> None:
    record(run, *[("text.delta", {"text": f"{n} "}) for n in range(5)])
    program, seen, after = Program(alice), [], 0
    while after is not None:
        answer = program.get(f"runs/{run.pk}/events?after={after}&limit=2")
        assert answer["ended"] is False
        seen += [(event["seq"], event["kind"]) for event in answer["items"]]
        after = answer["next"]

    assert seen == [(1, "run.queued"), *[(n, "text.delta") for n in range(2, 7)]]


def test_the_last_page_of_a_finished_run_says_that_it_has_ended(alice: User, run: Run) -> None:
    end(run, "hello")
    program = Program(alice)

    assert program.get(f"runs/{run.pk}/events?limit=1")["ended"] is False
    last = program.get(f"runs/{run.pk}/events?after=1")
    assert (last["ended"], last["next"], [e["kind"] for e in last["items"]]) == (True, None, ["run.completed"])
    assert program.get(f"runs/{run.pk}/events?after=99")["items"] == []


@pytest.mark.parametrize("query", ["after=-1", "after=x", "after=99999999999", "limit=0", "limit=1001"])
def test_a_page_of_events_that_cannot_be_is_refused(alice: User, run: Run, query: str) -> None:
    Program(alice).get(f"runs/{run.pk}/events?{query}", 422)


def test_reading_events_costs_the_same_however_many(alice: User, run: Run, django_assert_num_queries: Callable) -> None:
    record(run, *[("text.delta", {"text": "x"}) for _ in range(50)])
    program = Program(alice)
    program.get("me")

    with django_assert_num_queries(5):
        assert len(program.get(f"runs/{run.pk}/events")["items"]) == 51


def test_stopping_is_asked_once_and_refused_after_the_end(alice: User, run: Run) -> None:
    program = Program(alice)

    assert program.post(f"runs/{run.pk}/cancel", status=202)["status"] == "queued"
    program.post(f"runs/{run.pk}/cancel", status=202)
    run.refresh_from_db()
    assert run.cancelled_by == alice
    assert run.cancel_requested_at is not None

    end(run, status=Status.CANCELLED)
    assert program.post(f"runs/{run.pk}/cancel", status=409)["error"]["reason"] == "already_finished"


def test_a_clone_is_the_same_message_in_a_new_conversation(alice: User, run: Run) -> None:
    copy = Program(alice).post(f"runs/{run.pk}/clone", status=202)["run"]

    assert copy["text"] == "run: echo hello"
    assert copy["conversation_id"] != run.conversation_id


def test_somebody_elses_run_is_not_there(bob: User, mallory: User, viewer: User, run: Run) -> None:
    for other in (bob, mallory, viewer):
        program = Program(other)
        assert program.get("runs")["items"] == []
        assert program.get(f"runs?conversation={run.conversation_id}")["items"] == []
        program.get(f"runs/{run.pk}", 404)
        program.get(f"runs/{run.pk}/events", 404)
        program.post(f"runs/{run.pk}/cancel", status=404)
        program.post(f"runs/{run.pk}/clone", status=404)
    run.refresh_from_db()
    assert run.cancel_requested_at is None


def test_an_operator_who_owns_the_agent_reads_what_others_did_with_it_but_does_not_stop_it(
    alice: User, bob: User, atlas: Agent
) -> None:
    theirs = dispatch.start(bob, "bob's words", agent=atlas).run
    User.objects.filter(pk=alice.pk).update(role=Role.OPERATOR)

    program = Program(User.objects.get(pk=alice.pk))

    assert program.get(f"runs/{theirs.pk}")["text"] == "bob's words"
    program.post(f"runs/{theirs.pk}/cancel", status=404)


def test_filters_narrow_the_list(alice: User, atlas: Agent, run: Run) -> None:
    end(run)
    other = dispatch.start(alice, "two", agent=atlas).run
    program = Program(alice)

    def ids(query: str) -> list[str]:
        return [item["id"] for item in program.get(f"runs?{query}")["items"]]

    assert ids("") == [other.pk, run.pk]
    assert ids("status=completed") == [run.pk]
    assert ids(f"conversation={other.conversation_id}") == [other.pk]
    assert ids(f"agent={atlas.pk}&limit=1") == [other.pk]
    assert ids("agent=agent_nobody") == []
    program.get("runs?status=exploded", 422)


@pytest.mark.parametrize("path", ["runs", "conversations"])
def test_a_list_costs_two_queries_however_long(
    alice: User, atlas: Agent, path: str, django_assert_num_queries: Callable
) -> None:
    for n in range(5):
        end(dispatch.start(alice, f"message {n}", agent=atlas).run, "Reply.")
    program = Program(alice)
    program.get("me")

    with django_assert_num_queries(2):
        assert len(program.get(path)["items"]) == 5


def test_messages_cost_three_queries_however_many(
    alice: User, atlas: Agent, django_assert_num_queries: Callable
) -> None:
    talk = dispatch.start(alice, "first", agent=atlas).run
    end(talk, "Reply.")
    for n in range(4):
        end(dispatch.start(alice, f"message {n}", conversation=talk.conversation).run, "Reply.")
    program = Program(alice)
    program.get("me")

    with django_assert_num_queries(3):
        assert len(program.get(f"conversations/{talk.conversation_id}/messages")["items"]) == 10


def test_the_stored_chain_is_what_the_api_shows(alice: User, run: Run) -> None:
    end(run, "hello")
    shown = Program(alice).get(f"runs/{run.pk}/events")["items"]

    assert events.verify(run) == ""
    assert [event["seq"] for event in shown] == list(range(1, events.last_seq(run.pk) + 1))
