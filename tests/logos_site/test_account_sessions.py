"""Where one is signed in: listed, ended one by one or all, and ended for a suspended person."""

from __future__ import annotations

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.test import Client
from pytest_django import Settings

from agents.models import Role, User
from logos_site.account import sessions
from logos_site.account.devices import device
from tests.conftest import PASSWORD, person

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 Version/18.0 Mobile Safari/604.1"


def signed_in(user: User, agent: str = FIREFOX, address: str = "192.0.2.1") -> Client:
    """A browser somebody signed in with, through the form."""
    client = Client(headers={"user-agent": agent}, REMOTE_ADDR=address)
    assert client.post("/accounts/login/", {"login": user.username, "password": PASSWORD}).status_code == 302
    return client


def is_in(client: Client) -> bool:
    return client.get("/runs/").status_code == 200


def row(client: Client) -> UserSession:
    return UserSession.objects.get(session_key=client.session.session_key)


def test_every_browser_is_listed_with_device_and_address(alice: User, bob: User) -> None:
    laptop, _phone = signed_in(alice), signed_in(alice, PHONE, "192.0.2.9")
    signed_in(bob, address="192.0.2.77")

    page = laptop.get("/account/sessions/").content.decode()

    assert "Firefox on Linux" in page
    assert "Safari on iPhone" in page
    assert "192.0.2.9" in page
    assert "192.0.2.77" not in page
    assert page.index("this browser") < page.index("Safari on iPhone")


def test_another_browser_can_be_signed_out(alice: User) -> None:
    laptop, phone = signed_in(alice), signed_in(alice, PHONE)

    laptop.post(f"/account/sessions/{row(phone).pk}/end/")

    assert not is_in(phone)
    assert is_in(laptop)


def test_all_other_browsers_can_be_signed_out_at_once(alice: User, bob: User) -> None:
    laptop, others, stranger = signed_in(alice), [signed_in(alice), signed_in(alice, PHONE)], signed_in(bob)

    laptop.post("/account/sessions/end/")

    assert [is_in(client) for client in (laptop, *others, stranger)] == [True, False, False, True]


def test_nobody_ends_a_session_of_somebody_else(alice: User, mallory: User) -> None:
    laptop = signed_in(alice)

    assert signed_in(mallory).post(f"/account/sessions/{row(laptop).pk}/end/").status_code == 404
    assert is_in(laptop)


def test_a_session_moves_with_its_browser(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    laptop = signed_in(alice)
    monkeypatch.setattr(sessions, "_seen", {})

    laptop.get("/", REMOTE_ADDR="198.51.100.4")

    assert row(laptop).ip == "198.51.100.4"


@pytest.mark.parametrize(("proxies", "address"), [(0, "192.0.2.1"), (1, "203.0.113.8")])
def test_an_address_a_client_claims_counts_only_as_far_as_our_proxy_saw_it(
    alice: User, settings: Settings, proxies: int, address: str
) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = proxies
    client = Client(REMOTE_ADDR="192.0.2.1", headers={"x-forwarded-for": "6.6.6.6, 203.0.113.8"})

    client.post("/accounts/login/", {"login": "alice", "password": PASSWORD})

    assert row(client).ip == address


def test_a_request_within_the_minute_writes_nothing(alice: User) -> None:
    laptop = signed_in(alice)

    laptop.get("/", REMOTE_ADDR="198.51.100.4")

    assert row(laptop).ip == "192.0.2.1"


def test_a_page_comes_even_if_the_list_of_sessions_cannot_be_written(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    laptop = signed_in(alice)
    monkeypatch.setattr(sessions, "_seen", {})

    def locked(*args: object) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(sessions, "_note", locked)

    assert is_in(laptop)


def test_suspending_somebody_ends_their_sessions_for_good(alice: User, bob: User) -> None:
    laptop, other = signed_in(alice), signed_in(bob)

    alice.is_active = False
    alice.save()
    assert not is_in(laptop)
    alice.is_active = True
    alice.save()

    assert not is_in(laptop)
    assert not UserSession.objects.filter(user=alice).exists()
    assert Session.objects.count() == 1
    assert is_in(other)


def test_a_demoted_person_has_the_lower_role_on_the_next_request(ada: User) -> None:
    person("grace", Role.ADMIN)
    client = signed_in(ada)
    assert client.get("/admin/").status_code == 200

    ada.role = Role.VIEWER
    ada.save()

    assert client.get("/admin/").status_code != 200
    assert "/admin/" not in client.get("/").content.decode()


def test_a_new_password_ends_the_other_sessions_and_keeps_this_one(alice: User) -> None:
    laptop, phone = signed_in(alice), signed_in(alice, PHONE)
    new = "another long password"

    laptop.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new})

    assert is_in(laptop)
    assert not is_in(phone)
    assert [found.session_key for found in UserSession.objects.filter(user=alice)] == [laptop.session.session_key]


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/131.0 Safari/537.36 Edg/131.0", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/131.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.5.0", "curl"),
        ("", "Unknown device"),
    ],
)
def test_a_device_is_named_as_people_call_it(agent: str, name: str) -> None:
    assert device(agent) == name
