"""``up --demo``: what it makes, and that a second time changes nothing."""

from __future__ import annotations

import pytest

from agents.models import Agent, ModelRoute, Provider, Role, Soul, User
from logos_site.up import demo
from tests.conftest import person

pytestmark = pytest.mark.django_db


def counts() -> list[int]:
    return [model._default_manager.count() for model in (User, Agent, Soul, Provider, ModelRoute)]


def test_everything_for_a_first_chat_is_made() -> None:
    made = demo.seed()

    admin, agent = User.objects.get(), Agent.objects.get()
    assert (admin.username, admin.role) == ("admin", Role.ADMIN)
    assert admin.check_password(made.password)
    assert len(made.password) >= 16
    assert (agent.name, agent.owner, agent.toolsets) == ("atlas", admin, ["terminal", "file"])
    assert agent.route is not None
    assert agent.route.is_rehearsal
    assert agent.route.is_default
    assert made.agent_is_new


def test_a_second_time_changes_nothing_and_tells_no_password() -> None:
    first = demo.seed()
    before = counts()

    again = demo.seed()

    assert counts() == before
    assert (again.password, again.agent_is_new, again.agent_id) == ("", False, first.agent_id)
    assert User.objects.get().check_password(first.password)


def test_an_administrator_who_exists_keeps_name_and_password(ada: User) -> None:
    made = demo.seed()

    assert (made.username, made.password) == ("ada", "")
    assert Agent.objects.get().owner == ada
    assert User.objects.count() == 1


def test_somebody_who_merely_is_called_admin_is_not_promoted() -> None:
    stranger = person("admin")

    made = demo.seed()

    stranger.refresh_from_db()
    assert stranger.role == Role.USER
    assert made.username.startswith("admin-")


def test_a_deleted_demo_agent_is_made_again() -> None:
    demo.seed()
    Agent.objects.get().mark_deleted()

    assert demo.seed().agent_is_new
    assert Agent.objects.alive().count() == 1


def test_an_agent_called_atlas_in_other_letters_is_taken_for_it() -> None:
    first = demo.seed()
    Agent.objects.update(name="Atlas")

    assert demo.seed().agent_id == first.agent_id
