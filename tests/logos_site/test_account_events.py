"""Signing in and out, failing to, sessions, passwords and second factors as security events; never what was typed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authentication_failed, authenticator_added, authenticator_removed, authenticator_reset
from allauth.usersessions.models import UserSession
from django.core.cache import cache
from django.test import Client

from agents.models import SecurityEvent, User
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_counts() -> None:
    cache.clear()


def events(*fields: str) -> list[tuple]:
    return list(SecurityEvent.objects.exclude(kind="person_added").order_by("id").values_list(*fields))


def sign_in(login: str, password: str, client: Client | None = None) -> Client:
    client = client or Client(REMOTE_ADDR="192.0.2.7", headers={"User-Agent": "Firefox/140 (X11; Linux)"})
    client.post("/accounts/login/", {"login": login, "password": password})
    return client


def test_in_and_out(alice: User) -> None:
    sign_in("alice", PASSWORD).post("/accounts/logout/")

    fields = ("kind", "actor__username", "person__username", "via", "address", "detail")
    assert events(*fields) == [
        ("signed_in", "alice", "alice", "page", "192.0.2.7", {"device": "Firefox on Linux"}),
        ("signed_out", "alice", "alice", "page", "192.0.2.7", {}),
    ]


def test_a_failure_names_the_account_and_nobody_who_did_it(alice: User) -> None:
    sign_in("alice@example.org", "wrong")

    assert events("kind", "actor", "person__username", "address") == [("sign_in_failed", None, "alice", "192.0.2.7")]


def test_what_was_typed_is_nowhere(alice: User) -> None:
    for login, password in (("hunter2-typed-as-name", "x"), ("alice", "hunter2-typed-as-password")):
        for _ in range(12):
            sign_in(login, password)

    assert "hunter2" not in str(list(SecurityEvent.objects.values()))
    kinds = [kind for (kind,) in events("kind")]
    assert kinds.count("sign_in_locked") == 2, "once for each name, however often it is tried"
    assert kinds.count("sign_in_failed") == 20
    locked = [each.person for each in SecurityEvent.objects.filter(kind="sign_in_locked")]
    assert alice in locked
    assert None in locked


def test_a_new_password_and_the_sessions_it_ends(alice: User) -> None:
    other = sign_in("alice", PASSWORD)
    client = sign_in("alice", PASSWORD)
    assert other.get("/account/").status_code == 200
    new = "a much longer password"
    client.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new})

    assert [kind for (kind,) in events("kind")] == ["signed_in", "signed_in", "password_changed", "session_ended"]
    assert PASSWORD not in str(list(SecurityEvent.objects.values()))


def test_one_session_ended(alice: User) -> None:
    other = sign_in("alice", PASSWORD)
    client = sign_in("alice", PASSWORD)
    row = UserSession.objects.get(session_key=other.session.session_key)

    client.post(f"/account/sessions/{row.pk}/end/")

    assert events("kind", "person__username", "detail")[-1] == (
        "session_ended",
        "alice",
        {"device": "Firefox on Linux", "count": 1},
    )


def test_second_factors(alice: User, browser: Callable[..., Client]) -> None:
    app = Authenticator.objects.create(user=alice, type=Authenticator.Type.TOTP, data={"secret": "totp-secret"})
    codes = Authenticator.objects.create(user=alice, type=Authenticator.Type.RECOVERY_CODES, data={"seed": "a-seed"})
    for signal, row in (
        (authenticator_added, app),
        (authenticator_added, codes),
        (authenticator_reset, codes),
        (authentication_failed, app),
        (authenticator_removed, app),
    ):
        signal.send(sender=Authenticator, request=None, user=alice, authenticator=row, reauthentication=False)

    assert events("kind", "detail__factor") == [
        ("factor_added", "authenticator app"),
        ("codes_made", "recovery codes"),
        ("codes_made", "recovery codes"),
        ("sign_in_failed", "second factor"),
        ("factor_removed", "authenticator app"),
    ]
    assert "secret" not in str(list(SecurityEvent.objects.values()))
