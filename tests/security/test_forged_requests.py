"""A page of somebody else's that makes a signed-in admin's browser write: every door refuses it, and nothing is written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from agents.models import Role
from tests import tables
from tests.conftest import person
from tests.doors import SIGN_IN, addresses, body, filled
from tests.doors import rows as rows


@pytest.mark.parametrize("kind", ["without a token", "with a token that was guessed"])
def test_no_write_by_cookie_goes_without_the_pages_own_token(rows: dict[Any, Any], kind: str) -> None:
    """As an admin, whom nothing else would stop."""
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(person("ada-1", Role.ADMIN), backend=SIGN_IN)
    headers = {"X-CSRFToken": "a" * 32, "Referer": "https://evil.example/"} if "guessed" in kind else {}
    before, complaints, refused = tables.everything(), [], 0

    for address in sorted(set(addresses())):
        path = filled(address, rows)
        data: Any = body(rows)
        for method in ("POST", "PUT", "PATCH", "DELETE") if path.startswith("/api/") else ("POST", "DELETE"):
            if method == "POST" and not path.startswith("/api/"):
                answer = client.post(path, data, headers=headers)
            else:
                answer = client.generic(method, path, json.dumps(data), "application/json", headers=headers)
            refused += answer.status_code == 403
            # Nothing lives at some addresses, and some take no such method; those write nothing either.
            if answer.status_code not in (403, 404, 405):
                complaints.append(f"{method} {path} answered {answer.status_code}")

    assert complaints == []
    assert refused > 250
    assert tables.everything() == before
    assert client.get("/account/").status_code == 200, "nor is anybody signed out"


def test_a_token_of_the_page_does_not_help_another_origin(rows: dict[Any, Any]) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(person("ada-1", Role.ADMIN), backend=SIGN_IN)
    client.get("/account/")
    token = client.cookies["logos_csrf"].value

    own = client.post("/account/tokens/", {"name": "x", "csrfmiddlewaretoken": token})
    forged = client.post(
        "/account/tokens/",
        {"name": "x", "csrfmiddlewaretoken": token},
        headers={"Origin": "https://evil.example"},
    )

    assert (own.status_code, forged.status_code) == (200, 403)


def test_cookies_are_sent_to_no_other_site_and_scripts_do_not_read_the_session(db: None) -> None:
    client = Client()
    person("alice")
    client.post("/accounts/login/", {"login": "alice", "password": "a long enough password"})

    session = client.cookies["logos_session"]
    assert session["samesite"] == "Lax"
    assert session["httponly"]
