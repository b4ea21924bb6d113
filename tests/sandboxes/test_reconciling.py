"""Sandboxes become what they should be, whoever died meanwhile, and nothing of another installation is touched."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.utils import timezone
from django_q.models import Schedule

from agents import retiring
from agents.models import Agent, User
from runs import dispatch
from runs.models import Run, Status
from sandboxes import activity, drivers, lifecycle, reconciling, records, tasks
from sandboxes.claimants import is_dead, process_name
from sandboxes.driver import SandboxSpec
from sandboxes.models import Desired, Sandbox, State
from sandboxes.next_step import MAX_ATTEMPTS
from tests.fakes import FakeDriver

pytestmark = pytest.mark.django_db(transaction=True)
DEAD = f"{process_name().split(':')[0]}:{os.getpid()}:1.nobody"


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDriver]:
    fake = FakeDriver()
    monkeypatch.setattr(drivers, "_made", {})
    monkeypatch.setattr(drivers, "FACTORIES", {"fake": lambda: fake})
    yield fake
    for root in [spec.root for spec in fake.started]:
        if found := async_to_sync(fake.find)(root):
            async_to_sync(fake.stop)(found.state)


@pytest.fixture(autouse=True)
def composed_as_started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Agents named in the list are composed otherwise than their sandbox."""
    drifted: list[str] = []

    async def needs_new_start(agent_id: str, db: Any) -> bool:
        return agent_id in drifted

    monkeypatch.setattr(lifecycle, "needs_new_start", needs_new_start)
    return drifted


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The agents whose sandbox is asked to be started again."""
    asked: list[str] = []
    monkeypatch.setattr(reconciling, "async_task", lambda name, agent_id, **rest: asked.append(agent_id))
    return asked


def box_of(agent: Agent, driver: FakeDriver, **fields: Any) -> Sandbox:
    """The agent's sandbox; it runs unless another state is given."""
    now = timezone.now()
    box = Sandbox(agent=agent, number=1, driver="fake", desired=Desired.RUNNING, used_at=now, started_at=now, starts=1)
    state = fields.setdefault("state", State.RUNNING)
    if state == State.RUNNING:
        box.driver_state = dict(async_to_sync(driver.start)(SandboxSpec("box", lifecycle.root_of(box.pk))).state)
    for name, value in fields.items():
        setattr(box, name, value)
    box.save()
    return box


def is_alive(driver: FakeDriver, box: Sandbox) -> bool:
    return async_to_sync(driver.poll)(box.driver_state) is None


def test_what_runs_and_should_is_left_alone(atlas: Agent, driver: FakeDriver, started: list[str]) -> None:
    box = box_of(atlas, driver)

    assert tasks.reconcile() == ""

    assert is_alive(driver, box)
    assert started == []


def test_what_ended_by_itself_is_noted_and_started_again(atlas: Agent, driver: FakeDriver, started: list[str]) -> None:
    box = box_of(atlas, driver)
    driver.kill(box.driver_state)

    assert tasks.reconcile() == "lost: 1"
    box.refresh_from_db()
    assert (box.state, box.reason, box.crashes) == (State.STOPPED, "The sandbox ended by itself.", 1)
    assert tasks.reconcile() == "start: 1"
    assert tasks.reconcile() == "", "the next attempt is not due yet"

    box.refresh_from_db()
    assert started == [atlas.pk]
    assert box.attempts == 1


def test_after_a_start_of_the_machine_everything_is_known_stopped_and_comes_back(
    atlas: Agent, driver: FakeDriver, started: list[str]
) -> None:
    box = box_of(atlas, driver, boot_id="the boot before")
    driver.kill(box.driver_state)

    assert reconciling.note_boot() == 1
    assert tasks.reconcile() == "start: 1"

    box.refresh_from_db()
    assert box.reason == "The machine was started anew."
    assert box.crashes == 0
    assert started == [atlas.pk]


def test_what_nobody_uses_is_stopped_and_stays_so(atlas: Agent, driver: FakeDriver, started: list[str]) -> None:
    long_ago = timezone.now() - timedelta(minutes=31)
    box = box_of(atlas, driver, used_at=long_ago, started_at=long_ago)

    assert tasks.reconcile() == "idle: 1"
    assert tasks.reconcile() == ""

    box.refresh_from_db()
    assert (box.state, box.desired) == (State.STOPPED, Desired.STOPPED)
    assert box.reason == "Stopped after 30 minutes without use."
    assert not is_alive(driver, box)
    assert started == []


@pytest.mark.parametrize("how", ["kept running", "never idle", "a run goes on", "a run just ended"])
def test_what_is_used_or_kept_is_not_stopped(
    how: str, alice: User, atlas: Agent, driver: FakeDriver, started: list[str], settings: Any
) -> None:
    long_ago = timezone.now() - timedelta(hours=5)
    box = box_of(atlas, driver, used_at=long_ago, started_at=long_ago, keep_running=how == "kept running")
    if how == "never idle":
        settings.LOGOS_IDLE_STOP_MINUTES = 0
    if how.startswith("a run"):
        dispatch.start(alice, "Hello", agent=atlas)
        Run.objects.update(created_at=long_ago)
    if how == "a run just ended":
        Run.objects.update(status=Status.COMPLETED, finished_at=timezone.now() - timedelta(minutes=1))

    assert tasks.reconcile() == ""

    assert is_alive(driver, box)


def test_a_message_between_the_look_and_the_stop_wins(
    atlas: Agent, driver: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_ago = timezone.now() - timedelta(hours=5)
    box = box_of(atlas, driver, used_at=long_ago, started_at=long_ago)

    def a_run_begins(agent_ids: Any, since: Any) -> dict[str, activity.Use]:
        assert records.touch(box.pk)
        return {}

    monkeypatch.setattr(activity, "WITNESSES", [a_run_begins])

    assert tasks.reconcile() == ""

    assert is_alive(driver, box)


def test_what_is_being_stopped_is_not_handed_to_a_run(atlas: Agent, driver: FakeDriver) -> None:
    box = box_of(atlas, driver)
    records.claim(box.pk)

    assert not records.touch(box.pk)
    assert records.wanted(atlas.pk).is_claimed


def test_a_composition_that_changed_is_brought_in_while_nothing_goes_on(
    alice: User, atlas: Agent, driver: FakeDriver, started: list[str], composed_as_started: list[str]
) -> None:
    box = box_of(atlas, driver)
    composed_as_started.append(atlas.pk)
    dispatch.start(alice, "Hello", agent=atlas)

    assert tasks.reconcile() == ""
    Run.objects.update(status=Status.COMPLETED, finished_at=timezone.now())
    assert tasks.reconcile() == "renew: 1"

    box.refresh_from_db()
    assert (box.state, box.desired) == (State.STOPPED, Desired.RUNNING)
    assert started == [atlas.pk]


def test_a_start_whose_process_died_is_no_start(atlas: Agent, driver: FakeDriver, started: list[str]) -> None:
    until = timezone.now() + timedelta(seconds=80)
    box = box_of(atlas, driver, state=State.STARTING, claimed_by=DEAD, claimed_until=until)

    assert tasks.reconcile() == "release: 1"
    box.refresh_from_db()
    assert (box.state, box.reason, box.claimed_until) == (State.STOPPED, "Its start was interrupted.", None)
    assert tasks.reconcile() == "start: 1"
    assert started == [atlas.pk]


def test_a_start_whose_process_lives_is_left_to_it(atlas: Agent, driver: FakeDriver, started: list[str]) -> None:
    until = timezone.now() + timedelta(seconds=80)
    box_of(atlas, driver, state=State.STARTING, claimed_by=process_name(), claimed_until=until)

    assert tasks.reconcile() == ""


def test_a_stop_whose_process_died_is_done_by_the_next(atlas: Agent, driver: FakeDriver) -> None:
    until = timezone.now() + timedelta(seconds=80)
    box = box_of(atlas, driver, desired=Desired.STOPPED, claimed_by=DEAD, claimed_until=until)

    assert [tasks.reconcile(), tasks.reconcile(), tasks.reconcile()] == ["release: 1", "stop: 1", ""]

    assert not is_alive(driver, box)


def test_an_archived_agents_sandbox_is_stopped(alice: User, atlas: Agent, driver: FakeDriver) -> None:
    box = box_of(atlas, driver)
    retiring.archive(alice, atlas.pk)

    assert tasks.reconcile() == "stop: 1"

    assert not is_alive(driver, box)


def test_attempts_end_and_the_reason_stays(atlas: Agent, driver: FakeDriver, started: list[str]) -> None:
    box = box_of(atlas, driver, state=State.FAILED, reason="The disk is full.", attempts=MAX_ATTEMPTS)

    assert tasks.reconcile() == "give up: 1"
    assert tasks.reconcile() == ""

    box.refresh_from_db()
    assert box.reason.startswith("The disk is full. Logos tried 6 times")
    assert box.desired == Desired.STOPPED
    assert started == []


def test_somebodys_stop_is_not_undone_by_a_start_that_was_asked_before(atlas: Agent, driver: FakeDriver) -> None:
    box = box_of(atlas, driver, state=State.STOPPED, desired=Desired.STOPPED)

    said = tasks.start_again(atlas.pk)

    box.refresh_from_db()
    assert said
    assert (box.state, box.desired, box.starts) == (State.STOPPED, Desired.STOPPED, 1)


def test_a_late_answer_does_not_end_what_somebody_started_meanwhile(
    atlas: Agent, driver: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by killing at random on a busy machine: the start that was asked for before ended the run in it."""
    box = box_of(atlas, driver)
    monkeypatch.setattr(lifecycle, "_composed", lambda wanted: (None, None, "digest"))
    monkeypatch.setattr(lifecycle, "_write_files", lambda *rest: None)

    async def is_silent(wanted: Any) -> bool:
        return False

    monkeypatch.setattr(lifecycle, "answers", is_silent)

    assert tasks.start_again(atlas.pk) == box.pk

    assert is_alive(driver, box)


def test_stopping_by_hand_lasts(atlas: Agent, driver: FakeDriver, started: list[str]) -> None:
    box = box_of(atlas, driver, keep_running=True)

    tasks.stop(atlas.pk)

    assert tasks.reconcile() == ""
    assert started == []
    box.refresh_from_db()
    assert box.desired == Desired.STOPPED


def test_two_at_once_do_everything_once(atlas: Agent, driver: FakeDriver, started: list[str]) -> None:
    box_of(atlas, driver, state=State.STOPPED)
    barrier = threading.Barrier(4)
    said: list[str] = []

    def one() -> None:
        try:
            barrier.wait(120)
            said.append(reconciling.reconcile())
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(said) == ["", "", "", "start: 1"]
    assert started == [atlas.pk]


# orphans


def orphan(driver: FakeDriver, root: Path) -> Any:
    return async_to_sync(driver.start)(SandboxSpec("orphan", root)).state


def test_what_has_no_row_is_ended_but_not_in_its_first_minute(driver: FakeDriver, settings: Any) -> None:
    state = orphan(driver, Path(settings.LOGOS_HOME) / "agents" / "box_nobody")
    driver.age_s = 5.0
    assert tasks.reconcile() == ""
    driver.age_s = 61.0

    assert tasks.reconcile() == "orphans ended: 1"

    assert async_to_sync(driver.poll)(state) is not None


def test_what_runs_although_its_row_says_stopped_is_ended(atlas: Agent, driver: FakeDriver) -> None:
    box = box_of(atlas, driver, state=State.STOPPED, desired=Desired.STOPPED)
    state = orphan(driver, lifecycle.root_of(box.pk))

    assert tasks.reconcile() == "orphans ended: 1"

    assert async_to_sync(driver.poll)(state) is not None
    box.refresh_from_db()
    assert box.claimed_until is None


def test_what_somebody_is_starting_is_no_orphan(atlas: Agent, driver: FakeDriver) -> None:
    until = timezone.now() + timedelta(seconds=80)
    box = box_of(atlas, driver, state=State.STARTING, claimed_by=process_name(), claimed_until=until)
    state = orphan(driver, lifecycle.root_of(box.pk))

    assert tasks.reconcile() == ""

    assert async_to_sync(driver.poll)(state) is None


def test_another_installations_sandboxes_are_not_touched(driver: FakeDriver, tmp_path: Path) -> None:
    state = orphan(driver, tmp_path / "other" / "agents" / "box_theirs")

    assert tasks.reconcile() == ""

    assert async_to_sync(driver.poll)(state) is None


# the rest


def test_it_is_asked_for_every_minute() -> None:
    schedule = Schedule.objects.get(func="sandboxes.tasks.reconcile")

    assert (schedule.schedule_type, schedule.minutes, schedule.repeats) == (Schedule.MINUTES, 1, -1)


def test_a_sandbox_that_ended_is_tended_by_its_own_task(atlas: Agent, driver: FakeDriver, started: list[str]) -> None:
    box = box_of(atlas, driver)
    driver.kill(box.driver_state)
    records.lost(box.pk, box.driver_state)

    tasks.tend_later(atlas.pk)  # in tests at once

    assert started == [atlas.pk]


def test_a_process_of_another_start_of_the_machine_is_dead() -> None:
    host, pid, began = process_name().rsplit(":", 2)

    assert not is_dead(process_name())
    assert is_dead(f"{host}:{pid}:{began.split('.')[0]}.0badb007")
