"""Lanes are leased least recently used, drain before reuse, and never book a call to the wrong run."""

from __future__ import annotations

import pytest

from agents.errors import Conflict, LogosError
from sandboxes.inference.calls import RouteTarget
from sandboxes.inference.lanes import DRAIN_S, STAMPED_DRAIN_S, Lanes, Lease
from tests.sandboxes.inference.conftest import Story

TARGET = RouteTarget("route_1", "rehearsal", "rehearsal-1")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lanes(clock: Clock) -> Lanes:
    return Lanes(per_sandbox=3, now=clock)


def lease(lanes: Lanes, run_id: str = "run_1", lane: int | None = None, box: str = "box_1") -> Lease:
    return lanes.lease(box, run_id, TARGET, Story(), lane)


def test_lanes_are_handed_out_one_by_one_and_found_again(lanes: Lanes) -> None:
    held = [lease(lanes, f"run_{n}") for n in range(3)]

    assert [each.lane for each in held] == [1, 2, 3]
    assert [lanes.get("box_1", each.lane) for each in held] == held
    assert lanes.get("box_2", 1) is None
    assert lanes.get("box_1", 4) is None


def test_a_fourth_run_on_three_lanes_is_told_that_the_agent_is_busy(lanes: Lanes) -> None:
    for number in range(3):
        lease(lanes, f"run_{number}")

    with pytest.raises(LogosError, match="busy") as refused:
        lease(lanes, "run_4")
    assert (refused.value.reason, refused.value.permanent) == ("busy", False)
    assert lease(lanes, "run_4", box="box_2").lane == 1


def test_a_released_lane_drains_before_it_is_used_again(lanes: Lanes, clock: Clock) -> None:
    held = [lease(lanes, f"run_{n}") for n in range(3)]
    lanes.release(held[1])

    clock.now += DRAIN_S - 1
    assert lanes.get("box_1", 2) is held[1]
    assert held[1].is_draining
    with pytest.raises(LogosError):
        lease(lanes, "run_4")

    clock.now += 1
    assert lanes.get("box_1", 2) is None
    assert lease(lanes, "run_4").lane == 2


def test_the_lane_longest_at_rest_comes_first(lanes: Lanes, clock: Clock) -> None:
    held = [lease(lanes, f"run_{n}") for n in range(3)]
    for number in (2, 0, 1):
        clock.now += 1
        lanes.release(held[number])
    clock.now += DRAIN_S

    assert [lease(lanes, f"next_{n}").lane for n in range(3)] == [3, 1, 2]


def test_releasing_twice_does_not_lengthen_the_draining(lanes: Lanes, clock: Clock) -> None:
    held = lease(lanes)
    lanes.release(held)
    clock.now += DRAIN_S - 1
    lanes.release(held)
    clock.now += 1

    assert lanes.get("box_1", 1) is None


def test_a_run_gets_its_lane_back_after_a_restart(lanes: Lanes) -> None:
    assert lease(lanes, "run_1", lane=2).lane == 2
    assert [lease(lanes, f"run_{n}").lane for n in (2, 3)] == [1, 3]


def test_a_lane_is_not_given_back_to_another_run(lanes: Lanes) -> None:
    first = lease(lanes, "run_1", lane=2)

    with pytest.raises(Conflict):
        lease(lanes, "run_2", lane=2)
    again = lease(lanes, "run_1", lane=2)
    assert again is not first
    assert lanes.get("box_1", 2) is again
    with pytest.raises(LogosError):
        lease(lanes, "run_3", lane=4)


def test_a_call_still_open_keeps_its_lane_beyond_the_draining(lanes: Lanes, clock: Clock) -> None:
    held = lease(lanes)
    held.open_calls = 1
    lanes.release(held)
    clock.now += DRAIN_S * 2

    assert lanes.get("box_1", 1) is held


def test_when_all_lanes_drain_one_whose_stragglers_can_be_told_apart_is_used_early(lanes: Lanes, clock: Clock) -> None:
    held = [lease(lanes, f"run_{n}") for n in range(3)]
    held[0].calls, held[0].stamped_calls = 2, 1  # one call came without a stamp
    held[1].calls, held[1].stamped_calls, held[1].runtime_run_id = 2, 2, "run_old"
    held[2].calls, held[2].stamped_calls = 2, 2  # the runtime's id was never known
    for each in held:
        lanes.release(each)
    with pytest.raises(LogosError):
        lease(lanes, "run_4")

    clock.now += STAMPED_DRAIN_S
    fresh = lease(lanes, "run_4")

    assert fresh.lane == 2
    assert not fresh.accepts("run_old")
    assert fresh.accepts("run_new")
    assert fresh.accepts("")
    with pytest.raises(LogosError):
        lease(lanes, "run_5")


def test_a_sandbox_that_is_gone_holds_no_lane(lanes: Lanes) -> None:
    lease(lanes)
    lanes.forget("box_1")

    assert lanes.get("box_1", 1) is None


def test_the_key_does_not_show_in_a_lease() -> None:
    target = RouteTarget("r", "openai-compatible", "m", "http://x", "sk-very-secret")

    assert "sk-very-secret" not in repr(Lanes().lease("b", "r", target, Story()))


def test_a_run_is_known_by_the_name_it_gives_or_by_being_the_only_one(lanes: Lanes) -> None:
    assert lanes.run_named("box_1", "") == ""
    first = lease(lanes, "run_1")
    assert lanes.run_named("box_1", "") == lanes.run_named("box_1", "run_inside_1") == "run_1"

    first.runtime_run_id = "run_inside_1"
    second = lease(lanes, "run_2")
    second.runtime_run_id = "run_inside_2"

    names = ("run_inside_1", "run_inside_2", "run_inside_3", "")
    assert [lanes.run_named("box_1", name) for name in names] == ["run_1", "run_2", "", ""]
    assert lanes.run_named("box_2", "run_inside_1") == ""
    lanes.release(first)
    assert lanes.run_named("box_1", "run_inside_1") == ""
