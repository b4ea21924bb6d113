"""/healthz and /readyz: what they answer, to whom, and when the answer is no."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from django_q.status import Stat
from pytest_django.fixtures import DjangoAssertNumQueries

from agents.models import User
from logos_site import health, probes
from runs.models import EngineBeat
from runs.work import LEASE_S
from sandboxes.driver import Check

NAMES = {"database", "engine", "background work", "disk", "agent runtime"}


@pytest.fixture
def all_well(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    """An engine that has just said so, a worker, an installed runtime."""
    EngineBeat.objects.create(owner="here", seen_at=timezone.now())
    monkeypatch.setattr(Stat, "get_all", lambda: [SimpleNamespace(status="Idle", workers=[1, 2])])
    monkeypatch.setitem(health.PROBES, "agent runtime", lambda: Check("agent runtime", True, "hermes"))


def test_healthz_answers_without_asking_the_database(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    answer = Client().get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert "no-store" in answer["Cache-Control"]


def test_readyz_is_200_when_everything_is_there(all_well: None) -> None:
    answer = Client().get("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "checks": {name: {"ok": True} for name in NAMES}}


@pytest.mark.parametrize("missing", sorted(NAMES - {"database"}))
def test_readyz_is_503_and_names_what_is_missing(all_well: None, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(health.PROBES, missing, lambda: Check(missing, False, "a secret path", "do this"))

    answer = Client().get("/readyz")

    assert answer.status_code == 503
    checks = answer.json()["checks"]
    assert [name for name, check in checks.items() if not check["ok"]] == [missing]


@pytest.mark.parametrize(("who", "sees"), [(None, False), ("alice", False), ("ada", True)])
def test_only_operators_are_told_why(
    request: pytest.FixtureRequest,
    all_well: None,
    browser: Callable[..., Client],
    monkeypatch: pytest.MonkeyPatch,
    who: str | None,
    sees: bool,
) -> None:
    monkeypatch.setitem(health.PROBES, "disk", lambda: Check("disk", False, "a secret path", "do this"))
    user: User | None = request.getfixturevalue(who) if who else None

    answer = browser(user).get("/readyz")

    assert ("a secret path" in answer.content.decode()) is sees


@pytest.mark.django_db
def test_a_database_that_does_not_answer_is_said_and_nothing_else_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("unable to open database file")

    monkeypatch.setattr(connection, "cursor", broken)

    answer = Client(raise_request_exception=False).get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == {"ok": False}
    assert "unable to open" not in answer.content.decode()


@pytest.mark.django_db
def test_an_engine_counts_as_alive_for_as_long_as_its_lease() -> None:
    assert not probes.engine().ok

    EngineBeat.objects.create(owner="old", seen_at=timezone.now() - timedelta(seconds=LEASE_S + 5))
    assert not probes.engine().ok

    EngineBeat.objects.create(owner="new", seen_at=timezone.now() - timedelta(seconds=LEASE_S - 5))
    assert probes.engine().ok


@pytest.mark.django_db
def test_no_worker_and_a_stopping_worker_are_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not probes.background().ok

    monkeypatch.setattr(Stat, "get_all", lambda: [SimpleNamespace(status="Stopping", workers=[1])])
    assert not probes.background().ok


def test_they_may_not_be_posted_to(all_well: None) -> None:
    assert Client().post("/healthz").status_code == 405
    assert Client().post("/readyz").status_code == 405
