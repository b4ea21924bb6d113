"""Every change of configuration leaves a row: who, through which door, what it became; and no secret."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from agents import acting, routes, sharing, souls
from agents.models import Agent, AgentUserGrant, ModelRoute, Policy, Provider, User
from tests.api_client import Program

pytestmark = pytest.mark.django_db


def test_a_change_names_its_person_and_its_door(atlas: Agent, alice: User) -> None:
    with acting.through("api", alice):
        atlas.description = "New"
        atlas.save()

    row = atlas.history.first()

    assert (row.history_user, row.via, row.history_type, row.description) == (alice, "api", "~", "New")


def test_a_change_by_logos_itself_names_nobody(atlas: Agent) -> None:
    atlas.save()

    assert (atlas.history.first().history_user, atlas.history.first().via) == (None, "")


def test_the_api_names_the_person_of_the_token(alice: User) -> None:
    made = Program(alice).post("souls", {"name": "Calm", "text": "Be calm."}, 201)

    row = souls.Soul.objects.get(pk=made["id"]).history.get()

    assert (row.history_user, row.via) == (alice, "api")


def test_a_page_names_the_person_of_the_session(atlas: Agent, alice: User, browser: Callable[..., Client]) -> None:
    browser(alice).post(f"/share/agent/{atlas.pk}/", {"do": "visibility", "visibility": "shared"})

    row = atlas.history.first()

    assert (row.history_user, row.via, row.visibility) == (alice, "page", "shared")


def test_a_command_names_the_person_it_acts_as(atlas: Agent, ada: User, run_command: Callable[..., str]) -> None:
    run_command("agent", "delete", atlas.pk, "--user", "ada")

    row = atlas.history.first()

    assert (row.history_user, row.via) == (ada, "command")


def test_a_grant_given_and_taken_back_stays_on_record(atlas: Agent, alice: User, mallory: User) -> None:
    sharing.grant(alice, mallory, "chat", atlas)
    sharing.revoke(alice, mallory, atlas)

    kinds = list(AgentUserGrant.history.filter(user=mallory).values_list("history_type", flat=True))

    assert sorted(kinds) == ["+", "-"]


def test_policies_of_an_agent_are_part_of_its_history(atlas: Agent) -> None:
    policy = Policy.objects.create(name="Package indexes")
    atlas.policies.add(policy)

    newest, oldest = atlas.history.first(), atlas.history.last()

    assert [row.policy for row in newest.policies.all()] == [policy]
    assert list(oldest.policies.all()) == []


def test_a_new_default_route_is_a_change_of_both(route: ModelRoute, ada: User) -> None:
    routes.make_default(route)
    other = routes.add_route(route.provider, "another", ada)
    routes.make_default(other)

    assert [row.is_default for row in route.history.all()][:1] == [False]
    assert [row.is_default for row in other.history.all()][:1] == [True]


def test_no_history_holds_a_key_or_a_password(alice: User) -> None:
    provider = Provider(name="Cloud", kind="openai-compatible")
    provider.set_key("sk-very-secret")
    provider.save()
    alice.set_password("another-long-password")
    alice.save(update_fields=["password"])

    names = {field.name for field in Provider.history.model._meta.fields}

    assert "sealed_key" not in names
    assert "password" not in {field.name for field in User.history.model._meta.fields}
    assert alice.history.count() == 1, "a new password is a security event, not a change of configuration"


def test_signing_in_leaves_no_history(alice: User) -> None:
    alice.save(update_fields=["last_login"])

    assert alice.history.count() == 1


def test_a_revised_soul_has_its_text_in_the_history(alice: User) -> None:
    soul = souls.create("Calm", "Be calm.", alice)
    souls.revise(soul, "Be very calm.", alice)

    assert [row.text for row in soul.history.all()] == ["Be very calm.", "Be calm."]
