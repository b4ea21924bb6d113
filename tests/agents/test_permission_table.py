"""Who may do what: every action, role and relation, and four functions that never disagree."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db.models import Model

from agents.actions import ACTIONS
from agents.models import (
    Agent,
    AgentCapability,
    AgentDocument,
    AgentNote,
    AgentSecret,
    ModelRoute,
    Policy,
    Preset,
    Provider,
    Role,
    Soul,
)
from mcp_gateway.models import McpServer
from runs.models import Approval, Budget, Charge, Conversation, Message, Run
from sandboxes.models import EgressDecision, InferenceCall, Sandbox
from tests.agents.permission_world import LIVES, RELATIONS, ROOTS, TALKS, World, answers
from tests.conftest import person

pytestmark = [pytest.mark.django_db, pytest.mark.sweep]

# model -> {action: (least level on the root, roles that may do it at all)}
ALL, WORKERS, KEEPERS = "admin operator user viewer", "admin operator user", "admin operator"
TABLE: dict[type[Model], dict[str, tuple[str, str]]] = {
    Agent: {
        "agent.view": ("view", ALL),
        "agent.chat": ("chat", WORKERS),
        "agent.edit": ("edit", WORKERS),
        "agent.manage": ("manage", WORKERS),
        "agent.learn": ("manage", KEEPERS),
        "agent.halt": ("manage", WORKERS),
        "sandbox.limit": ("manage", WORKERS),
        "sandbox.shell": ("manage", WORKERS),
        "approval.decide_admin": ("manage", KEEPERS),
        "approval.rules": ("manage", WORKERS),
        "reviewer.switch": ("manage", KEEPERS),
        "workspace.view": ("chat", WORKERS),
        "workspace.write": ("edit", WORKERS),
        "agent.limit": ("manage", KEEPERS),
        "tool.view": ("manage", ALL),
        "tool.call": ("manage", WORKERS),
        "tool.rules": ("manage", WORKERS),
        "mcpcall.view": ("manage", ALL),
        "access.view": ("view", ALL),
        "access.give": ("manage", WORKERS),
    },
    McpServer: {
        "server.view": ("view", ALL),
        "server.edit": ("edit", KEEPERS),
        "server.manage": ("manage", KEEPERS),
    },
    Soul: {"soul.view": ("view", ALL), "soul.edit": ("edit", WORKERS), "soul.manage": ("manage", WORKERS)},
    ModelRoute: {
        "route.view": ("view", ALL),
        "route.edit": ("edit", KEEPERS),
        "route.manage": ("manage", KEEPERS),
    },
    Policy: {
        "policy.view": ("view", ALL),
        "policy.edit": ("edit", KEEPERS),
        "policy.manage": ("manage", KEEPERS),
        "gate.view": ("view", ALL),
        "gate.edit": ("edit", KEEPERS),
    },
    AgentCapability: {
        "capability.view": ("view", ALL),
        "capability.switch": ("edit", WORKERS),
        "capability.trust": ("manage", WORKERS),
    },
    AgentSecret: {"secret.view": ("edit", WORKERS), "secret.edit": ("edit", WORKERS)},
    AgentNote: {"note.view": ("manage", ALL), "note.edit": ("manage", WORKERS)},
    AgentDocument: {"document.view": ("view", ALL), "document.edit": ("edit", WORKERS)},
    Sandbox: {"sandbox.view": ("view", ALL), "sandbox.operate": ("manage", WORKERS)},
    InferenceCall: {"call.view": ("manage", ALL)},
    EgressDecision: {"egress.view": ("manage", ALL)},
    Conversation: {"conversation.view": ("view", ALL), "conversation.write": ("chat", WORKERS)},
    Message: {"conversation.view": ("view", ALL)},
    Run: {
        "run.view": ("view", ALL),
        "run.cancel": ("chat", WORKERS),
        "run.approve": ("chat", WORKERS),
        "run.clone": ("view", WORKERS),
    },
    Approval: {"run.view": ("view", ALL), "run.approve": ("chat", WORKERS)},
    Budget: {"budget.view": ("view", ALL)},
    Charge: {"charge.view": ("manage", ALL)},
}
SHARED = {
    Agent: "chat",
    Soul: "view",
    ModelRoute: "chat",
    Policy: "view",
    Sandbox: "chat",
    InferenceCall: "chat",
    EgressDecision: "chat",
    Budget: "chat",
    Charge: "chat",
    McpServer: "view",
}
RANK = {"": 0, "view": 1, "chat": 2, "edit": 3, "manage": 4}


def held(model: type[Model], relation: str) -> str:
    """The level a relation gives on a root."""
    by, _, level = relation.partition(":")
    return level or {"owner": "manage", "shared": SHARED.get(model, "chat"), "none": ""}[by]


@pytest.mark.parametrize("role", Role.values)
def test_what_each_role_may_do_to_what_people_share(role: str) -> None:
    world = World(person("who", role))

    for model in (*ROOTS, *LIVES):
        for action, (level, roles) in TABLE[model].items():
            for relation in RELATIONS:
                enough = role == Role.ADMIN or RANK[held(model, relation)] >= RANK[level]
                expected = role in roles.split() and enough

                said = answers(world.who, action, world.rows[model][relation])

                assert set(said.values()) == {expected}, (model.__name__, action, relation, said)


@pytest.mark.parametrize("role", Role.values)
def test_a_conversation_is_its_persons_and_to_be_seen_by_operators_who_manage_the_agent(role: str) -> None:
    world = World(person("who", role))

    for model in TALKS:
        for action, (level, roles) in TABLE[model].items():
            for relation, whose in world.rows[model]:
                manages = role == Role.OPERATOR and level == "view" and held(Agent, relation) == "manage"
                expected = role in roles.split() and (role == Role.ADMIN or whose == "mine" or manages)

                said = answers(world.who, action, world.rows[model][relation, whose])

                assert set(said.values()) == {expected}, (model.__name__, action, relation, whose, said)


def test_the_suspended_and_strangers_may_do_nothing() -> None:
    person("another", Role.ADMIN)
    world = World(person("who", Role.ADMIN))
    world.who.is_active = False
    world.who.save()

    for user in (world.who, AnonymousUser(), None):
        for model, actions in TABLE.items():
            for action in actions:
                for row in world.rows[model].values():
                    assert set(answers(user, action, row).values()) == {False}, (user, action, row)


@pytest.mark.parametrize(("role", "may_view", "may_edit"), [
    ("admin", True, True), ("operator", True, False), ("user", False, False), ("viewer", False, False),
])  # fmt: skip
def test_providers_are_for_operators_to_see_and_admins_to_change(role: str, may_view: bool, may_edit: bool) -> None:
    provider, who = Provider.objects.create(name="P", kind="openai-compatible"), person("who", role)

    assert set(answers(who, "provider.view", provider).values()) == {may_view}
    assert set(answers(who, "provider.edit", provider).values()) == {may_edit}


@pytest.mark.parametrize(("role", "may_edit"), [
    ("admin", True), ("operator", False), ("user", False), ("viewer", False),
])  # fmt: skip
def test_presets_are_for_everybody_to_see_and_admins_to_change(role: str, may_edit: bool) -> None:
    preset, who = Preset.objects.create(id="p", name="P"), person("who", role)

    assert set(answers(who, "preset.view", preset).values()) == {True}
    assert set(answers(who, "preset.edit", preset).values()) == {may_edit}


def test_the_table_here_names_every_action_that_is_done_to_a_row() -> None:
    tabled = {action for actions in TABLE.values() for action in actions}

    done_to_rows = {name for name, action in ACTIONS.items() if action.level}

    assert done_to_rows == tabled | {
        *("preset.view", "preset.edit", "provider.view", "provider.edit", "price.view", "user.manage")
    }
