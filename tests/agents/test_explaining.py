"""What an explanation says, in words and as data."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group

from agents import explaining, permissions
from agents.actions import ACTIONS
from agents.errors import Invalid, LogosError, NotFound
from agents.explaining import explain
from agents.models import Agent, ModelRoute, Provider, Role, Soul, User, Visibility
from runs import dispatch
from tests.conftest import person

pytestmark = pytest.mark.django_db


def test_a_viewer_who_wants_to_chat_needs_a_role_and_a_level(atlas: Agent, viewer: User) -> None:
    said = explain(viewer, "agent.chat", atlas)

    assert not said.allowed
    assert said.sentence == "viewer may not do this: send messages to an agent."
    assert said.because == (
        "The role viewer does not include: send messages to an agent.",
        "This needs the level chat on the agent, by ownership, sharing or a grant; there is none.",
    )
    assert [(step.kind, step.role, step.level) for step in said.change] == [("role", "user", ""), ("grant", "", "chat")]
    assert said.way == ("To allow this, give viewer the role user and grant viewer the level chat on the agent atlas.")


def test_what_is_too_low_is_named(atlas: Agent, bob: User) -> None:
    said = explain(bob, "agent.edit", atlas)

    assert said.because == (
        "This needs the level edit on the agent, by ownership, sharing or a grant."
        " A grant to this person gives the level chat.",
    )
    assert said.way == "To allow this, grant bob the level edit on the agent atlas."


def test_the_one_grant_that_allows_it_is_what_would_take_it_away(atlas: Agent, bob: User) -> None:
    said = explain(bob, "agent.chat", atlas)

    assert (said.allowed, said.because) == (True, ("A grant to this person gives the level chat.",))
    assert said.way == "To take this away, take back the grant of bob on the agent atlas."


def test_a_group_is_named(atlas: Agent, mallory: User) -> None:
    group = Group.objects.create(name="helpers")
    mallory.groups.add(group)
    permissions.grant(group, "chat", atlas)

    said = explain(mallory, "agent.view", atlas)

    assert said.because == ("A grant to the group helpers gives the level chat.",)
    assert said.change[0].group == "helpers"
    assert permissions.allows(mallory, "agent.view", atlas).reason == said.because[0]


def test_with_several_reasons_nothing_single_takes_it_away(atlas: Agent, bob: User) -> None:
    Agent.objects.filter(pk=atlas.pk).update(visibility=Visibility.SHARED)

    said = explain(bob, "agent.chat", atlas)

    assert [reason.kind for reason in said.reasons] == ["grant", "sharing"]
    assert (said.change, said.way) == ((), "")


def test_an_operator_who_manages_the_agent_sees_what_others_said_to_it(atlas: Agent, alice: User) -> None:
    run, operator = dispatch.start(alice, "Hello", agent=atlas).run, person("olive", Role.OPERATOR)
    before = explain(operator, "run.view", run)
    permissions.grant(operator, "manage", atlas)
    after = explain(operator, "run.view", run)

    assert before.way == "To allow this, grant olive the level manage on the agent atlas."
    assert after.because == (
        "Operators who manage the agent may see it. A grant to this person gives the level manage.",
    )
    assert explain(operator, "run.cancel", run).way == "To allow this, give olive the role admin."


def test_what_belongs_to_a_person_can_only_be_taken_with_the_account(atlas: Agent, alice: User) -> None:
    run = dispatch.start(alice, "Hello", agent=atlas).run

    assert explain(alice, "run.view", run).way == "To take this away, suspend the account of alice."
    assert explain(alice, "run.cancel", run).way == "To take this away, give alice the role viewer."


def test_roles_alone_decide_about_providers_and_what_concerns_no_row(viewer: User, ada: User) -> None:
    provider = Provider.objects.create(name="P", kind="openai-compatible")

    assert explain(viewer, "provider.view", provider).way == "To allow this, give viewer the role operator."
    assert explain(ada, "provider.view", provider).way == "To take this away, give ada the role user."
    assert explain(viewer, "agent.create").way == "To allow this, give viewer the role user."
    assert explain(viewer, "user.manage").way == "To allow this, give viewer the role admin."


@pytest.mark.parametrize("stranger", [None, AnonymousUser()])
def test_a_stranger_is_told_to_sign_in(atlas: Agent, stranger: Any) -> None:
    said = explain(stranger, "agent.view", atlas)

    assert (said.because, said.way) == (("Nobody is signed in.",), "To allow this, sign in.")


@pytest.mark.parametrize("action", ["agent.view", "soul.create", "soul.fly", ""])
def test_an_action_of_another_kind_is_refused_with_those_there_are(soul: Soul, alice: User, action: str) -> None:
    with pytest.raises(Invalid) as refused:
        explain(alice, action, soul)

    assert refused.value.action == "There are: soul.view, soul.edit, soul.manage."


def test_an_action_on_a_row_needs_one(alice: User) -> None:
    with pytest.raises(Invalid, match="say to what"):
        explain(alice, "agent.view")


def test_only_who_manages_a_row_may_ask_for_others(atlas: Agent, alice: User, bob: User) -> None:
    assert explaining.subject(alice, atlas, "bob") == bob
    assert explaining.subject(bob, atlas, "") == bob

    with pytest.raises(LogosError) as refused:
        explaining.subject(bob, atlas, "alice")
    with pytest.raises(LogosError) as same:
        explaining.subject(bob, atlas, "nobody-at-all")

    assert refused.value.reason == same.value.reason == "forbidden"
    with pytest.raises(NotFound):
        explaining.subject(alice, atlas, "nobody-at-all")


def test_a_row_one_may_not_see_cannot_be_asked_about(atlas: Agent, mallory: User) -> None:
    for kind, row_id in (("agent", atlas.pk), ("agent", "agent_none"), ("nothing", atlas.pk), ("soul", atlas.pk)):
        with pytest.raises(NotFound):
            explaining.find(mallory, kind, row_id)


def test_an_explanation_costs_few_queries(
    atlas: Agent, bob: User, route: ModelRoute, django_assert_num_queries: Any
) -> None:
    run = dispatch.start(bob, "Hello", agent=atlas).run
    run.refresh_from_db()

    with django_assert_num_queries(1):
        explaining.overview(bob, atlas)
    with django_assert_num_queries(2):  # the agent's name
        explaining.overview(bob, run)


def test_every_action_can_be_asked_about(atlas: Agent, alice: User) -> None:
    on_rows = {name for model in explaining.kinds().values() for name in explaining.actions_on(model)}

    for name in ACTIONS:
        if name not in on_rows:
            assert explain(alice, name).allowed == permissions.may(alice, name)
    assert {"user.manage", "agent.create", "token.create"}.isdisjoint(on_rows)
    assert {"agent.view", "provider.edit", "call.view", "run.clone"} <= on_rows
