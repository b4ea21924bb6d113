"""Runs are claimed by one engine, taken over from dead ones, and read in one piece."""

from __future__ import annotations

import subprocess
import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.db import connection
from django.utils import timezone

from agents import composition, routes, souls
from agents.errors import LogosError
from agents.models import Agent, ModelRoute, Provider, User
from runs import approvals, dispatch, events, settling, work
from runs.models import Approval, EngineBeat, Run, Status
from sandboxes import claimants
from tests.conftest import person

OTHER = "another-host:1:1"


@pytest.fixture
def run(alice: User, atlas: Agent) -> Run:
    return dispatch.start(alice, "Hello", agent=atlas).run


def leased(run: Run, owner: str, seconds: float, status: str = Status.RUNNING) -> None:
    Run.objects.filter(pk=run.pk).update(
        lease_owner=owner, lease_until=timezone.now() + timedelta(seconds=seconds), status=status
    )


def test_queued_runs_are_claimed_oldest_first_and_once(alice: User, atlas: Agent) -> None:
    first, second, third = (dispatch.start(alice, str(n), agent=atlas).run.pk for n in range(3))

    assert work.claim_queued("one", 2) == [first, second]
    assert work.claim_queued("two", 5) == [third]
    assert work.claim_queued("two", 5) == []
    claimed = Run.objects.get(pk=first)
    assert (claimed.lease_owner, claimed.attempt) == ("one", 1)
    assert 10 < (claimed.lease_until - timezone.now()).total_seconds() <= work.LEASE_S  # type: ignore[operator]


@pytest.mark.parametrize(
    ("owner", "seconds", "status", "taken"),
    [
        (OTHER, -1, Status.RUNNING, True),
        (OTHER, -1, Status.QUEUED, True),
        (OTHER, -1, Status.WAITING, True),
        (OTHER, 5, Status.RUNNING, False),
        (OTHER, -1, Status.COMPLETED, False),
        ("me", -1, Status.RUNNING, False),
        ("", -1, Status.QUEUED, False),
        (work.GIVEN_BACK, -1, Status.RUNNING, True),
    ],
)
def test_what_is_taken_over_is_unfinished_and_its_lease_has_run_out(
    run: Run, owner: str, seconds: float, status: str, taken: bool
) -> None:
    leased(run, owner, seconds, status)

    assert work.claim_abandoned("me") == ([run.pk] if taken else [])


def test_a_dead_process_of_this_host_need_not_be_waited_for(run: Run) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    host = claimants.process_name().rsplit(":", 2)[0]
    leased(run, f"{host}:{process.pid}:12345", 60)

    assert work.claim_abandoned("me") == [run.pk]
    assert Run.objects.get().attempt == 1


def test_a_living_engine_keeps_its_leases_by_its_beat(run: Run) -> None:
    leased(run, "me", 0.5)

    work.beat("me")
    work.beat("me")

    assert work.claim_abandoned("other") == []
    assert (Run.objects.get().lease_until - timezone.now()).total_seconds() > 10  # type: ignore[operator]
    assert EngineBeat.objects.get().owner == "me"


@pytest.mark.django_db
def test_a_beat_forgets_engines_not_seen_for_an_hour() -> None:
    EngineBeat.objects.create(owner="old", seen_at=timezone.now() - timedelta(hours=2))

    work.beat("me")

    assert [beat.owner for beat in EngineBeat.objects.all()] == ["me"]


def test_an_engine_that_stops_lets_others_take_over_at_once(run: Run) -> None:
    work.claim_queued("me", 1)
    work.beat("me")

    work.rest("me")

    assert not EngineBeat.objects.exists()
    assert work.claim_abandoned("other") == [run.pk]


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING])
def test_what_is_given_back_can_be_claimed_again_also_by_the_same_engine(run: Run, status: str) -> None:
    leased(run, "me", 10, status)

    work.give_back("me", run.pk)

    assert [*work.claim_queued("me", 5), *work.claim_abandoned("me")] == [run.pk]


def test_only_what_is_ones_own_is_given_back(run: Run) -> None:
    leased(run, OTHER, 10)

    work.give_back("me", run.pk)

    assert Run.objects.get().lease_owner == OTHER


def test_work_holds_everything_and_the_opened_key(alice: User, atlas: Agent) -> None:
    provider = Provider(name="House", kind="openai-compatible", base_url="http://localhost:1/v1")
    provider.set_key("sk-secret")
    provider.save()
    atlas.route = routes.add_route(provider, "small", None, context_length=8192)
    atlas.save()
    ModelRoute.objects.filter(pk=atlas.route.pk).update(price_input=Decimal("0.5"))
    run = dispatch.start(alice, "Hello", agent=atlas).run
    work.claim_queued("me", 1)

    job = work.load(run.pk)

    assert (job.run_id, job.agent_id, job.conversation_id) == (run.pk, atlas.pk, run.conversation_id)
    assert (job.actor, job.text, job.attempt, job.cancel_requested) == ("alice", "Hello", 1, False)
    assert (job.stamp, job.fingerprint) == (run.stamp, run.fingerprint)
    assert (job.target.model, job.target.api_key, job.target.base_url) == ("small", "sk-secret", provider.base_url)
    assert (job.target.context_length, job.target.price_input, job.target.price_output) == (8192, Decimal("0.5"), None)
    assert "sk-secret" not in repr(job)


def test_a_run_keeps_the_route_it_was_accepted_with(alice: User, atlas: Agent, route: ModelRoute) -> None:
    run = dispatch.start(alice, "Hello", agent=atlas).run
    other = routes.add_route(route.provider, "rehearsal-2", None)

    routes.make_default(other)
    assert work.load(run.pk).target.route_id == route.pk

    routes.remove_route(route)
    assert work.load(run.pk).target.route_id == other.pk


def test_a_run_whose_key_cannot_be_opened_ends_with_the_sentence(run: Run, settings: Any) -> None:
    provider = ModelRoute.objects.get().provider
    provider.set_key("sk-secret")
    provider.save()
    settings.LOGOS_SEAL_KEYS = [Fernet.generate_key().decode()]
    work.claim_queued("me", 1)
    with pytest.raises(LogosError) as broken:
        work.load(run.pk)

    assert settling.fail_unread(run.pk, broken.value)

    run.refresh_from_db()
    assert (run.status, run.error_code, run.lease_owner) == (Status.FAILED, "runtime_error", "")
    assert "seal keys" in run.error_message
    assert run.error_action
    assert events.verify(run) == ""
    assert not settling.fail_unread(run.pk, broken.value)


def test_entering_a_state_is_for_runs_that_have_not_ended(run: Run) -> None:
    assert work.enter(run.pk, Status.RUNNING, lane=3)
    run.refresh_from_db()
    assert (run.status, run.lane) == (Status.RUNNING, 3)

    Run.objects.update(status=Status.CANCELLED)

    assert not work.enter(run.pk, Status.RUNNING)
    assert Run.objects.get().status == Status.CANCELLED


def test_wishes_are_a_stop_and_decisions_not_yet_told(alice: User, run: Run) -> None:
    assert work.wishes(run.pk) == (False, [], [])
    assert work.with_news([run.pk]) == []
    waiting, allowed = approvals.request(run.pk, "a", ""), approvals.request(run.pk, "b", "")
    approvals.decide(alice, allowed, "once")
    dispatch.cancel(alice, run)

    assert work.wishes(run.pk) == (True, [allowed.pk], [])
    assert set(work.with_news([run.pk])) == {run.pk}
    assert (work.answered(allowed.pk), work.answered(allowed.pk)) == (allowed, None)
    assert work.wishes(run.pk) == (True, [], [])
    assert Approval.objects.get(pk=waiting.pk).state == "pending"


def test_time_running_out_is_news_and_a_decision(run: Run) -> None:
    asked = approvals.request(run.pk, "a", "")
    assert work.with_news([run.pk]) == []
    Approval.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert work.with_news([run.pk]) == [run.pk]
    assert work.wishes(run.pk) == (False, [asked.pk], [])


@pytest.mark.django_db(transaction=True)
def test_engines_that_claim_at_once_share_the_runs_without_overlap() -> None:
    owner = person("owner")
    routes.rehearsal_route()
    agent = composition.create(owner, "atlas", souls.create("Kind", "Be kind.", owner))
    made = {dispatch.start(owner, str(n), agent=agent).run.pk for n in range(12)}
    start, claimed = threading.Barrier(4), []

    def claim(engine: int) -> None:
        try:
            start.wait(timeout=120)
            claimed.extend(work.claim_queued(f"engine {engine}", 6))
        finally:
            connection.close()

    threads = [threading.Thread(target=claim, args=(engine,)) for engine in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    claimed.extend(work.claim_queued("last", 20))

    assert sorted(claimed) == sorted(made)
    assert set(Run.objects.values_list("attempt", flat=True)) == {1}
