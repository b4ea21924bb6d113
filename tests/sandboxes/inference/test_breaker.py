"""A provider that fails in a row is left alone, tried with one call, and welcome back at its first answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agents.errors import Code
from sandboxes.inference import breaker
from sandboxes.inference.breaker import FAILURES_IN_A_ROW, FIRST_PAUSE_S, LONGEST_PAUSE_S, TRIAL_S, Breaker
from sandboxes.inference.calls import RouteTarget
from sandboxes.inference.failures import TIMED_OUT, UNREACHABLE, Failure
from tests.sandboxes.inference.conftest import House

LAB = RouteTarget("route_1", "openai-compatible", "m", base_url="https://lab.example/v1")


class Clock:
    def __init__(self) -> None:
        self.time = 1_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


def failed(circuits: Breaker, times: int = FAILURES_IN_A_ROW, failure: Failure = UNREACHABLE) -> None:
    for _ in range(times):
        circuits.note(LAB, failure)


def test_a_few_failures_are_nothing(clock: Clock) -> None:
    circuits = Breaker(clock)
    failed(circuits, FAILURES_IN_A_ROW - 1)

    assert circuits.refusal(LAB) is None


def test_enough_of_them_in_a_row_close_the_way_and_say_for_how_long(clock: Clock) -> None:
    circuits = Breaker(clock)
    failed(circuits)
    refusal = circuits.refusal(LAB)

    assert refusal is not None
    assert refusal.sentence.endswith("it is tried again in 15 s.")
    assert (refusal.status, refusal.code) == (400, Code.PROVIDER_UNREACHABLE)
    assert circuits.failing() == {"https://lab.example/v1": FIRST_PAUSE_S}


def test_an_answer_in_between_begins_the_count_again(clock: Clock) -> None:
    circuits = Breaker(clock)
    failed(circuits, FAILURES_IN_A_ROW - 1)
    circuits.note(LAB, None)
    failed(circuits, FAILURES_IN_A_ROW - 1)

    assert circuits.refusal(LAB) is None


@pytest.mark.parametrize("code", [Code.PROVIDER_AUTH, Code.PROVIDER_BILLING, Code.PROVIDER_RATE_LIMIT, Code.UNKNOWN])
def test_what_is_not_the_providers_absence_does_not_count(clock: Clock, code: Code) -> None:
    circuits = Breaker(clock)
    failed(circuits, 3 * FAILURES_IN_A_ROW, replace(UNREACHABLE, code=code))

    assert circuits.refusal(LAB) is None


def test_after_the_pause_one_call_tries_and_the_others_wait(clock: Clock) -> None:
    circuits = Breaker(clock)
    failed(circuits, failure=TIMED_OUT)
    clock.time += FIRST_PAUSE_S

    assert circuits.refusal(LAB) is None
    assert circuits.refusal(LAB) is not None


def test_a_trial_that_goes_well_opens_the_way_for_all(clock: Clock) -> None:
    circuits = Breaker(clock)
    failed(circuits)
    clock.time += FIRST_PAUSE_S
    circuits.refusal(LAB)
    circuits.note(LAB, None)

    assert [circuits.refusal(LAB) for _ in range(3)] == [None] * 3
    assert circuits.failing() == {}


def test_a_trial_that_fails_doubles_the_pause_up_to_a_limit(clock: Clock) -> None:
    circuits = Breaker(clock)
    failed(circuits)
    pauses = []
    for _ in range(8):
        pauses.append(circuits.failing()["https://lab.example/v1"])
        clock.time += pauses[-1]
        assert circuits.refusal(LAB) is None
        circuits.note(LAB, UNREACHABLE)

    assert pauses == [15, 30, 60, 120, 240, 300, 300, LONGEST_PAUSE_S]


def test_a_trial_nobody_heard_of_again_is_followed_by_another(clock: Clock) -> None:
    circuits = Breaker(clock)
    failed(circuits)
    clock.time += FIRST_PAUSE_S
    circuits.refusal(LAB)
    clock.time += TRIAL_S

    assert circuits.refusal(LAB) is None


def test_a_trial_that_was_cancelled_lets_the_next_call_try(clock: Clock) -> None:
    circuits = Breaker(clock)
    failed(circuits)
    clock.time += FIRST_PAUSE_S
    circuits.refusal(LAB)
    circuits.note(LAB, replace(UNREACHABLE, code=Code.CANCELLED))

    assert circuits.refusal(LAB) is None


def test_one_provider_does_not_suffer_for_another(clock: Clock) -> None:
    circuits = Breaker(clock)
    failed(circuits)

    assert circuits.refusal(replace(LAB, base_url="https://other.example/v1")) is None


async def test_the_router_refuses_at_once_what_a_dead_provider_would_make_wait(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "FAILURES_IN_A_ROW", 2)
    lease = house.lease("text", base_url="http://127.0.0.1:1/v1")
    for _ in range(2):
        await house.ask(lease)

    reply = await house.ask(lease)

    assert reply.status == 400
    assert "left alone for a moment" in reply.error["message"]
    assert [record.error_code for record in house.story.records] == ["provider_unreachable"] * 3
    assert house.story.records[-1].duration_ms == 0
    assert (await house.ask(house.lease("text"))).status == 200, "the provider that works is not concerned"
