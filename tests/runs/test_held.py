"""What a halt does to runs: new ones refused, queued ones kept, those that go on asked, and what confirmed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from agents import composition, halting
from agents.halts import Halted
from agents.models import Agent, Halt, HaltStop, Soul, User
from runs import approvals, dispatch, held, work
from runs.models import Approval, EngineBeat, Run, Status
from sandboxes import tasks
from sandboxes.claimants import host
from sandboxes.models import Sandbox, State

pytestmark = pytest.mark.django_db


@pytest.fixture
def other(alice: User, soul: Soul, atlas: Agent) -> Agent:
    return composition.create(alice, "other", soul)


def queued(user: User, agent: Agent) -> Run:
    return dispatch.start(user, "Hello", agent=agent).run


def going(user: User, agent: Agent, status: str = Status.RUNNING) -> Run:
    run = queued(user, agent)
    Run.objects.filter(pk=run.pk).update(status=status, lease_owner="me", lease_until=timezone.now())
    return run


def claimed() -> set[str]:
    return set(work.claim_queued("me", 50))


def stops(halt: Halt, kind: str = "run") -> dict[str, bool]:
    halting.confirm(halt)
    found = HaltStop.objects.filter(halt=halt, kind=kind).values_list("subject", "confirmed_at")
    return {subject: at is not None for subject, at in found}


# new work ------------------------------------------------------------------------------------------
def test_a_new_message_is_refused_and_nothing_of_it_is_stored(ada: User, alice: User, atlas: Agent) -> None:
    halting.stop(ada, "everything", reason="fire drill")

    with pytest.raises(Halted) as refused:
        dispatch.start(alice, "Hello", agent=atlas)

    assert refused.value.message == "Everything is stopped: fire drill."
    assert Run.objects.count() == 0


def test_a_halt_of_an_agent_leaves_the_others_alone(alice: User, atlas: Agent, other: Agent) -> None:
    halting.stop(alice, "agent", atlas.pk)

    with pytest.raises(Halted):
        dispatch.start(alice, "Hello", agent=atlas)
    assert dispatch.start(alice, "Hello", agent=other).run.status == Status.QUEUED


def test_a_halt_of_a_person_stops_what_they_ask_for_and_nobody_elses(
    ada: User, alice: User, bob: User, atlas: Agent
) -> None:
    mine, theirs = going(alice, atlas), going(bob, atlas)
    halt = halting.stop(ada, "person", "bob")

    with pytest.raises(Halted):
        dispatch.start(bob, "Hello", agent=atlas)
    dispatch.start(alice, "Hello", agent=atlas)
    assert stops(halt) == {theirs.pk: False}
    assert Run.objects.get(pk=mine.pk).cancel_requested_at is None


def test_somebody_without_the_agent_learns_nothing_of_its_halt(alice: User, mallory: User, atlas: Agent) -> None:
    halting.stop(alice, "agent", atlas.pk, "secret reason")

    with pytest.raises(Exception, match="not found"):
        dispatch.start(mallory, "Hello", agent=atlas)


# what is queued ------------------------------------------------------------------------------------
def test_what_is_queued_stays_queued_and_begins_afterwards(ada: User, alice: User, atlas: Agent, other: Agent) -> None:
    waits, goes = queued(alice, atlas), queued(alice, other)
    halt = halting.stop(alice, "agent", atlas.pk)

    assert claimed() == {goes.pk}
    waits.refresh_from_db()
    assert (waits.status, waits.cancel_requested_at, stops(halt)) == (Status.QUEUED, None, {})
    halting.resume(alice, halt.pk, "lifted")
    assert claimed() == {waits.pk}


def test_chosen_agents_begin_first(ada: User, alice: User, atlas: Agent, other: Agent) -> None:
    first, second = queued(alice, atlas), queued(alice, other)
    halt = halting.stop(ada, "everything")
    assert claimed() == set()

    halting.resume(ada, halt.pk, "chosen", [atlas.pk])
    assert claimed() == {first.pk}
    halting.resume(ada, halt.pk, "lifted")
    assert claimed() == {second.pk}


def test_a_held_run_that_its_person_takes_back_is_carried_out_to_its_end(ada: User, alice: User, atlas: Agent) -> None:
    run = queued(alice, atlas)
    halting.stop(ada, "everything")

    dispatch.cancel(alice, run)

    assert claimed() == {run.pk}
    assert work.load(run.pk).cancel_requested


def test_a_queued_run_of_a_dead_engine_is_not_taken_over_while_it_is_held(ada: User, alice: User, atlas: Agent) -> None:
    run = queued(alice, atlas)
    Run.objects.filter(pk=run.pk).update(lease_owner="elsewhere:1:1", lease_until=timezone.now())
    halt = halting.stop(ada, "everything")

    assert work.claim_abandoned("me") == []
    halting.resume(ada, halt.pk, "lifted")
    assert work.claim_abandoned("me") == [run.pk]


def test_a_halt_in_the_moment_of_the_claim_gives_the_run_back(
    ada: User, alice: User, atlas: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, claim = queued(alice, atlas), work._claim

    def late(*args: object) -> bool:
        taken = claim(*args)  # type: ignore[arg-type]
        halting.stop(ada, "everything")
        return taken

    monkeypatch.setattr(work, "_claim", late)

    assert work.claim_queued("me", 5) == []
    run.refresh_from_db()
    assert (run.status, run.lease_owner, run.cancel_requested_at) == (Status.QUEUED, "", None)


# what goes on --------------------------------------------------------------------------------------
def test_what_goes_on_is_asked_and_confirms_when_it_has_ended(ada: User, alice: User, atlas: Agent) -> None:
    runs = [going(alice, atlas, status) for status in (Status.PROVISIONING, Status.RUNNING, Status.WAITING)]

    halt = halting.stop(ada, "everything")

    assert stops(halt) == {run.pk: False for run in runs}
    for run in runs:
        run.refresh_from_db()
        assert (run.cancel_requested_at is not None, run.cancelled_by) == (True, ada)
    Run.objects.filter(pk=runs[0].pk).update(status=Status.CANCELLED, finished_at=timezone.now())
    assert stops(halt) == {runs[0].pk: True, runs[1].pk: False, runs[2].pk: False}


def test_who_was_asked_to_stop_before_keeps_who_asked(ada: User, alice: User, atlas: Agent) -> None:
    run = going(alice, atlas)
    dispatch.cancel(alice, run)

    halt = halting.stop(ada, "everything")

    run.refresh_from_db()
    assert (run.cancelled_by, stops(halt)) == (alice, {run.pk: False})


def test_two_halts_at_once_both_count_what_they_asked(ada: User, alice: User, atlas: Agent) -> None:
    run = going(alice, atlas)

    one, two = halting.stop(alice, "agent", atlas.pk), halting.stop(ada, "everything")

    assert stops(one) == stops(two) == {run.pk: False}
    halting.resume(ada, two.pk, "lifted")
    with pytest.raises(Halted):
        dispatch.start(alice, "Hello", agent=atlas)


def test_engines_that_live_are_asked_and_confirm_for_themselves(ada: User, alice: User, atlas: Agent) -> None:
    EngineBeat.objects.create(owner="one", seen_at=timezone.now())
    EngineBeat.objects.create(owner="dead", seen_at=timezone.now())
    EngineBeat.objects.create(owner="long gone", seen_at=timezone.now() - timedelta(minutes=5))
    box = Sandbox.objects.create(agent=atlas, number=1, state=State.RUNNING)
    halt = halting.stop(ada, "everything")
    assert stops(halt, "engine") == {"one": False, "dead": False}

    held.enforce("one", [box.pk], "refuses new work")

    assert stops(halt, "engine") == {"one": True, "dead": False}
    assert stops(halt, "sandbox") == {box.pk: True}


def test_a_sandbox_that_has_ended_confirms_without_an_engine(ada: User, atlas: Agent) -> None:
    box = Sandbox.objects.create(agent=atlas, number=1, state=State.RUNNING)
    halt = halting.stop(ada, "everything")
    assert stops(halt, "sandbox") == {box.pk: False}

    Sandbox.objects.update(state=State.STOPPED)

    assert stops(halt, "sandbox") == {box.pk: True}


def test_an_engine_asks_what_began_in_the_same_moment(ada: User, alice: User, atlas: Agent) -> None:
    run = queued(alice, atlas)
    halt = halting.stop(ada, "everything")
    Run.objects.filter(pk=run.pk).update(status=Status.PROVISIONING, lease_owner="me")

    assert held.enforce("me", [], "") == [run.pk]
    assert held.enforce("me", [], "") == []
    assert stops(halt) == {run.pk: False}


def test_a_halt_of_this_machine_is_one_of_everything_here(ada: User, alice: User, atlas: Agent) -> None:
    run = going(alice, atlas)

    elsewhere, here = halting.stop(ada, "server", "elsewhere"), halting.stop(ada, "server", host())

    assert (stops(elsewhere), stops(here)) == ({}, {run.pk: False})


# what waits for a person ---------------------------------------------------------------------------
def asked(agent: Agent | None, user: User | None, lifetime_s: int = 300) -> Approval:
    return approvals.ask(
        "mcp_access", subject={"question": "May I?"}, title="May I?", agent=agent, asked_for=user, lifetime_s=lifetime_s
    )


def test_requests_are_frozen_and_get_their_time_back(ada: User, alice: User, atlas: Agent) -> None:
    mine = asked(atlas, alice)
    before = mine.expires_at
    halt = halting.stop(ada, "everything")
    mine.refresh_from_db()
    assert mine.frozen_at is not None

    with pytest.raises(Halted):
        approvals.decide(alice, mine, "once")
    an_hour_ago = timezone.now() - timedelta(hours=1)
    Approval.objects.update(frozen_at=an_hour_ago, expires_at=before)
    assert approvals.settle() == 0
    halting.resume(ada, halt.pk, "deciding")

    mine.refresh_from_db()
    assert mine.frozen_at is None
    assert timedelta(minutes=59) < mine.expires_at - before < timedelta(minutes=61)
    assert approvals.decide(alice, mine, "once").state == "allowed"


def test_a_halt_of_an_agent_freezes_its_requests_only(alice: User, atlas: Agent, other: Agent) -> None:
    mine, theirs = asked(atlas, alice), asked(other, alice)

    halting.stop(alice, "agent", atlas.pk)

    mine.refresh_from_db()
    theirs.refresh_from_db()
    assert (mine.frozen_at is None, theirs.frozen_at is None) == (False, True)
    assert approvals.decide(alice, theirs, "deny").state == "denied"


def test_what_another_halt_still_holds_stays_frozen(ada: User, alice: User, atlas: Agent) -> None:
    mine = asked(atlas, alice)
    everything, one = halting.stop(ada, "everything"), halting.stop(alice, "agent", atlas.pk)

    halting.resume(ada, everything.pk, "lifted")
    mine.refresh_from_db()
    assert mine.frozen_at is not None
    halting.resume(alice, one.pk, "lifted")
    mine.refresh_from_db()
    assert mine.frozen_at is None


def test_a_request_of_the_same_moment_is_frozen_by_the_next_look(ada: User, alice: User, atlas: Agent) -> None:
    halting.stop(ada, "everything")
    mine = asked(atlas, alice)

    held.enforce("me", [], "")

    mine.refresh_from_db()
    assert mine.frozen_at is not None


# pages ---------------------------------------------------------------------------------------------
def test_a_run_that_is_held_says_so_on_its_page(
    ada: User, alice: User, atlas: Agent, browser: Callable[..., Client]
) -> None:
    run = queued(alice, atlas)
    page = browser(alice)
    assert "waits and is not lost" not in page.get(f"/runs/{run.pk}/").content.decode()

    halting.stop(ada, "everything", reason="fire drill")

    shown = page.get(f"/runs/{run.pk}/").content.decode()
    assert "waits and is not lost" in shown
    assert "Everything is stopped: fire drill." in shown


def test_a_message_typed_into_a_stopped_chat_is_kept(
    ada: User, alice: User, atlas: Agent, browser: Callable[..., Client]
) -> None:
    halting.stop(ada, "everything")

    answer = browser(alice).post(f"/chat/new/{atlas.pk}/send/", {"text": "my long thought"})

    assert answer.status_code == 400
    assert "Everything is stopped." in answer.content.decode()
    assert "my long thought" in answer.content.decode()
    assert Run.objects.count() == 0


def test_a_sandbox_is_not_started_while_it_is_stopped(ada: User, alice: User, atlas: Agent) -> None:
    halting.stop(alice, "agent", atlas.pk, "odd")

    assert "atlas is stopped: odd." in tasks.provision(atlas.pk)
    assert not Sandbox.objects.filter(state=State.RUNNING).exists()
