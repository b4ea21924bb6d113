"""What was asked before there were kinds of approvals is there afterwards, and again if somebody goes back."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.db.backends.sqlite3.base import DatabaseWrapper
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from agents.gate import judge

BEFORE, AFTER = ("runs", "0004_runs_by_state"), ("runs", "0007_approvals_without_commands")
UNTITLED = "The agent asks before it runs this"


@pytest.fixture
def database(django_db_blocker: Any) -> Iterator[DatabaseWrapper]:
    """An empty database of its own in the place of the default one, so that no other test meets an old shape."""
    usual = connections["default"]
    facts = copy.deepcopy(usual.settings_dict)
    facts |= {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "OPTIONS": {}}
    own = DatabaseWrapper(facts, "default")
    with django_db_blocker.unblock():
        connections["default"] = own
        try:
            yield own
        finally:
            connections["default"] = usual


def moved(database: DatabaseWrapper, to: tuple[str, str]) -> Any:
    """The models as they were at that migration, once the database is there."""
    executor = MigrationExecutor(database)
    executor.migrate([to])
    return executor.loader.project_state([to]).apps


def asked_before(apps: Any) -> dict[str, str]:
    """Old requests in every state, by their state; one has no description."""
    get = apps.get_model
    owner = get("agents", "User").objects.create(username="alice", role="user")
    soul = get("agents", "Soul").objects.create(id="soul_1", name="Kind", slug="kind", text="Be kind.", owner=owner)
    agent = get("agents", "Agent").objects.create(id="agent_1", name="atlas", soul=soul, owner=owner)
    chat = get("runs", "Conversation").objects.create(id="conv_1", agent=agent, owner=owner)
    message = get("runs", "Message").objects.create(id="msg_1", conversation=chat, speaker="person", text="Hello")
    run = get("runs", "Run").objects.create(
        id="run_1", conversation=chat, agent=agent, message=message, actor=owner, status="done"
    )
    now = timezone.now()
    for state in ("pending", "allowed", "denied", "expired"):
        get("runs", "Approval").objects.create(
            id=f"appr_{state}",
            run=run,
            command=f"rm -rf {state} 'größe'",
            description="" if state == "expired" else f"deletes {state}",
            subject_hash=state * 4,
            state=state,
            decided_by=owner if state in ("allowed", "denied") else None,
            decided_at=None if state == "pending" else now,
            expires_at=now + timedelta(minutes=5),
        )
    return {row.state: row.pk for row in get("runs", "Approval").objects.all()}


def test_old_requests_are_carried_over_and_back(database: DatabaseWrapper) -> None:
    before = moved(database, BEFORE)
    old = asked_before(before)

    rows = {row.state: row for row in moved(database, AFTER).get_model("runs", "Approval").objects.all()}

    assert {state: row.pk for state, row in rows.items()} == old
    for state, row in rows.items():
        assert (row.kind, row.tier, row.by_runtime) == ("command", "user", True), state
        assert row.subject == {"command": f"rm -rf {state} 'größe'"}
        assert row.title == (UNTITLED if state == "expired" else f"deletes {state}")
        assert row.choice == {"allowed": "once", "denied": "deny"}.get(state, "")
        assert (row.agent_id, row.run_id, row.asked_for.username) == ("agent_1", "run_1", "alice")
        assert row.subject_hash == state * 4, "a decision named this, and must not come to mean another question"
        assert (row.decided_by_id is not None) == (state in ("allowed", "denied"))
    keys = {row.key for row in rows.values()}
    assert len(keys) == 4
    assert all(len(key) == 64 for key in keys)
    # No rule of today reaches what was asked then: its key is of another making.
    assert judge("rm -rf allowed 'größe'").key not in keys

    again = moved(database, BEFORE).get_model("runs", "Approval").objects
    assert {row.state: (row.command, row.description) for row in again.all()} == {
        state: (f"rm -rf {state} 'größe'", UNTITLED if state == "expired" else f"deletes {state}") for state in old
    }
