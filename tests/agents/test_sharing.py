"""Grants, visibility and ownership: what sharing does, refuses, and never lets happen."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db.models import Model

from agents import composition, guarding, permissions, sharing
from agents.actions import ACTIONS
from agents.errors import Conflict, Invalid, NotFound
from agents.models import Agent, ModelRoute, Policy, Role, Soul, User
from agents.standing import LEVELS
from tests.agents.permission_world import ROOTS, World
from tests.conftest import person

pytestmark = pytest.mark.django_db


@pytest.fixture
def helpers(db: None) -> Group:
    return Group.objects.create(name="helpers")


def held(row: Model) -> dict[str, str]:
    return {grant.name: grant.level for grant in sharing.grants_on(row)}


def test_a_grant_opens_the_object_and_taking_it_back_closes_it(atlas: Agent, alice: User, mallory: User) -> None:
    sharing.grant(alice, mallory, "chat", atlas)
    assert permissions.allows(mallory, "agent.chat", atlas)

    sharing.revoke(alice, mallory, atlas)

    assert not permissions.allows(mallory, "agent.view", atlas)


def test_another_level_replaces_the_one_there_was(atlas: Agent, alice: User, bob: User) -> None:
    sharing.grant(alice, bob, "edit", atlas)
    sharing.grant(alice, bob, "view", atlas)

    assert held(atlas) == {"bob": "view"}
    assert not permissions.allows(bob, "agent.chat", atlas)


def test_a_group_is_given_to_and_its_members_have_it(atlas: Agent, alice: User, mallory: User, helpers: Group) -> None:
    mallory.groups.add(helpers)

    sharing.grant(alice, helpers, "edit", atlas)

    assert permissions.allows(mallory, "agent.edit", atlas)
    assert [(each.kind, each.name, each.level) for each in sharing.grants_on(atlas)] == [("group", "helpers", "edit")]


@pytest.mark.parametrize("role", Role.values)
def test_whoever_can_grant_holds_what_they_grant(role: str) -> None:
    world, guest = World(person("who", role)), person("guest", Role.ADMIN)
    for model in ROOTS:
        granted = 0
        for row in world.rows[model].values():
            for level in LEVELS:
                try:
                    sharing.grant(world.who, guest, level, row)
                except NotFound:
                    continue
                action = f"{guarding.noun(model)}.{level}"
                assert action not in ACTIONS or permissions.allows(world.who, action, row), (action, row)
                granted += 1

        assert bool(granted) == permissions.may(world.who, f"{guarding.noun(model)}.manage"), model


def test_only_who_manages_it_shares_it(atlas: Agent, bob: User, mallory: User, helpers: Group) -> None:
    permissions.grant(bob, "edit", atlas)
    for actor in (bob, mallory):
        for change in (
            lambda by: sharing.grant(by, mallory, "view", atlas),
            lambda by: sharing.grant(by, by, "manage", atlas),
            lambda by: sharing.revoke(by, bob, atlas),
            lambda by: sharing.set_visibility(by, atlas, "shared"),
            lambda by: sharing.transfer(by, atlas, by),
            lambda by: sharing.candidates(by, atlas),
        ):
            with pytest.raises(NotFound):
                change(actor)

    assert held(atlas) == {"bob": "edit"}


def test_a_viewer_is_not_given_what_their_role_cannot_use(atlas: Agent, alice: User, viewer: User) -> None:
    with pytest.raises(Invalid) as refused:
        sharing.grant(alice, viewer, "chat", atlas)
    sharing.grant(alice, viewer, "view", atlas)

    assert refused.value.message == "viewer has the role viewer, which does not include: send messages to an agent."
    assert refused.value.action == "Grant the level view, or ask an admin for another role."
    assert held(atlas) == {"viewer": "view"}


def test_a_plain_user_is_not_given_a_route_to_edit(ada: User, mallory: User, viewer: User, route: ModelRoute) -> None:
    with pytest.raises(Invalid, match="does not include: change a model route"):
        sharing.grant(ada, mallory, "edit", route)
    with pytest.raises(Invalid):
        sharing.grant(ada, viewer, "chat", route)
    sharing.grant(ada, mallory, "chat", route)

    assert held(route) == {"mallory": "chat"}


@pytest.mark.parametrize("level", ["", "own", "VIEW", "view_agent"])
def test_a_level_there_is_not_is_refused(atlas: Agent, alice: User, mallory: User, level: str) -> None:
    with pytest.raises(Invalid, match="no such level"):
        sharing.grant(alice, mallory, level, atlas)


def test_the_owner_and_the_suspended_need_no_grant(atlas: Agent, alice: User, mallory: User) -> None:
    mallory.is_active = False

    for subject, words in ((alice, "owns it"), (mallory, "suspended")):
        with pytest.raises(Invalid, match=words):
            sharing.grant(alice, subject, "view", atlas)


def test_nobody_takes_from_themselves_what_they_need_to_manage_it(atlas: Agent, mallory: User, helpers: Group) -> None:
    mallory.groups.add(helpers)
    permissions.grant(helpers, "manage", atlas)

    for change in (
        lambda: sharing.revoke(mallory, helpers, atlas),
        lambda: sharing.grant(mallory, helpers, "view", atlas),
    ):
        with pytest.raises(Conflict) as refused:
            change()
        assert refused.value.reason == "locked_out"
    assert held(atlas) == {"helpers": "manage"}

    sharing.grant(mallory, mallory, "manage", atlas)
    sharing.revoke(mallory, helpers, atlas)
    assert held(atlas) == {"mallory": "manage"}


def test_taking_back_what_was_not_given_is_not_found(atlas: Agent, alice: User, mallory: User) -> None:
    with pytest.raises(NotFound, match="This grant"):
        sharing.revoke(alice, mallory, atlas)


def test_shared_with_everyone_and_private_again(atlas: Agent, alice: User, mallory: User) -> None:
    sharing.set_visibility(alice, atlas, "shared")
    assert permissions.allows(mallory, "agent.chat", atlas)

    sharing.set_visibility(alice, atlas, "private")

    assert not permissions.allows(mallory, "agent.view", atlas)
    with pytest.raises(Invalid):
        sharing.set_visibility(alice, atlas, "public")


def test_a_new_owner_has_it_and_the_old_one_keeps_managing_it(atlas: Agent, alice: User, bob: User) -> None:
    sharing.transfer(alice, atlas, bob)

    atlas.refresh_from_db()
    assert atlas.owner == bob
    assert held(atlas) == {"alice": "manage"}


def test_an_owner_may_leave_nothing_behind(atlas: Agent, alice: User, bob: User) -> None:
    sharing.transfer(alice, atlas, bob, keep=False)

    assert held(atlas) == {}
    assert not permissions.allows(alice, "agent.view", atlas)


def test_a_name_the_new_owner_has_already_is_a_sentence(atlas: Agent, soul: Soul, alice: User, bob: User) -> None:
    composition.create(bob, "Atlas", Soul.objects.create(name="His", slug="his", text="x", owner=bob))

    with pytest.raises(Conflict) as refused:
        sharing.transfer(alice, atlas, bob)

    atlas.refresh_from_db()
    assert (refused.value.reason, refused.value.message) == ("name_taken", "bob already has an agent called atlas.")
    assert atlas.owner == alice


def test_names_are_compared_as_people_read_them(soul: Soul, alice: User, bob: User) -> None:
    agent = composition.create(alice, "Ärger", soul)
    composition.create(bob, "ärger", Soul.objects.create(name="His", slug="his", text="x", owner=bob))

    with pytest.raises(Conflict, match="bob already has an agent called Ärger"):
        sharing.transfer(alice, agent, bob)


def test_who_could_not_manage_it_cannot_own_it(atlas: Agent, alice: User, viewer: User, ada: User, bob: User) -> None:
    policy = Policy.objects.create(name="Web", owner=ada)

    with pytest.raises(Invalid, match="role viewer"):
        sharing.transfer(alice, atlas, viewer)
    with pytest.raises(Invalid, match="role user"):
        sharing.transfer(ada, policy, bob)
    with pytest.raises(Invalid, match="owns it already"):
        sharing.transfer(alice, atlas, alice)


def test_candidates_are_active_people_and_groups_without_access(
    atlas: Agent, alice: User, bob: User, mallory: User, helpers: Group
) -> None:
    person("gone").delete()
    User.objects.filter(pk=person("hal").pk).update(is_active=False)
    User.objects.filter(pk=mallory.pk).update(first_name="Mal", last_name="Ory")

    assert [str(each) for each in sharing.candidates(alice, atlas)] == ["helpers", "mallory"]
    assert [str(each) for each in sharing.candidates(alice, atlas, "mal ORY")] == ["mallory"]
    assert [str(each) for each in sharing.candidates(alice, atlas, "help")] == ["helpers"]
    assert sharing.candidates(alice, atlas, "nobody") == []


def test_subjects_are_named_one_at_a_time(alice: User, helpers: Group) -> None:
    assert sharing.subject(person="alice") == alice
    assert sharing.subject(group="helpers") == helpers
    for wrong in ({}, {"person": "alice", "group": "helpers"}):
        with pytest.raises(Invalid):
            sharing.subject(**wrong)
    for unknown in ({"person": "helpers"}, {"group": "alice"}):
        with pytest.raises(NotFound):
            sharing.subject(**unknown)


def test_a_deleted_agent_is_not_shared(atlas: Agent, alice: User) -> None:
    assert sharing.fetch(alice, "agent", atlas.pk) == atlas
    atlas.mark_deleted()

    for kind in ("agent", "soul", "user", "run", ""):
        with pytest.raises(NotFound):
            sharing.fetch(alice, kind, atlas.pk)


def test_every_change_is_logged_with_ids(
    atlas: Agent, alice: User, mallory: User, bob: User, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "agents.sharing"):
        sharing.grant(alice, mallory, "chat", atlas)
        sharing.revoke(alice, mallory, atlas)
        sharing.set_visibility(alice, atlas, "shared")
        sharing.transfer(alice, atlas, bob)

    by, row = f"user {alice.pk}", atlas.pk
    assert caplog.messages == [
        f"{by} granted {row} user {mallory.pk} level chat",
        f"{by} revoked {row} user {mallory.pk}",
        f"{by} made shared {row}",
        f"{by} transferred {row} user {bob.pk}",
    ]


def test_the_list_of_grants_costs_two_queries(
    atlas: Agent, mallory: User, helpers: Group, django_assert_num_queries: Any
) -> None:
    for subject in (mallory, helpers):
        permissions.grant(subject, "view", atlas)
        permissions.grant(subject, "edit", atlas)

    with django_assert_num_queries(2):
        assert held(atlas) == {"mallory": "edit", "helpers": "edit"}


@pytest.mark.parametrize(("model", "levels"), [(Agent, "view chat edit manage"), (ModelRoute, "view edit manage")])
def test_the_levels_offered_are_those_that_mean_something(model: type[Any], levels: str) -> None:
    assert [level for level, _ in sharing.levels_for(model())] == levels.split()
