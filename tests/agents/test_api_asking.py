"""Who the API takes the caller for: tokens, browsers, strangers, the suspended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from agents.models import Agent, ApiToken, User
from tests.api_client import Program

SESSION = "allauth.account.auth_backends.AuthenticationBackend"


def test_a_stranger_is_asked_to_sign_in_in_the_shape_of_every_refusal() -> None:
    answer = Program()("GET", "agents")

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.json()["error"]["reason"] == "unauthenticated"
    assert answer.json()["error"]["action"]


def test_a_token_is_its_person(alice: User) -> None:
    me = Program(alice).get("me")

    assert (me["username"], me["role"]) == ("alice", "user")
    assert "agent.chat" in me["may"]
    assert "user.manage" not in me["may"]


@pytest.mark.parametrize("secret", ["logos_wrong", "x" * 5000, "\u00ff"])
@pytest.mark.django_db
def test_a_wrong_token_is_nobody(secret: str) -> None:
    assert Program(secret=secret)("GET", "me").status_code == 401


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Basic YTpi", "logos_x", "Bearer  "])
def test_a_wrong_header_is_nobody_even_in_a_signed_in_browser(
    browser: Callable[..., Client], alice: User, header: str
) -> None:
    assert browser(alice).get("/api/me", headers={"Authorization": header}).status_code == 401


@pytest.mark.parametrize(
    "change", [{"revoked_at": timezone.now()}, {"expires_at": timezone.now() - timedelta(seconds=1)}]
)
def test_a_revoked_or_expired_token_is_nobody(alice: User, change: dict) -> None:
    program = Program(alice)
    ApiToken.objects.update(**change)

    assert program("GET", "me").status_code == 401


def test_a_suspended_person_is_out_at_once_with_token_and_with_session(
    browser: Callable[..., Client], alice: User
) -> None:
    program, page = Program(alice), browser(alice)
    User.objects.filter(pk=alice.pk).update(is_active=False)

    assert program("GET", "me").status_code == 401
    assert page.get("/api/me").status_code == 401


def test_a_browser_may_read_but_needs_the_csrf_token_to_change(alice: User, atlas: Agent) -> None:
    page = Client(enforce_csrf_checks=True)
    page.force_login(alice, backend=SESSION)

    assert page.get("/api/me").status_code == 200
    refused = page.post("/api/tokens", {"name": "x"}, content_type="application/json")
    assert (refused.status_code, refused.json()["error"]["reason"]) == (403, "forbidden")
    assert not ApiToken.objects.exists()

    page.cookies["logos_csrf"] = "c" * 32
    made = page.post("/api/tokens", {"name": "x"}, content_type="application/json", headers={"X-CSRFToken": "c" * 32})
    assert made.status_code == 201


def test_a_request_reads_the_token_once(alice: User, django_assert_num_queries: Callable) -> None:
    program = Program(alice)
    program("GET", "me")

    with django_assert_num_queries(1):
        program("GET", "me")
