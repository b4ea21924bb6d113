"""The page of API tokens: made, shown once, listed, revoked."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.test import Client

from agents.models import ApiToken, User
from tests.api_client import Program

Browser = Callable[..., Client]


def secret_in(page: str) -> str:
    return re.search(r"<pre>(logos_[^<]+)</pre>", page)[1]


def test_a_token_is_shown_once_and_works(browser: Browser, alice: User) -> None:
    client = browser(alice)

    made = client.post("/account/tokens/", {"name": "nightly build", "days": "30"})
    secret = secret_in(made.content.decode())

    assert Program(secret=secret).get("me")["username"] == "alice"
    listed = client.get("/account/tokens/").content.decode()
    assert "nightly build" in listed
    assert secret[:12] in listed
    assert secret not in listed
    assert "no-store" in made["Cache-Control"]


def test_without_days_it_lives_ninety(browser: Browser, alice: User) -> None:
    browser(alice).post("/account/tokens/", {"name": "for ever", "days": ""})

    token = ApiToken.objects.get(user=alice)
    assert (token.expires_at - token.created_at).days in (89, 90)


def test_a_wrong_number_of_days_is_said_and_the_name_kept(browser: Browser, alice: User) -> None:
    answer = browser(alice).post("/account/tokens/", {"name": "build", "days": "0"})

    assert answer.status_code == 400
    assert 'value="build"' in answer.content.decode()
    assert not ApiToken.objects.exists()


def test_a_revoked_token_is_gone_at_once(browser: Browser, alice: User) -> None:
    client = browser(alice)
    secret = secret_in(client.post("/account/tokens/", {"name": "build"}).content.decode())

    client.post(f"/account/tokens/{ApiToken.objects.get(name='build').pk}/revoke/")

    assert Program(secret=secret)("GET", "me").status_code == 401
    assert "build" not in client.get("/account/tokens/").content.decode()


def test_nobody_sees_or_revokes_the_tokens_of_others(browser: Browser, alice: User, mallory: User, ada: User) -> None:
    token, _ = ApiToken.make(alice, "alice's own")

    for other in (mallory, ada):
        assert "alice" not in browser(other).get("/account/tokens/").content.decode()
        assert browser(other).post(f"/account/tokens/{token.pk}/revoke/").status_code == 404
    token.refresh_from_db()
    assert token.revoked_at is None
