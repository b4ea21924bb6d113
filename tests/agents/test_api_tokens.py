"""/api/tokens: the secret is shown once, and nobody sees or revokes another's."""

from __future__ import annotations

from agents.models import ApiToken, User
from tests.api_client import Program


def test_the_secret_is_shown_once_and_works(alice: User) -> None:
    made = Program(alice).post("tokens", {"name": "build", "days": 30}, 201)

    assert Program(secret=made["secret"]).get("me")["username"] == "alice"
    listed = Program(alice)("GET", "tokens")
    assert made["secret"] not in listed.content.decode()
    assert ApiToken.digest_of(made["secret"]) not in listed.content.decode()
    assert made["id"] in [token["id"] for token in listed.json()["items"]]


def test_a_revoked_token_is_gone_at_once(alice: User) -> None:
    program = Program(alice)
    made = program.post("tokens", {"name": "build"}, 201)

    assert program("DELETE", f"tokens/{made['id']}").status_code == 204

    assert Program(secret=made["secret"])("GET", "me").status_code == 401
    assert program("DELETE", f"tokens/{made['id']}").status_code == 404
    assert made["id"] not in [token["id"] for token in program.get("tokens")["items"]]


def test_nobody_sees_or_revokes_the_tokens_of_others_not_even_an_admin(alice: User, mallory: User, ada: User) -> None:
    token, _ = ApiToken.make(alice, "alice's own")

    for other in (mallory, ada):
        assert "alice's own" not in [item["name"] for item in Program(other).get("tokens")["items"]]
        assert Program(other)("DELETE", f"tokens/{token.pk}").status_code == 404
    token.refresh_from_db()
    assert token.revoked_at is None


def test_a_token_needs_a_name(alice: User) -> None:
    assert Program(alice).post("tokens", {"name": "  "}, 400)["error"]["field"] == "name"
    assert Program(alice).post("tokens", {"name": "x", "days": 0}, 422)["error"]["field"] == "days"
