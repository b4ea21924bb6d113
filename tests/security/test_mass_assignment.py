"""Fields nobody offered, sent with every change the API knows: roles, owners and flags stay what they were."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.test import Client

from agents.models import Agent, ApiToken, Role, Soul, User
from logos_site.api import api
from runs.models import Approval, ApprovalRule, Conversation, ReviewerReversal, Run
from sandboxes.models import Sandbox
from tests.conftest import person
from tests.doors import SIGN_IN, filled
from tests.doors import rows as rows

# What belongs to whom and who is what; a change of these is only for the doors made for it.
WATCHED = {
    "role", "owner_id", "user_id", "keeper_id", "kind", "is_staff", "is_superuser", "is_active", "actor_id",
    "person_id", "digest", "scopes", "password", "version",
}  # fmt: skip


def extras(other: User) -> dict[str, Any]:
    """Every name under which somebody might try."""
    return {
        "role": "admin",
        "is_staff": True,
        "is_superuser": True,
        "is_admin": True,
        "is_active": True,
        "kind": "service",
        "owner": other.username,
        "owner_id": other.pk,
        "user": other.username,
        "user_id": other.pk,
        "keeper_id": other.pk,
        "id": "agent_forged",
        "pk": 1,
        "digest": "0" * 64,
        "password": "changed by mass",
        "groups": [1],
        "user_permissions": [1],
        "created_at": "2001-01-01T00:00:00Z",
    }


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(method, address, example body) of every change in the schema."""
    schema = api.get_openapi_schema()
    for address, methods in schema["paths"].items():
        for method, operation in methods.items():
            if method.upper() in ("POST", "PUT", "PATCH"):
                content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
                yield method.upper(), address, _example(schema, content.get("schema", {}))


def _example(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in part:
        part = schema["components"]["schemas"][part["$ref"].rpartition("/")[2]]
    return dict(part.get("example") or {})


def who_is_what() -> dict[tuple[str, Any], dict[str, Any]]:
    """The watched columns of every row of ours."""
    found = {}
    for model in apps.get_models():
        columns = sorted(WATCHED & {field.attname for field in model._meta.concrete_fields})
        if model.__module__.startswith(("agents.", "runs.", "sandboxes.")) and columns:
            for row in model._base_manager.values("pk", *columns):
                found[model._meta.label, row["pk"]] = {name: row[name] for name in columns}
    return found


@pytest.mark.parametrize("by", ["API", "form"])
def test_what_nobody_offered_changes_nothing(rows: dict[Any, Any], mallory: User, by: str) -> None:
    alice = rows[User]
    client = Client(raise_request_exception=False)
    client.force_login(alice, backend=SIGN_IN)
    more, accepted = extras(mallory), 0
    before = who_is_what()

    for method, path, data in _api(rows) if by == "API" else _forms(rows):
        answer = (
            client.generic(method, path, json.dumps({**more, **data}), "application/json")
            if by == "API"
            else client.post(path, {**more, **data})
        )
        accepted += answer.status_code < 400
        now = who_is_what()
        for key, was in before.items():
            became = now.get(key)
            if became is not None:
                # A save counts up; that is all that may differ.
                differs = {name for name in was if was[name] != became[name]} - {"version"}
                assert not differs, f"{method} {path} changed {differs} of {key}"
        for key in now.keys() - before.keys():
            if key[0] not in ("agents.SecurityEvent",):
                given = {name: now[key].get(name) for name in ("owner_id", "user_id") if name in now[key]}
                assert mallory.pk not in given.values(), f"{method} {path} made {key} somebody else's"
                assert now[key].get("role") not in (Role.ADMIN,), f"{method} {path} made an admin"
        before = now

    assert accepted >= (8 if by == "API" else 4), "or the extra fields were never looked at"
    alice.refresh_from_db()
    assert (alice.role, alice.is_staff, alice.is_superuser) == (Role.USER, False, False)
    assert alice.check_password("a long enough password")


def _api(rows: dict[Any, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    known = {"agent_id": rows[Agent].pk, "soul_id": rows[Soul].pk, "conversation_id": rows[Conversation].pk}
    known |= {
        "run_id": rows[Run].pk,
        "approval_id": rows[Approval].pk,
        "rule_id": rows[ApprovalRule].pk,
        "reversal_id": rows[ReviewerReversal].pk,
        "sandbox_id": rows[Sandbox].pk,
    }
    for method, address, example in operations():
        # The doors whose very purpose it is: giving something away, and saying who looks after a service account.
        if address.endswith("/owner"):
            continue
        data = {name: known.get(name, value) for name, value in example.items()}
        data.pop("keeper", None)
        data.pop("version", None)
        yield method, filled(address.replace("{", "<").replace("}", ">"), {**rows, ApiToken: rows[ApiToken]}), data


def _forms(rows: dict[Any, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    agent = rows[Agent].pk
    yield "POST", "/account/", {"first_name": "A", "last_name": "L", "email": rows[User].email}
    yield "POST", "/account/tokens/", {"name": "mine", "days": "30"}
    yield "POST", "/account/service-accounts/", {"name": "bot-1", "role": "viewer", "kind": "person"}
    yield "POST", f"/chat/new/{agent}/send/", {"text": "Hello"}
    yield "POST", f"/agents/{agent}/edit/", {"name": "renamed-777"}
    yield "POST", "/agents/new/", {"name": "another"}


def test_people_cannot_be_made_or_raised_by_whom_they_are_not_for(rows: dict[Any, Any]) -> None:
    otto = person("otto", Role.OPERATOR)
    client = Client()
    client.force_login(otto, backend=SIGN_IN)
    count = User.objects.count()

    for method, path in (("POST", "people"), ("PATCH", f"people/{otto.pk}"), ("POST", "people/invitations")):
        answer = client.generic(method, f"/api/{path}", json.dumps({"role": "admin"}), "application/json")
        assert answer.status_code in (403, 404, 405), path
    otto.refresh_from_db()
    assert otto.role == Role.OPERATOR
    assert User.objects.count() == count
