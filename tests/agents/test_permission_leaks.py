"""Mallory finds nothing, viewers touch nothing, and whoever is demoted or suspended is out at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db.models import Model
from django.test import Client
from django.utils import timezone

from agents import permissions
from agents.actions import ACTIONS
from agents.errors import LogosError, NotFound
from agents.models import Agent, ModelRoute, Policy, Role, Soul, User
from runs import approvals, dispatch
from runs.models import Approval, Conversation, Message, Run
from sandboxes.models import EgressDecision, InferenceCall, Sandbox

pytestmark = pytest.mark.django_db

EVERYTHING = (Agent, Soul, Policy, Conversation, Message, Run, Approval, Sandbox, InferenceCall, EgressDecision)


@pytest.fixture
def run(alice: User, atlas: Agent) -> Run:
    """Alice's run, with one row of everything around it."""
    run = dispatch.start(alice, "Hello", agent=atlas).run
    approvals.request(run.pk, "rm -rf build", "dangerous")
    Policy.objects.create(name="Hers", owner=alice)
    box = Sandbox.objects.create(agent=atlas, number=1)
    InferenceCall.objects.create(
        id="call_1", sandbox=box, run_id=run.pk, route_id="r", model="m", status=200, streamed=True, duration_ms=1
    )
    EgressDecision.objects.create(
        id="conn_1", agent=atlas, run_id=run.pk, host="a.example", port=443, allowed=True, at=timezone.now()
    )
    return run


@pytest.mark.parametrize("model", EVERYTHING)
def test_mallory_sees_no_row_of_alices(model: type[Model], run: Run, mallory: User, alice: User) -> None:
    rows = model._default_manager.all()

    assert list(permissions.visible(mallory, rows)) == []
    assert len(permissions.visible(alice, rows)) == 1


def test_what_is_not_allowed_looks_like_what_is_not_there(run: Run, mallory: User) -> None:
    with pytest.raises(NotFound) as forbidden:
        permissions.fetch(mallory, "run.view", Run.objects.all(), pk=run.pk)
    with pytest.raises(NotFound) as absent:
        permissions.fetch(mallory, "run.view", Run.objects.all(), pk="run_none")

    assert str(forbidden.value) == str(absent.value) == "Run was not found."


def test_bob_who_may_chat_reads_nothing_of_what_alice_said(run: Run, bob: User) -> None:
    assert permissions.visible(bob, Agent.objects.all()).exists()
    for model in (Conversation, Message, Run, Approval, InferenceCall, EgressDecision):
        assert not permissions.visible(bob, model._default_manager.all()).exists(), model


def test_a_viewer_cannot_chat_even_with_a_grant_to_manage(atlas: Agent, viewer: User) -> None:
    permissions.grant(viewer, "manage", atlas)

    verdict = permissions.allows(viewer, "agent.chat", atlas)

    assert permissions.allows(viewer, "agent.view", atlas)
    assert not verdict
    assert verdict.reason == "The role viewer does not include: send messages to an agent."
    with pytest.raises(NotFound):
        dispatch.start(viewer, "Hello", agent=atlas)


def test_a_grant_can_be_given_twice_and_taken_back_once(atlas: Agent, mallory: User) -> None:
    for _ in range(2):
        permissions.grant(mallory, "chat", atlas)
    assert permissions.allows(mallory, "agent.chat", atlas)

    permissions.revoke(mallory, "chat", atlas)

    assert not permissions.allows(mallory, "agent.view", atlas)


def test_leaving_a_group_takes_its_grants_away(atlas: Agent, mallory: User) -> None:
    group = Group.objects.create(name="helpers")
    permissions.grant(group, "edit", atlas)
    mallory.groups.add(group)
    assert permissions.allows(mallory, "agent.edit", atlas)

    mallory.groups.remove(group)

    assert not permissions.allows(mallory, "agent.view", atlas)


def test_grants_go_with_the_row_they_are_for(atlas: Agent, mallory: User) -> None:
    permissions.grant(mallory, "manage", atlas)
    atlas.delete()

    again = Agent.objects.create(pk=atlas.pk, name="atlas", soul=atlas.soul)

    assert not permissions.allows(mallory, "agent.view", again)


def test_the_demoted_lose_what_their_role_gave_and_keep_what_they_own(alice: User, atlas: Agent, run: Run) -> None:
    alice.role = Role.VIEWER
    alice.save(update_fields=["role"])
    alice = User.objects.get(pk=alice.pk)

    assert permissions.allows(alice, "run.view", run)
    assert not permissions.allows(alice, "agent.edit", atlas)
    with pytest.raises(NotFound):
        dispatch.start(alice, "More", conversation=run.conversation)


def test_a_suspended_persons_session_ends_with_the_next_request(
    run: Run, alice: User, browser: Callable[..., Client]
) -> None:
    client = browser(alice)
    assert client.get(f"/api/runs/{run.pk}").status_code == 200

    User.objects.filter(pk=alice.pk).update(is_active=False)

    assert client.get(f"/api/runs/{run.pk}").status_code == 401


def test_an_action_as_such_asks_the_role_alone(alice: User, viewer: User) -> None:
    permissions.require(alice, "agent.create")

    with pytest.raises(LogosError) as refused:
        permissions.require(viewer, "agent.create")

    assert refused.value.reason == "forbidden"
    assert "create agents of one's own" in refused.value.message


@pytest.mark.parametrize("user", [None, "suspended"])
def test_nobody_may_do_anything_by_role_alone(user: Any, alice: User) -> None:
    if user == "suspended":
        alice.is_active = False
        user = alice

    assert not any(permissions.may(user, action) for action in ACTIONS)


def test_a_shared_route_can_be_used_by_everyone_and_changed_by_nobody_else(route: ModelRoute, mallory: User) -> None:
    assert permissions.allows(mallory, "route.view", route)
    assert not permissions.allows(mallory, "route.edit", route)
