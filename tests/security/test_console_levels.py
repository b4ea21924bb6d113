"""What a level lets one do is the same in the console as on the pages: an editor there shares and archives nothing."""

from __future__ import annotations

import pytest
from django.db.models import Model

from agents import permissions, souls
from agents.models import Agent, ModelRoute, Policy, Role, Soul, User
from agents.toolsets import ToolsetLists
from tests.conftest import person
from tests.console import Console, complaints
from tests.rules import rules


@pytest.fixture
def otto(db: None) -> User:
    return person("otto", Role.OPERATOR)


@pytest.fixture
def roots(alice: User, atlas: Agent, soul: Soul, route: ModelRoute, otto: User) -> list[Model]:
    """Alice's, private, with the level edit for Otto."""
    policy = Policy.objects.create(name="Hosts", owner=alice, rules=rules("pypi.org"))
    found: list[Model] = [atlas, soul, route, policy]
    for row in found:
        type(row)._default_manager.filter(pk=row.pk).update(visibility="private")
        row.refresh_from_db()
        permissions.grant(otto, "edit", row)
    return found


def test_who_may_edit_does_not_share_with_everyone(roots: list[Model], otto: User) -> None:
    for row in roots:
        assert Console(otto).save(row, visibility="shared").status_code == 302

        row.refresh_from_db()
        assert row.visibility == "private", row  # type: ignore[attr-defined]


def test_who_manages_does(roots: list[Model], otto: User) -> None:
    for row in roots:
        permissions.grant(otto, "manage", row)
        assert Console(otto).save(row, visibility="shared").status_code == 302

        row.refresh_from_db()
        assert row.visibility == "shared", row  # type: ignore[attr-defined]


def test_who_may_edit_a_soul_puts_it_into_no_archive(roots: list[Model], otto: User, soul: Soul) -> None:
    page = Console(otto).save(soul, status="archived")

    assert "Only those who manage a soul" in complaints(page)
    soul.refresh_from_db()
    assert soul.status == "active"


def test_an_owner_is_somebody_who_may_manage_it(ada: User, viewer: User, atlas: Agent, alice: User) -> None:
    page = Console(ada).save(atlas, owner=viewer.username)

    assert "could not manage it" in complaints(page)
    User.objects.filter(pk=alice.pk).update(role=Role.VIEWER)
    assert Console(ada).save(atlas, name="Other").status_code == 302, "whoever has it keeps it"
    atlas.refresh_from_db()
    assert (atlas.owner, atlas.name) == (alice, "Other")


def test_an_agent_is_composed_by_the_rules_of_the_pages(ada: User, alice: User, atlas: Agent) -> None:
    strict = souls.create("Strict", "Text.", alice, toolsets=ToolsetLists(forbidden=("terminal",)))
    put_away = souls.create("Old", "Text.", alice, status="archived")
    console = Console(ada)

    assert "forbids the toolset terminal" in complaints(console.save(atlas, soul=strict.pk))
    assert "is archived" in complaints(console.save(atlas, soul=put_away.pk))
    hidden = console.save(atlas, description="Calm\N{RIGHT-TO-LEFT OVERRIDE} and exact")
    assert "invisible character" in complaints(hidden)
    atlas.refresh_from_db()
    assert (atlas.soul.name, atlas.description) == (souls.STARTER_NAME, "")
