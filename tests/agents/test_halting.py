"""Stopping everything, an agent, a person or a server: who may, what it forbids, and the steps back."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from django.test import TestCase

from agents import halt_files, halting, permissions
from agents.errors import Conflict, Invalid, LogosError, NotFound
from agents.halts import STEPS, Halted, Halts, Held, stages_after
from agents.models import Agent, Halt, Role, SecurityEvent, User
from tests.conftest import person

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_files() -> Iterator[None]:
    yield
    for filed in halt_files.read():
        halt_files.remove(filed.path)


# rules, as tables ----------------------------------------------------------------------------------
EVERYTHING, ATLAS, ALICE, BOX = (
    Held("h1", "everything"),
    Held("h2", "agent", "agent_a", "atlas"),
    Held("h3", "person", "7", "alice"),
    Held("h4", "server", "box", "box"),
)


@pytest.mark.parametrize(
    ("held", "agent_id", "person_id", "servers", "stops"),
    [
        (EVERYTHING, "", None, (), True),
        (EVERYTHING, "agent_a", 7, ("box",), True),
        (ATLAS, "agent_a", 1, (), True),
        (ATLAS, "agent_b", 1, (), False),
        (ATLAS, "", None, (), False),
        (ALICE, "agent_b", 7, (), True),
        (ALICE, "agent_b", 77, (), False),
        (ALICE, "agent_b", None, (), False),
        (BOX, "agent_b", 1, ("box", "other"), True),
        (BOX, "agent_b", 1, ("other",), False),
        (BOX, "agent_b", 1, (), False),
    ],
)
def test_a_halt_concerns_what_it_names_and_nothing_else(
    held: Held, agent_id: str, person_id: int | None, servers: tuple[str, ...], stops: bool
) -> None:
    assert bool(Halts((held,)).of_work(agent_id, person_id, servers)) == stops
    assert bool(Halts((held,)).of_decision(agent_id, person_id, servers)) == stops


@pytest.mark.parametrize(
    ("stage", "chosen", "works", "decides"),
    [
        ("stopped", (), False, False),
        ("stopped", ("agent_a",), False, False),
        ("deciding", (), False, True),
        ("chosen", ("agent_a",), True, True),
        ("chosen", ("agent_b",), False, True),
    ],
)
def test_each_step_gives_back_more(stage: str, chosen: tuple[str, ...], works: bool, decides: bool) -> None:
    halts = Halts((Held("h", "everything", stage=stage, chosen=frozenset(chosen)),))

    assert (halts.of_work("agent_a") is None, halts.of_decision("agent_a") is None) == (works, decides)


def test_the_steps_end_with_the_halt_and_never_go_back() -> None:
    for scope, steps in STEPS.items():
        assert (steps[0], steps[-1]) == ("stopped", "lifted")
        assert stages_after(scope, "lifted") == ()
        assert all(stages_after(scope, stage) == steps[place + 1 :] for place, stage in enumerate(steps))


def test_of_two_halts_each_counts(atlas: Agent) -> None:
    lifted_in_part = Held("h1", "everything", stage="chosen", chosen=frozenset({"agent_a"}))

    assert Halts((lifted_in_part, ATLAS)).of_work("agent_a") == ATLAS


# who may -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.ADMIN, {"everything", "agent", "person", "server"}),
        (Role.OPERATOR, {"everything", "server"}),
        (Role.USER, set()),
        (Role.VIEWER, set()),
    ],
)
def test_who_may_stop_what_of_others(atlas: Agent, alice: User, role: str, may: set[str]) -> None:
    somebody = person("somebody", role)
    subjects = {"everything": "", "agent": atlas.pk, "person": "alice", "server": "tools"}

    for scope, subject in subjects.items():
        if scope in may:
            halting.stop(somebody, scope, subject)
        else:
            with pytest.raises(LogosError, match=r"not found|Your role does not include"):
                halting.stop(somebody, scope, subject)

    assert set(Halt.objects.values_list("scope", flat=True)) == may


def test_whoever_manages_an_agent_stops_it_and_who_chats_with_it_does_not(atlas: Agent, alice: User, bob: User) -> None:
    with pytest.raises(NotFound):
        halting.stop(bob, "agent", atlas.pk)

    halt = halting.stop(alice, "agent", atlas.pk, "it behaves oddly")

    assert (halt.name, halt.by, halt.stage) == ("atlas", alice, "stopped")
    assert halting.is_halted(agent_id=atlas.pk)
    assert not halting.is_halted(agent_id="agent_other")
    with pytest.raises(Halted) as refused:
        halting.require_running(agent_id=atlas.pk)
    assert refused.value.reason == "halted"
    assert refused.value.message == "atlas is stopped: it behaves oddly."


@pytest.mark.parametrize(
    ("scope", "subject", "reason"),
    [
        ("the world", "", ""),
        ("server", "", ""),
        ("server", "a\nb", ""),
        ("server", "x" * 121, ""),
        ("everything", "", "x" * 301),
        ("everything", "", "two\nlines"),
    ],
)
def test_what_makes_no_sense_is_refused_and_stops_nothing(ada: User, scope: str, subject: str, reason: str) -> None:
    with pytest.raises(Invalid):
        halting.stop(ada, scope, subject, reason)

    assert not Halt.objects.exists()


@pytest.mark.parametrize("subject", ["nobody", "", "0", "²", "99999999999999999999999"])
def test_a_person_who_is_not_there_cannot_be_stopped(ada: User, subject: str) -> None:
    with pytest.raises(NotFound):
        halting.stop(ada, "person", subject)


# two at once, and back -----------------------------------------------------------------------------
def test_stopping_twice_is_one_halt_and_one_line_in_the_audit(ada: User) -> None:
    first = halting.stop(ada, "everything", reason="one")
    again = halting.stop(ada, "everything", reason="two")

    assert (again.pk, again.reason) == (first.pk, "one")
    assert SecurityEvent.objects.filter(kind="halted").count() == 1


def test_what_was_resumed_in_part_is_stopped_again(ada: User, atlas: Agent) -> None:
    halt = halting.stop(ada, "everything")
    halting.resume(ada, halt.pk, "chosen", [atlas.pk])
    assert not halting.is_halted(agent_id=atlas.pk)

    again = halting.stop(ada, "everything")

    assert (again.pk, again.stage, again.chosen) == (halt.pk, "stopped", [])
    assert halting.is_halted(agent_id=atlas.pk)
    assert SecurityEvent.objects.filter(kind="halted").count() == 2


def test_it_is_resumed_step_by_step_each_written_down(ada: User, atlas: Agent) -> None:
    halt = halting.stop(ada, "everything")
    with pytest.raises(Halted):
        halting.require_decisions(agent_id=atlas.pk)

    halting.resume(ada, halt.pk, "deciding")
    halting.require_decisions(agent_id=atlas.pk)
    with pytest.raises(Halted):
        halting.require_running(agent_id=atlas.pk)
    halting.resume(ada, halt.pk, "chosen", [atlas.pk])
    halting.require_running(agent_id=atlas.pk)
    with pytest.raises(Halted):
        halting.require_running(agent_id="agent_other")
    halting.resume(ada, halt.pk, "lifted")

    halting.require_running(agent_id="agent_other")
    noted = SecurityEvent.objects.filter(kind="resumed").order_by("id").values_list("detail", flat=True)
    assert [each["as_far_as"] for each in noted] == ["requests can be decided", "chosen agents work", "resumed"]


@pytest.mark.parametrize("stage", ["stopped", "deciding", "resumed", ""])
def test_there_is_no_way_back_and_no_step_twice(ada: User, stage: str) -> None:
    halt = halting.stop(ada, "everything")
    halting.resume(ada, halt.pk, "deciding")

    with pytest.raises(Invalid):
        halting.resume(ada, halt.pk, stage)


def test_chosen_needs_agents_that_are_there_and_seen(ada: User, atlas: Agent) -> None:
    halt = halting.stop(ada, "everything")

    with pytest.raises(Invalid):
        halting.resume(ada, halt.pk, "chosen")
    with pytest.raises(NotFound):
        halting.resume(ada, halt.pk, "chosen", [atlas.pk, "agent_nobody"])
    operator = person("otto", Role.OPERATOR)
    with pytest.raises(NotFound):
        halting.resume(operator, halt.pk, "chosen", [atlas.pk])
    halt.refresh_from_db()
    assert halt.stage == "stopped"


def test_of_two_who_resume_at_once_one_is_told(ada: User) -> None:
    halt = halting.stop(ada, "everything")
    found = halting.find(ada, halt.pk, to_end=True)
    halting.resume(ada, halt.pk, "lifted")

    with pytest.raises(Conflict):
        halting.resume(ada, found.pk, "lifted")
    assert SecurityEvent.objects.filter(kind="resumed").count() == 1


def test_the_own_person_of_a_halt_sees_it_and_cannot_lift_it(ada: User, alice: User, mallory: User) -> None:
    halt = halting.stop(ada, "person", "alice", "lost laptop")

    assert list(halting.seen_by(alice)) == [halt]
    assert list(halting.may_lift(alice)) == list(halting.seen_by(mallory)) == []
    with pytest.raises(NotFound):
        halting.resume(alice, halt.pk, "lifted")
    with pytest.raises(Halted):
        halting.require_running(agent_id="agent_x", person_id=alice.pk)
    halting.require_running(agent_id="agent_x", person_id=mallory.pk)


def test_somebody_who_lost_the_agent_cannot_resume_it(alice: User, bob: User, atlas: Agent) -> None:
    permissions.grant(bob, "manage", atlas)
    halt = halting.stop(bob, "agent", atlas.pk)
    permissions.revoke(bob, "manage", atlas)

    with pytest.raises(NotFound):
        halting.resume(bob, halt.pk, "lifted")
    assert halting.resume(alice, halt.pk, "lifted").lifted_by == alice


# files ---------------------------------------------------------------------------------------------
def test_a_file_stops_before_there_is_a_row_and_becomes_one(ada: User) -> None:
    path = halt_files.write(Held("halt_x", "everything", reason="now"), "ada")
    assert halting.is_halted(agent_id="agent_x")

    assert halting.take_up() == 1

    row = Halt.objects.get()
    assert (row.pk, row.scope, row.reason, row.by, path.exists()) == ("halt_x", "everything", "now", ada, False)
    assert halting.take_up() == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", json.dumps({"scope": "x"}).encode(), b"null"])
def test_a_file_nobody_can_read_stops_everything(db: None, content: bytes) -> None:
    halt_files.directory().mkdir(parents=True, exist_ok=True)
    (halt_files.directory() / "now").write_bytes(content)

    assert halting.is_halted(agent_id="agent_x")
    assert halting.take_up() == 1
    assert Halt.objects.get().scope == "everything"


def test_a_file_of_a_halt_that_was_resumed_stops_nothing(ada: User) -> None:
    held = Held("halt_y", "everything")
    halt_files.write(held, "ada")
    halting.take_up()
    halting.resume(ada, "halt_y", "lifted")

    halt_files.write(held, "ada")

    assert not halting.is_halted()
    assert halting.take_up() == 0
    assert halt_files.read() == []


def test_a_file_about_what_is_gone_is_dropped(db: None) -> None:
    halt_files.write(Held("halt_z", "agent", "agent_gone", "gone"), "")
    halt_files.write(Held("halt_w", "person", "someone", "someone"), "")

    halting.take_up()

    assert not Halt.objects.exists()
    assert halt_files.read() == []


# costs and news ------------------------------------------------------------------------------------
def test_asking_costs_one_small_query(db: None, django_assert_num_queries: object) -> None:
    with django_assert_num_queries(1):  # type: ignore[operator]
        halting.require_running(agent_id="agent_x", person_id=1)


def test_engines_of_this_process_hear_of_every_change(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    monkeypatch.setattr(halting, "wake", [lambda: heard.append("x")])

    with TestCase.captureOnCommitCallbacks(execute=True):
        halt = halting.stop(ada, "everything")
        halting.resume(ada, halt.pk, "lifted")

    assert len(heard) == 2
