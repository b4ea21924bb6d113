"""No address sends a browser to another site, whatever is put into it, its form or its headers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from django.http import HttpResponse
from django.test import Client

from agents.models import Agent, User
from tests.conftest import PASSWORD, person
from tests.doors import SIGN_IN, addresses, filled
from tests.doors import rows as rows

EVIL = (
    "https://evil.example/",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/%09/evil.example",
    "/\t/evil.example",
    "http:evil.example",
    "https:///evil.example",
    "javascript:alert(1)",
    "data:text/html,evil",
    "http://testserver@evil.example/",
    "http://testserver.evil.example/",
    "%2F%2Fevil.example",
    "/\n/evil.example",
)
NAMES = ("next", "return_to", "redirect", "back", "url", "continue")


def leads_away(answer: HttpResponse, asked: str) -> str:
    """Where this answer would take a browser, if that is another site; else ""."""
    for header in ("Location", "HX-Redirect", "HX-Location", "HX-Push-Url", "Refresh"):
        where = answer.headers.get(header, "").replace("\\", "/").replace("\t", "").replace("\n", "")
        parts = urlsplit(urljoin(f"http://testserver{asked}", where))
        if where and (parts.hostname != "testserver" or parts.scheme != "http"):
            return f"{header}: {where}"
    return ""


def ways(evil: str) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """(fields, headers) that hold ``evil``."""
    fields = dict.fromkeys(NAMES, evil)
    yield fields, {}
    yield fields, {"HX-Request": "true", "HX-Current-URL": evil, "Referer": evil}


@pytest.mark.parametrize("who", ["a stranger", "alice"])
def test_no_door_leads_away(rows: dict[Any, Any], who: str) -> None:
    client = Client(raise_request_exception=False)
    if who == "alice":
        client.force_login(rows[User], backend=SIGN_IN)
    complaints, led = [], 0

    for number, address in enumerate(sorted(set(addresses()))):
        path = filled(address, rows)
        if "logout" in path or (path.startswith("/admin/") and number % 7):
            continue  # the console's many lists are one and the same
        evil = EVIL[number % len(EVIL)]
        for fields, headers in ways(evil):
            for answer in (client.get(path, fields, headers=headers), client.post(path, fields, headers=headers)):
                led += answer.has_header("Location") or answer.has_header("HX-Redirect")
                if away := leads_away(answer, path):
                    complaints.append(f"{path} with {evil!r}: {away}")

    assert complaints == []
    assert led > 30


@pytest.mark.parametrize("evil", EVIL)
def test_signing_in_and_out_leads_back_here_only(db: None, evil: str) -> None:
    person("alice")
    for path in ("/accounts/login/", f"/accounts/login/?next={evil}", "/admin/login/"):
        client = Client()
        given = {"login": "alice", "password": PASSWORD, "next": evil}
        answer = client.post(path, given, headers={"Referer": evil})
        assert answer.status_code == 302, path
        assert leads_away(answer, path) == "", path
        out = client.post("/accounts/logout/", {"next": evil})
        assert out.status_code == 302
        assert leads_away(out, "/accounts/logout/") == ""


def test_a_foreign_host_header_gets_no_address_of_ours(db: None, rows: dict[Any, Any]) -> None:
    answer = Client().get(f"/agents/{rows[Agent].pk}/", headers={"Host": "evil.example"})

    assert answer.status_code == 400
    assert "evil.example" not in answer.headers.get("Location", "")
