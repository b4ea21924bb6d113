"""Permissions cost one query for a list and at most one for a check, however many grants there are."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models import Model

from agents import permissions
from agents.actions import ACTIONS
from agents.errors import NotFound
from agents.models import Agent, ModelRoute, Policy, Role, Soul
from runs.models import Approval, Conversation, Message, Run
from sandboxes.models import EgressDecision, InferenceCall, Sandbox
from tests.agents.permission_world import World
from tests.conftest import person

pytestmark = pytest.mark.django_db

VIEW: dict[type[Model], str] = {
    Agent: "agent.view",
    Soul: "soul.view",
    ModelRoute: "route.view",
    Policy: "policy.view",
    Conversation: "conversation.view",
    Message: "conversation.view",
    Run: "run.view",
    Approval: "run.view",
    Sandbox: "sandbox.view",
    InferenceCall: "call.view",
    EgressDecision: "egress.view",
}


@pytest.mark.parametrize("role", Role.values)
def test_a_list_is_one_query_and_so_is_a_check(role: str, django_assert_num_queries: Any) -> None:
    world = World(person("who", role))

    for model, action in VIEW.items():
        row = next(iter(world.rows[model].values()))
        with django_assert_num_queries(1):
            seen = list(permissions.visible(world.who, model._default_manager.all()))
        # Whether chats are private decides what the role admin opens.
        is_closable = ACTIONS[action].content
        with django_assert_num_queries(0 if role == Role.ADMIN and not is_closable else 1):
            permissions.allows(world.who, action, row)
        with django_assert_num_queries(1):
            assert _fetched(world, action, row) == (row in seen)


@pytest.mark.parametrize("model", VIEW)
def test_a_list_without_an_action_is_what_may_be_seen(model: type[Model]) -> None:
    world = World(person("who"))
    rows = model._default_manager.order_by("pk")

    named = list(permissions.visible(world.who, rows, VIEW[model]))

    assert list(permissions.visible(world.who, rows)) == named
    assert 0 < len(named) < len(rows)


def _fetched(world: World, action: str, row: Model) -> bool:
    try:
        return permissions.fetch(world.who, action, type(row)._default_manager.all(), pk=row.pk) == row
    except NotFound:
        return False
