"""The authenticator app: set up, asked for at sign-in, recovered from, sealed, and needed by role."""

from __future__ import annotations

import re
import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from agents.models import ApiToken, User
from channels_app.people import person_of
from tests.api_client import Program
from tests.conftest import PASSWORD
from tests.logos_site.test_account_sessions import signed_in

AREA = "/account/second-factor/"


def code(key: str, steps: int = 0) -> str:
    """What the app shows now, or some steps of thirty seconds later."""
    return format_hotp_value(hotp_value(key, int(time.time()) // 30 + steps))


def confirm(client: Client) -> None:
    assert client.post("/accounts/reauthenticate/", {"password": PASSWORD}).status_code == 302


def set_up(client: Client) -> tuple[str, list[str]]:
    """Through the pages; the app's key and the recovery codes."""
    confirm(client)
    key = re.search(r'id="totp-key">(\w+)<', client.get(f"{AREA}totp/activate/").content.decode())[1]
    done = client.post(f"{AREA}totp/activate/", {"code": code(key)}, follow=True).content.decode()
    return key, re.findall(r"^(?:.*<pre[^>]*>)?(\d{8})", done, re.MULTILINE)


def test_the_password_is_asked_for_again_before_anything_changes(alice: User) -> None:
    assert signed_in(alice).get(f"{AREA}totp/activate/")["Location"].startswith("/accounts/reauthenticate/")


def test_signing_in_then_takes_password_and_code(alice: User) -> None:
    key, codes = set_up(signed_in(alice))
    client = Client()

    answer = client.post("/accounts/login/", {"login": "alice", "password": PASSWORD})
    assert answer["Location"] == f"{AREA}authenticate/"
    assert client.get("/runs/").status_code == 302
    assert client.post(f"{AREA}authenticate/", {"code": "000000"}).status_code == 200
    assert client.get("/runs/").status_code == 302
    client.post(f"{AREA}authenticate/", {"code": code(key, 1)})

    assert client.get("/runs/").status_code == 200
    assert len(codes) == 10


def test_a_code_seen_by_somebody_else_lets_in_nobody_again(alice: User) -> None:
    key, _ = set_up(signed_in(alice))
    seen = code(key, 1)

    for status in (200, 302):
        client = Client()
        client.post("/accounts/login/", {"login": "alice", "password": PASSWORD})
        client.post(f"{AREA}authenticate/", {"code": seen})
        assert client.get("/runs/").status_code == status
        # allauth's own memory of it ends before the code does
        cache.delete(f"allauth.mfa.totp.used?user={alice.pk}&code={seen}")


def test_a_recovery_code_lets_in_once(alice: User) -> None:
    _, codes = set_up(signed_in(alice))

    for status in (200, 302):
        client = Client()
        client.post("/accounts/login/", {"login": "alice", "password": PASSWORD})
        client.post(f"{AREA}authenticate/", {"code": codes[0]})
        assert client.get("/runs/").status_code == status


def test_the_key_is_sealed_in_the_database(alice: User) -> None:
    key, _ = set_up(signed_in(alice))

    for stored in Authenticator.objects.filter(user=alice):
        assert key not in str(stored.data)
        assert all(value.startswith("gAAAA") for name, value in stored.data.items() if name in {"secret", "seed"})


def test_the_app_can_be_turned_off_again(alice: User) -> None:
    client = signed_in(alice)
    set_up(client)

    client.post(f"{AREA}totp/deactivate/")

    assert not Authenticator.objects.filter(user=alice).exists()


@pytest.mark.parametrize(
    "page", ["", "totp/activate/", "webauthn/", "webauthn/add/", "totp/deactivate/", "recovery-codes/"]
)
def test_the_pages_are_in_our_look_and_run_no_script_of_their_own(alice: User, page: str) -> None:
    client = signed_in(alice)
    confirm(client)
    if "deactivate" in page or "recovery" in page:
        set_up(client)

    answer = client.get(AREA + page)
    text = answer.content.decode()

    assert 'aria-label="Your account"' in text
    assert text.count("<h1") == 1
    assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)|\sstyle=|\son\w+=", text)
    assert "unsafe" not in answer["Content-Security-Policy"]


# --- needed by role -------------------------------------------------------------------------------
@pytest.fixture
def users_need_it(settings: Settings) -> None:
    settings.LOGOS_SECOND_FACTOR_ROLES = ["admin", "user"]


@pytest.mark.usefixtures("users_need_it")
@pytest.mark.parametrize("path", ["/", "/runs/", "/account/", "/account/tokens/", "/admin/", "/api/docs"])
def test_whoever_needs_it_is_sent_to_set_it_up_first(ada: User, path: str) -> None:
    client = signed_in(ada)

    assert client.get(path)["Location"] == AREA
    assert "Your role needs a second factor" in client.get(AREA).content.decode()
    set_up(client)

    assert client.get(path).status_code == 200


@pytest.mark.usefixtures("users_need_it")
def test_other_roles_are_left_alone(viewer: User) -> None:
    assert signed_in(viewer).get("/").status_code == 200


@pytest.mark.usefixtures("users_need_it")
def test_the_api_says_what_is_missing_and_makes_no_token(alice: User) -> None:
    client = signed_in(alice)

    refused = client.get("/api/me")
    assert (refused.status_code, refused.json()["error"]["reason"]) == (403, "second_factor_required")
    assert client.post("/account/tokens/", {"name": "way round"}).status_code == 302
    _, secret = ApiToken.make(alice, "from before")
    answer = Program(secret=secret)("POST", "tokens", {"name": "way round"})

    assert (answer.status_code, answer.json()["error"]["reason"]) == (403, "second_factor_required")
    assert ApiToken.objects.count() == 1


@pytest.mark.usefixtures("users_need_it")
def test_live_streams_open_only_once_it_is_set_up(alice: User) -> None:
    client = signed_in(alice)
    scope = {"headers": [(b"cookie", f"logos_session={client.session.session_key}".encode())]}
    assert person_of(scope) is None

    set_up(client)

    scope = {"headers": [(b"cookie", f"logos_session={client.session.session_key}".encode())]}
    assert person_of(scope) == alice


@pytest.mark.usefixtures("users_need_it")
def test_signing_out_stays_possible(alice: User) -> None:
    client = signed_in(alice)

    assert client.post("/accounts/logout/")["Location"] == "/"
    assert "_auth_user_id" not in client.session


@pytest.mark.parametrize(
    "data", [{}, {"name": "Blue key"}, {"name": "Blue key", "credential": {}}, {"credential": "x"}]
)
def test_a_passkey_that_holds_no_credential_is_said_calmly_and_can_be_removed(alice: User, data: dict) -> None:
    client = signed_in(alice)
    row = Authenticator.objects.create(user=alice, type=Authenticator.Type.WEBAUTHN, data=data)

    asked = client.get(f"{AREA}webauthn/reauthenticate/")

    assert asked.status_code == 409
    assert "cannot be used: what is stored of it is damaged" in asked.content.decode()
    confirm(client)
    assert client.post(f"{AREA}webauthn/keys/{row.pk}/remove/").status_code == 302
    assert not Authenticator.objects.filter(pk=row.pk).exists()


def test_a_fault_that_no_passkey_made_stays_a_fault(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    client = signed_in(alice)
    Authenticator.objects.create(user=alice, type=Authenticator.Type.WEBAUTHN, data={})
    monkeypatch.setattr("logos_site.account.passkeys.damaged", lambda user: [])

    with pytest.raises(KeyError):
        client.get(f"{AREA}webauthn/reauthenticate/")
