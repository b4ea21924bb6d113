"""What looks like a secret is masked, ordinary text is not, and the time it takes is linear."""

from __future__ import annotations

import time

import pytest

from agents import secrets
from agents.models import ApiToken

MASK = secrets.MASK
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nq83v\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"

SECRETS = {
    "bearer": "Bearer abcdef123456789",
    "bearer, lower case": "bearer ya29.A0ARrdaM-abc_def",
    "any authorization header": "Authorization: Bearer aaaaaaaa",
    "basic": "authorization: basic dXNlcjpwYXNz",
    "OpenAI": "sk-proj-4f8aBcD1234567890abcd",
    "twenty letters": "sk-abcdefghijklmnopqrstuvwxyz",
    "Anthropic": "sk-ant-api03-AbCdEf0123456789_-xyz",
    "OpenRouter": "sk-or-v1-0123456789abcdef0123456789abcdef",
    "Stripe": "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "JWT": JWT,
    "PEM": PEM,
    "PEM in JSON": PEM.replace("\n", "\\n"),
    "PEM without end": PEM[:60],
    "GitHub": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "GitHub fine-grained": "github_pat_11ABCDEFG0123456789_abcdefghij",
    "GitLab": "glpat-xxxxXXXX1234567890ab",
    "Slack": "xoxb-123456789012-123456789012-abcdefABCDEF",
    "AWS": "AKIAIOSFODNN7EXAMPLE",
    "Hugging Face": "hf_abcdefghijABCDEFGHIJ0123456789abcd",
    "Google": "AIzaSyA-0123456789abcdefghijklmnopqrstu",
    "ours": "logos_" + "Ab3-_" * 8 + "xyz",
}
PROSE = [
    "The bearer of this letter may enter. Bearer authentication is used, and bearer request/response pairs.",
    "pip install sk-learn-compatible-estimators; see pk-constraint-on-the-table and rk-something-long-and-plain",
    "logos_site.templatetags.interface and logos_session are names; so is logos_conversation_identifier",
    "A risk-averse, desk-bound task-management system with disk-encryption-at-rest-enabled-by-default.",
    "https://example.org:8091/path@v2 and git@github.com:owner/name.git and http://localhost:11434/v1",
    "eyJ is how a JWT begins; AKIA is how an access key begins; -----BEGIN CERTIFICATE----- is public.",
    "fingerprint 3f2a9c8e7d6b5a4f3e2d1c0b9a8f7e6d5c4b3a2f1e0d9c8b7a6f5e4d3c2b1a0f",
    "run_01j9zq4e7m8n6p5r3s2t1v0w9x in conv_01j9zq4e7m8n6p5r3s2t1v0w9y",
    "",
]


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
@pytest.mark.parametrize("around", ["{}", "key={} and", '{{"key": "{}"}}', "first\n{}\nlast", "({})."])
def test_what_is_shaped_like_a_secret_is_masked_wherever_it_stands(secret: str, around: str) -> None:
    text = secrets.redact(around.format(secret))

    assert MASK in text
    assert secret not in text
    assert secret.split()[-1][-8:].rstrip("-") not in text
    assert text.startswith(around.split("{}", 1)[0].replace("{{", "{"))


@pytest.mark.parametrize("text", PROSE)
def test_ordinary_text_passes_unchanged(text: str) -> None:
    assert secrets.redact(text) == text


def test_an_address_keeps_its_host_and_loses_its_name_and_password() -> None:
    assert secrets.redact("postgres://ada:pa55word@db:5432/x") == f"postgres://{MASK}@db:5432/x"


def test_known_secrets_are_masked_whatever_they_look_like() -> None:
    assert secrets.redact("it is hunter2 and hunter2-more", ["hunter2", "hunter2-more"]) == f"it is {MASK} and {MASK}"


def test_known_secrets_too_short_to_be_one_are_left() -> None:
    assert secrets.redact("a cat and an ox", ["cat", ""]) == "a cat and an ox"


def test_redacting_twice_changes_nothing_more() -> None:
    once = secrets.redact("\n".join(SECRETS.values()))

    assert secrets.redact(once) == once


@pytest.mark.django_db
def test_our_own_tokens_are_recognised(alice) -> None:  # type: ignore[no-untyped-def]
    _, token = ApiToken.make(alice, "laptop")

    assert secrets.redact(f"curl -H 'X: {token}'") == f"curl -H 'X: {MASK}'"


# Shapes half begun, over and over: an expression that goes back would need minutes for these.
WORST = [
    "hello world ",
    "eyJ-",
    "sk-",
    "bearer ",
    "://a:",
    "-----BEGIN PRIVATE KEY",
    "authorization: ",
    "eyJaaaaaaaaaaa.",
]


@pytest.mark.parametrize("piece", WORST)
def test_a_megabyte_takes_a_fraction_of_a_second(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))

    started = time.process_time()
    secrets.redact(text)
    secrets.settled(text)

    assert time.process_time() - started < 10


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
def test_a_text_cut_inside_a_secret_is_settled_only_before_it(secret: str) -> None:
    before = "Here you are, it is: \n"

    for cut in range(1, len(secret)):
        held = secrets.settled(before + secret[:cut])
        shown = secrets.redact((before + secret[:cut])[:held]) + secrets.redact((before + secret + " ok")[held:])
        assert shown == secrets.redact(before + secret + " ok"), secret[:cut]


@pytest.mark.parametrize("text", ["A plain sentence.", "in the middle of wor", "a list\n- ", "1 + 2 = ", "ask-me", "x"])
def test_ordinary_text_that_grows_is_shown_at_once(text: str) -> None:
    assert secrets.settled(text + " ") == len(text) + 1
