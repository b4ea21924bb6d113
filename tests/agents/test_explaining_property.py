"""Over every model, role and many random rows: explain agrees with the lists, and what it proposes really works."""

from __future__ import annotations

from collections import Counter

import pytest

from agents import guarding, permissions
from agents.explaining import Step, actions_on, explain, kinds, overview, weight
from agents.models import Role, SiteSettings, User
from tests.agents.explaining_world import RandomWorld, carried_out, may, smaller_ways

pytestmark = [pytest.mark.django_db, pytest.mark.sweep]


@pytest.mark.parametrize(("seed", "private"), [(1, False), (2, False), (1, True)])
@pytest.mark.parametrize("role", Role.values)
def test_explain_agrees_with_the_lists_and_its_change_turns_the_answer_round(
    role: str, seed: int, private: bool
) -> None:
    SiteSettings.objects.create(private_chats=private)
    world, seen = RandomWorld(role, seed), Counter[str]()

    for row in world.rows:
        for action in actions_on(type(row)):
            said = explain(world.who, action, row)
            about = (action, row.pk, said)

            assert said.allowed == may(world.who, action, row), about
            assert said.allowed == bool(permissions.allows(world.who, action, row)), about
            assert bool(said.change) == (not said.allowed or len(said.reasons) == 1), about
            if said.change:
                with carried_out(said.change, world.who, row):
                    assert may(world.who, action, row) is not said.allowed, about
            seen["yes" if said.allowed else "no"] += 1
        seen[guarding.noun(type(row))] += 1

    assert kinds().keys() - seen.keys() == set()
    assert seen["yes"] > 20
    assert seen["no"] > 20 or role == Role.ADMIN


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.USER, Role.VIEWER])
def test_no_smaller_change_would_do(role: str) -> None:
    world, tried = RandomWorld(role, 3, size=4), 0

    for row in world.rows:
        for action in actions_on(type(row)):
            said = explain(world.who, action, row)
            if said.allowed:
                continue
            assert said.change, (action, row)
            for less in smaller_ways(min(weight(said.change), 40), world.who, row):
                with carried_out(less, world.who, row):
                    assert not may(world.who, action, row), (action, row, said.change, less)
                tried += 1

    assert tried > 100


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.USER, Role.ADMIN])
def test_when_several_things_allow_it_none_of_them_alone_takes_it_away(role: str) -> None:
    world, tried = RandomWorld(role, 4), 0
    kind_of = {"ownership": "transfer", "sharing": "unshare", "grant": "revoke", "group": "revoke_group"}

    for row in world.rows:
        for said in overview(world.who, row):
            if len(said.reasons) < 2:
                continue
            for reason in said.reasons:
                if reason.source is None:
                    continue
                alone = Step(kind_of[reason.source.kind], group=reason.source.group)
                with carried_out((alone,), world.who, row):
                    assert may(world.who, said.action, row), (said, alone)
                tried += 1

    assert tried > 5


@pytest.mark.parametrize("role", Role.values)
def test_a_suspended_person_is_told_to_be_made_active_and_what_else_is_lacking(role: str) -> None:
    world = RandomWorld(role, 5, size=3)
    User.objects.filter(pk=world.who.pk).update(is_active=False)
    world.who.refresh_from_db()

    for row in world.rows:
        for said in overview(world.who, row):
            assert not said.allowed
            assert said.because[0] == "The account is suspended."
            assert said.change[0].kind == "activate"
            with carried_out(said.change, world.who, row):
                assert may(world.who, said.action, row), said
            with carried_out(said.change[1:], world.who, row):
                assert not may(world.who, said.action, row), said
