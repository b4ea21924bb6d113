"""A provider that forges, or somebody who stands between: nothing it says opens an account."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client

from agents.models import User
from tests.oidc import Forger, configured, is_in, leave, said

OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def forger(settings: Any, alice: User) -> Iterator[Forger]:
    forger = Forger()
    configured(settings, forger.issuer, trusts_email=True)
    yield forger
    forger.close()


def come(forger: Forger) -> Client:
    client = Client()
    client.get(forger.send_back(leave(client)))
    return client


def test_told_the_truth_it_opens_the_account(forger: Forger) -> None:
    """Otherwise the refusals below would prove nothing."""
    assert is_in(come(forger)) == "alice"
    assert forger.asked["code_verifier"]
    assert forger.asked["client_secret"] == "s3cret-of-corp"


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"aud": "somebody-else"},
        {"aud": ["somebody-else"]},
        {"aud": ["logos", "other"], "azp": "other"},
        {"exp": "two minutes ago"},  # the same name in every worker
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"sub": 7},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email_verified": 1},
        {"email_verified": None},
        {"email": "mallory@evil.example\n, alice@example.org"},
        {"email": ["alice@example.org"]},
        {"email": "alice@example.org@evil.example"},
    ],
    ids=str,
)
def test_a_token_that_does_not_fit_opens_nothing(forger: Forger, claims: dict[str, Any]) -> None:
    forger.claims = {**claims, **({"exp": int(time.time()) - 120} if claims.get("exp") else {})}

    client = come(forger)

    assert is_in(client) == ""
    page = said(client)
    assert "did not work" in page or "no account here" in page


def _unsigned(claims: dict[str, Any]) -> str:
    head, body = ({"alg": "none", "kid": "1"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(it).encode()).decode().rstrip("=") for it in (head, body)) + "."


def _public_as_password(forger: Forger) -> Callable[[dict[str, Any]], str]:
    # The oldest confusion: the public key, which everybody has, taken for a shared secret.
    import hashlib
    import hmac

    pem = forger.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )

    def sign(claims: dict[str, Any]) -> str:
        head = {"alg": "HS256", "typ": "JWT", "kid": "1"}
        parts = [base64.urlsafe_b64encode(json.dumps(it).encode()).rstrip(b"=") for it in (head, claims)]
        mac = hmac.new(pem, b".".join(parts), hashlib.sha256).digest()
        return b".".join([*parts, base64.urlsafe_b64encode(mac).rstrip(b"=")]).decode()

    return sign


@pytest.mark.parametrize(
    "signed",
    [
        lambda forger: _unsigned,
        lambda forger: lambda claims: jwt.encode(claims, OTHER_KEY, "RS256", headers={"kid": "1"}),
        lambda forger: lambda claims: jwt.encode(claims, forger.key, "RS256", headers={"kid": "2"}),
        lambda forger: _public_as_password(forger),
        lambda forger: lambda claims: "",
        lambda forger: lambda claims: "a.b.c",
    ],
    ids=["unsigned", "another key", "unknown key", "public key as a password", "nothing", "nonsense"],
)
def test_a_token_nobody_signed_opens_nothing(forger: Forger, signed: Any) -> None:
    forger.sign = signed(forger)

    client = come(forger)

    assert is_in(client) == ""
    assert "did not work" in said(client)


def test_userinfo_of_another_subject_opens_nothing(forger: Forger) -> None:
    forger.claims = {"email": None, "email_verified": None}
    forger.userinfo = {"sub": "s-other", "email": "alice@example.org", "email_verified": True}
    assert is_in(come(forger)) == ""

    forger.userinfo["sub"] = "s-1"
    assert is_in(come(forger)) == "alice"


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://elsewhere.example"},
        {"issuer": None},
        {"authorization_endpoint": "http://plain.example/auth"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": None},
        {"jwks_uri": "http://plain.example/keys"},
    ],
    ids=str,
)
def test_a_provider_that_says_odd_things_of_itself_is_not_visited(forger: Forger, document: dict[str, Any]) -> None:
    forger.document = document
    client = Client()

    answer = client.post("/accounts/oidc/corp/login/")

    assert answer.status_code == 302
    assert "did not work" in said(client)
