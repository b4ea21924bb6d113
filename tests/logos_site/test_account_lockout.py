"""Ten failures lock a person at an address for a while, and say so without telling who exists."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from allauth.core.internal import ratelimit
from django.conf import settings
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test import Client

from agents.models import User
from logos_site.account import lockout
from tests.conftest import PASSWORD

ELSEWHERE = "198.51.100.9"


class Clock:
    """Moves the limiter's clock; sessions and everything else keep the real one."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = time.time()
        moved = SimpleNamespace(time=lambda: self.now, monotonic=time.monotonic, sleep=time.sleep)
        patch.setattr(ratelimit, "time", moved)
        patch.setattr(lockout, "time", moved)

    def passes(self, minutes: float) -> None:
        self.now += minutes * 60


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def attempt(login: str, password: str = "wrong", address: str = "192.0.2.1") -> str:
    """ "in", or what the page says."""
    answer = Client(REMOTE_ADDR=address).post("/accounts/login/", {"login": login, "password": password})
    if answer.status_code == 302:
        return "in"
    return " ".join(answer.context["form"].non_field_errors())


def fail(login: str, clock: Clock, times: int = 10, address: str = "192.0.2.1") -> list[str]:
    told = []
    for _ in range(times):
        clock.passes(0.1)  # below the thirty attempts a minute any address has
        told.append(attempt(login, address=address))
    return told


def test_the_eleventh_attempt_is_refused_even_with_the_right_password(alice: User, clock: Clock) -> None:
    assert not [told for told in fail("alice", clock) if "Too many" in told]

    told = attempt("alice", PASSWORD)

    assert "Try again in 15 minutes" in told


def test_the_time_told_is_the_time_it_takes(alice: User, clock: Clock) -> None:
    fail("alice", clock)
    clock.passes(10)
    assert "Try again in 5 minutes" in attempt("alice", PASSWORD)

    clock.passes(3.9)
    assert "Try again in 1 minute." in attempt("alice", PASSWORD)
    clock.passes(1)

    assert attempt("alice", PASSWORD) == "in"


@pytest.mark.parametrize(("failed", "tried"), [("alice", "alice@example.org"), ("ALICE@example.org", "Alice")])
def test_name_and_address_of_one_person_lock_together(alice: User, clock: Clock, failed: str, tried: str) -> None:
    fail(failed, clock)

    assert attempt(tried, PASSWORD) != "in"
    clock.passes(16)
    assert attempt(tried, PASSWORD) == "in"


def test_failures_by_name_and_by_address_add_up(alice: User, clock: Clock) -> None:
    fail("alice", clock, 5)
    fail("alice@example.org", clock, 5)

    assert attempt("alice", PASSWORD) != "in"


def test_what_is_told_is_the_same_for_somebody_who_does_not_exist(alice: User, clock: Clock) -> None:
    known = [*fail("alice", clock, 12), *fail("alice@example.org", clock, 12)]
    unknown = [*fail("nobody", clock, 12, ELSEWHERE), *fail("nobody@example.org", clock, 12, ELSEWHERE)]

    assert known == unknown
    assert "Too many" in known[10]
    assert "Too many" not in known[12]


def test_somebody_else_at_the_same_address_and_the_owner_elsewhere_still_get_in(
    alice: User, mallory: User, clock: Clock
) -> None:
    fail("alice", clock)

    assert attempt("mallory", PASSWORD) == "in"
    assert attempt("alice", PASSWORD, ELSEWHERE) == "in"


def test_guessing_from_many_addresses_ends_as_well(alice: User, clock: Clock) -> None:
    for number in range(10):
        fail("alice", clock, 10, f"203.0.113.{number}")

    assert attempt("alice", PASSWORD, ELSEWHERE) != "in"


def test_success_does_not_wipe_earlier_failures(alice: User, clock: Clock) -> None:
    fail("alice", clock, 9)
    clock.passes(0.1)
    assert attempt("alice", PASSWORD) == "in"
    fail("alice", clock, 1)

    assert attempt("alice", PASSWORD) != "in"


def test_failures_are_kept_where_every_process_sees_them_and_a_restart_does_not_forget() -> None:
    assert settings.CACHES["default"]["BACKEND"] == "django.core.cache.backends.db.DatabaseCache"


@pytest.mark.django_db
def test_migrating_makes_the_table_the_failures_are_counted_in() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE shared_cache")

    call_command("migrate", verbosity=0)

    cache.set("kept", 1)
    assert cache.get("kept") == 1


def test_too_many_requests_of_one_address_get_a_calm_page(db: None) -> None:
    client = Client()
    answers = [client.post("/accounts/login/", {"login": f"name{number}", "password": ""}) for number in range(31)]

    assert answers[-1].status_code == 429
    assert "Try again in a minute" in answers[-1].content.decode()
    assert "css/app.css" in answers[-1].content.decode()
