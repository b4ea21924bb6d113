"""What is done with a sandbox, by what is known of it: the whole table."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sandboxes.models import Desired, State
from sandboxes.next_step import LONGEST_PAUSE, MAX_ATTEMPTS, STEADY, Facts, Step, next_step, pause_after

HALF_HOUR = timedelta(minutes=30)
LONG = timedelta(hours=2)
RUN, STAY = Desired.RUNNING, Desired.STOPPED


@pytest.mark.parametrize(
    ("state", "desired", "more", "step"),
    [
        # somebody is at it
        (State.STARTING, RUN, {"is_claimed": True, "is_held": True}, Step.NOTHING),
        (State.RUNNING, STAY, {"is_claimed": True, "is_held": True}, Step.NOTHING),
        # somebody was at it and died
        (State.STARTING, RUN, {"is_claimed": True}, Step.RELEASE),
        (State.STARTING, RUN, {}, Step.RELEASE),
        (State.RUNNING, STAY, {"is_claimed": True}, Step.RELEASE),
        # it runs
        (State.RUNNING, RUN, {}, Step.NOTHING),
        (State.RUNNING, RUN, {"is_alive": False}, Step.LOST),
        (State.RUNNING, RUN, {"is_alive": False, "is_busy": True}, Step.LOST),
        (State.RUNNING, STAY, {}, Step.STOP),
        (State.RUNNING, RUN, {"is_retired": True}, Step.STOP),
        (State.RUNNING, RUN, {"is_retired": True, "is_busy": True}, Step.NOTHING),
        (State.RUNNING, RUN, {"unused_for": HALF_HOUR}, Step.IDLE),
        (State.RUNNING, RUN, {"unused_for": HALF_HOUR - timedelta(seconds=1)}, Step.NOTHING),
        (State.RUNNING, RUN, {"unused_for": LONG, "is_busy": True}, Step.NOTHING),
        (State.RUNNING, RUN, {"unused_for": LONG, "keep_running": True}, Step.NOTHING),
        (State.RUNNING, RUN, {"is_drifted": True}, Step.RENEW),
        (State.RUNNING, RUN, {"is_silent": True}, Step.REVIVE),
        (State.RUNNING, RUN, {"is_silent": True, "is_busy": True}, Step.NOTHING),
        (State.RUNNING, RUN, {"is_drifted": True, "is_busy": True}, Step.NOTHING),
        (State.RUNNING, RUN, {"is_drifted": True, "unused_for": LONG}, Step.IDLE),
        (State.RUNNING, RUN, {"attempts": 2, "ran_for": STEADY}, Step.STEADY),
        (State.RUNNING, RUN, {"attempts": 2, "ran_for": STEADY / 2}, Step.NOTHING),
        # it does not run
        (State.STOPPED, STAY, {}, Step.NOTHING),
        (State.FAILED, STAY, {}, Step.NOTHING),
        (State.STOPPED, STAY, {"keep_running": True}, Step.NOTHING),
        (State.STOPPED, RUN, {}, Step.START),
        (State.FAILED, RUN, {}, Step.START),
        (State.FAILED, RUN, {"is_due": False}, Step.NOTHING),
        (State.STOPPED, RUN, {"is_retired": True}, Step.NOTHING),
        (State.STOPPED, RUN, {"unused_for": LONG}, Step.REST),
        (State.STOPPED, RUN, {"unused_for": LONG, "keep_running": True}, Step.START),
        (State.FAILED, RUN, {"attempts": MAX_ATTEMPTS}, Step.GIVE_UP),
        (State.FAILED, RUN, {"attempts": MAX_ATTEMPTS, "keep_running": True}, Step.START),
    ],
)
def test_each_situation_has_one_step(state: str, desired: str, more: dict[str, Any], step: Step) -> None:
    assert next_step(Facts(state=state, desired=desired, **more), HALF_HOUR) == step


@pytest.mark.parametrize("state", [State.RUNNING, State.STOPPED])
def test_without_a_limit_nothing_is_ever_idle(state: str) -> None:
    step = next_step(Facts(state=state, desired=RUN, unused_for=timedelta(days=365)), None)

    assert step == (Step.NOTHING if state == State.RUNNING else Step.START)


def test_pauses_grow_and_end_growing() -> None:
    pauses = [pause_after(attempts) for attempts in range(40)]

    assert pauses == sorted(pauses)
    assert pauses[0] >= timedelta(seconds=10)
    assert pauses[-1] == LONGEST_PAUSE
