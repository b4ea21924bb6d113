"""What a token may be used for: a table of requests, then the API itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from agents import scopes, tokens
from agents.actions import ACTIONS
from agents.errors import Invalid, NotFound
from agents.models import Agent, ApiToken, SecurityEvent, User
from tests.api_client import Program


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/api/people", "read"),
        ("HEAD", "/api/agents", "read"),
        ("OPTIONS", "/api/tokens", "read"),
        ("POST", "/api/conversations", "chat"),
        ("post", "/api/runs/run_1/clone", "chat"),
        ("POST", "/api/approvals/appr_1", "chat"),
        ("PATCH", "/api/agents/agent_1", "agents"),
        ("PUT", "/api/souls/soul_1/grants/people/bob", "agents"),
        ("POST", "/api/sandboxes/box_1/stop", "agents"),
        ("POST", "/api/routes", "admin"),
        ("POST", "/api/tokens", "admin"),
        ("DELETE", "/api/people/7", "admin"),
        ("POST", "/api/what-nobody-thought-of", "admin"),
        ("POST", "/api/", "admin"),
        ("BREW", "/api/agents", "agents"),
        ("POST", "//api/agents", "admin"),
        ("POST", "/api//agents", "admin"),
        ("POST", "/api/Agents", "admin"),
    ],
)
def test_a_request_needs_the_scope_of_its_family(method: str, path: str, scope: str) -> None:
    assert scopes.needed(method, path) == scope


@pytest.mark.parametrize(
    ("held", "covered"),
    [
        ("read", {"read"}),
        ("chat", {"read", "chat"}),
        ("agents", {"read", "agents"}),
        ("chat agents", {"read", "chat", "agents"}),
        ("admin", {"read", "chat", "agents", "admin"}),
        ("", set()),
    ],
)
def test_every_scope_includes_looking_and_admin_all(held: str, covered: set[str]) -> None:
    assert {name for name in scopes.SCOPES if scopes.covers(held, name)} == covered


def test_scopes_are_made_of_families_of_actions() -> None:
    families = {name.partition(".")[0] for name in ACTIONS}

    assert {family for scope in scopes.SCOPES.values() for family in scope.families} <= families
    assert set(scopes.FAMILIES.values()) <= families


def test_scopes_are_stored_in_one_spelling() -> None:
    assert scopes.stored(None) == "admin"
    assert scopes.stored(["agents", "chat", "read", "chat"]) == "chat agents"
    assert scopes.stored(["read", "admin"]) == "admin"
    assert scopes.stored(["read"]) == "read"
    for words in ([], ["root"], ["chat", ""]):
        with pytest.raises(Invalid):
            scopes.stored(words)


def test_a_token_is_refused_what_it_is_not_for_and_told_what_is(alice: User, atlas: Agent) -> None:
    _, secret = tokens.make(alice, "reader", words=["read"])
    reader = Program(secret=secret)

    assert reader.get(f"agents/{atlas.pk}")["name"] == "atlas"
    refused = reader.post("conversations", {"agent_id": atlas.pk, "text": "Hello"}, 403)["error"]

    assert refused["reason"] == "scope"
    assert refused["action"] == "Use one with the scope chat."
    event = SecurityEvent.objects.get(kind="refused")
    assert (event.actor, event.detail["scope"]) == (alice, "chat")


def test_a_scope_gives_nothing_its_person_has_not(mallory: User, atlas: Agent) -> None:
    _, secret = tokens.make(mallory, "all", words=["admin"])

    assert Program(secret=secret)("GET", f"agents/{atlas.pk}").status_code == 404


def test_no_token_but_one_for_everything_makes_tokens(alice: User) -> None:
    for words in (["read"], ["chat", "agents"]):
        _, secret = tokens.make(alice, "small", words=words)
        assert Program(secret=secret)("POST", "tokens", {"name": "bigger"}).status_code == 403
    _, secret = tokens.make(alice, "all")
    assert Program(secret=secret)("POST", "tokens", {"name": "smaller", "scopes": ["read"]}).status_code == 201


def test_a_token_lives_ninety_days_unless_said_and_never_longer_than_allowed(alice: User, settings: Any) -> None:
    token, _ = tokens.make(alice, "usual")
    assert token.expires_at - timezone.now() > timedelta(days=89)
    settings.LOGOS_TOKEN_MAX_DAYS = 30
    capped, _ = tokens.make(alice, "capped")

    assert capped.expires_at - timezone.now() < timedelta(days=31)
    answer = Program(alice).post("tokens", {"name": "long", "days": 31}, 400)
    assert answer["error"]["message"] == "A token is valid for 1 to 30 days."


def test_a_rotated_token_has_a_new_secret_and_the_old_one_works_a_while(alice: User) -> None:
    program = Program(alice)
    old = program.post("tokens", {"name": "build", "days": 30, "scopes": ["chat"]}, 201)

    new = program.post(f"tokens/{old['id']}/rotate", {"hours": 2}, 201)

    assert new["secret"] != old["secret"]
    assert (new["name"], new["scopes"]) == ("build", ["chat"])
    assert Program(secret=old["secret"]).get("me")["username"] == "alice"
    assert Program(secret=new["secret"]).get("me")["username"] == "alice"
    row = ApiToken.objects.get(pk=old["id"])
    assert row.expires_at - timezone.now() <= timedelta(hours=2)
    now = program.post(f"tokens/{new['id']}/rotate", {"hours": 0}, 201)
    assert Program(secret=new["secret"])("GET", "me").status_code == 401
    assert Program(secret=now["secret"])("GET", "me").status_code == 200


def test_only_ones_own_living_token_can_be_rotated(alice: User, mallory: User) -> None:
    token, _ = tokens.make(alice, "build")

    assert Program(mallory)("POST", f"tokens/{token.pk}/rotate", {}).status_code == 404
    ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now())
    with pytest.raises(NotFound):
        tokens.rotate(alice, token.pk)
    with pytest.raises(Invalid):
        tokens.rotate(alice, token.pk, 721)


def test_a_token_in_an_address_opens_nothing_and_is_called_out(alice: User) -> None:
    _, secret = tokens.make(alice, "build")

    for name in ("token", "access_token", "api_key", "anything"):
        bare = Program()("GET", f"me?{name}={secret}")
        assert bare.status_code == 400
        assert bare.json()["error"]["reason"] == "token_in_address"
        assert secret not in bare.content.decode()
        assert Program(secret=secret)("GET", f"me?{name}={secret}").status_code == 400
    assert Program(secret=secret)("GET", "me?token=logos_short").status_code == 200
