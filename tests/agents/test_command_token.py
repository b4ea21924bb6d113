"""`manage.py token`: the secret is printed once and nothing else is on standard output."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agents.models import ApiToken, User
from tests import shell
from tests.api_client import Program


def test_the_secret_alone_is_printed_and_works(alice: User) -> None:
    ended = shell.run("token", "create", "alice", "build", "--days", "30")

    assert Program(secret=ended.out.strip()).get("me")["username"] == "alice"
    token = ApiToken.objects.get()
    assert token.name == "build"
    assert abs(token.expires_at - token.created_at - timedelta(days=30)) < timedelta(minutes=1)


def test_lists_show_no_secret_and_a_revoked_token_is_gone(alice: User, bob: User) -> None:
    made = shell.run("token", "create", "alice", "build", "--json").json
    shell.run("token", "create", "bob", "other")

    listed = shell.run("token", "list", "alice")
    assert "build" in listed.out
    assert "other" not in listed.out
    assert made["secret"] not in listed.out
    assert len(shell.run("token", "list", "--json").json) == 2

    assert shell.run("token", "revoke", str(made["id"])).code == 0
    assert Program(secret=made["secret"])("GET", "me").status_code == 401
    assert shell.run("token", "revoke", str(made["id"])).code == 1


@pytest.mark.parametrize(
    "words", [("create", "nobody", "x"), ("create", "alice", " "), ("create", "alice", "x", "--days", "0")]
)
def test_a_token_that_cannot_be_is_refused(alice: User, words: tuple[str, ...]) -> None:
    ended = shell.run("token", *words)

    assert (ended.code, ended.out) == (1, "")
    assert not ApiToken.objects.exists()
