"""/api/…/grants, /visibility, /owner and /api/explain."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from agents import permissions
from agents.models import Agent, ModelRoute, Policy, Role, Soul, User
from runs import dispatch
from tests.api_client import Program
from tests.conftest import person

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows(atlas: Agent, soul: Soul, route: ModelRoute, alice: User) -> dict[str, Any]:
    ModelRoute.objects.filter(pk=route.pk).update(visibility="private", owner=alice)
    policy = Policy.objects.create(name="Web", owner=alice)
    return {"agents": atlas, "souls": soul, "routes": route, "policies": policy}


def test_grants_are_given_listed_and_taken_back(atlas: Agent, alice: User, bob: User) -> None:
    Group.objects.create(name="helpers")
    program, grants = Program(alice), f"agents/{atlas.pk}/grants"

    program.post(grants, {"group": "helpers", "level": "edit"})
    after = program.post(grants, {"person": "bob", "level": "view"})

    assert after == {
        "owner": {"username": "alice", "name": "alice"},
        "visibility": "private",
        "items": [
            {"kind": "person", "name": "bob", "level": "view"},
            {"kind": "group", "name": "helpers", "level": "edit"},
        ],
    }
    assert program.get(grants) == after
    assert program("DELETE", f"{grants}?group=helpers").status_code == 204
    assert [each["name"] for each in program.get(grants)["items"]] == ["bob"]


def test_a_suspended_persons_grant_can_be_taken_back(atlas: Agent, alice: User, bob: User) -> None:
    User.objects.filter(pk=bob.pk).update(is_active=False)

    assert Program(alice)("DELETE", f"agents/{atlas.pk}/grants?person=bob").status_code == 204


@pytest.mark.parametrize("collection", ["agents", "souls", "routes", "policies"])
@pytest.mark.parametrize("who", ["mallory", "bob", "viewer"])
def test_who_does_not_manage_an_object_finds_no_door(
    rows: dict[str, Any], collection: str, who: str, mallory: User, bob: User, viewer: User
) -> None:
    row = rows[collection]
    for somebody in (bob, viewer):
        permissions.grant(somebody, "edit", row)
    before = type(row).objects.filter(pk=row.pk).values().get()
    program, there = Program(User.objects.get(username=who)), f"{collection}/{row.pk}"

    for method, path, body in [
        ("GET", f"{there}/grants", None),
        ("POST", f"{there}/grants", {"person": who, "level": "manage"}),
        ("DELETE", f"{there}/grants?person=bob", None),
        ("PUT", f"{there}/visibility", {"visibility": "shared"}),
        ("PUT", f"{there}/owner", {"person": who}),
    ]:
        answer = program(method, path, body)
        assert answer.status_code == 404, (method, path)
        assert "alice" not in answer.content.decode()
    assert type(row).objects.filter(pk=row.pk).values().get() == before


@pytest.mark.parametrize("collection", ["agents", "souls", "routes", "policies"])
def test_an_admin_shares_every_kind(rows: dict[str, Any], collection: str, ada: User, mallory: User) -> None:
    program, there = Program(ada), f"{collection}/{rows[collection].pk}"

    given = program.post(f"{there}/grants", {"person": "mallory", "level": "view"})
    shared = program("PUT", f"{there}/visibility", {"visibility": "shared"}).json()
    given_away = program("PUT", f"{there}/owner", {"person": "ada", "keep": False}).json()

    assert given["items"] == [{"kind": "person", "name": "mallory", "level": "view"}]
    assert shared["visibility"] == "shared"
    assert given_away["owner"]["username"] == "ada"
    assert type(rows[collection]).objects.get(pk=rows[collection].pk).owner == ada


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"person": "nobody", "level": "view"}, 404, "not_found"),
        ({"group": "nobody", "level": "view"}, 404, "not_found"),
        ({"level": "view"}, 400, "invalid"),
        ({"person": "bob", "group": "x", "level": "view"}, 400, "invalid"),
        ({"person": "bob", "level": "own"}, 422, "invalid"),
        ({"person": "viewer", "level": "chat"}, 400, "no_effect"),
        ({"person": "alice", "level": "chat"}, 400, "invalid"),
    ],
)
def test_a_grant_that_makes_no_sense_is_a_sentence(
    atlas: Agent, alice: User, bob: User, viewer: User, body: dict[str, str], status: int, reason: str
) -> None:
    answer = Program(alice).post(f"agents/{atlas.pk}/grants", body, status)

    assert answer["error"]["reason"] == reason
    assert answer["error"]["message"].endswith(".")


def test_other_collections_have_no_grants(alice: User, atlas: Agent) -> None:
    run = dispatch.start(alice, "Hello", agent=atlas).run

    assert Program(alice).get(f"runs/{run.pk}/grants", 404)["error"]["message"] == "This address was not found."


def test_taking_the_last_hold_is_a_conflict(atlas: Agent, mallory: User) -> None:
    permissions.grant(mallory, "manage", atlas)

    answer = Program(mallory)("DELETE", f"agents/{atlas.pk}/grants?person=mallory")

    assert (answer.status_code, answer.json()["error"]["reason"]) == (409, "locked_out")


def test_a_browser_needs_the_csrf_token(atlas: Agent, alice: User, mallory: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice, backend="allauth.account.auth_backends.AuthenticationBackend")

    answer = client.post(f"/api/agents/{atlas.pk}/grants", {"person": "mallory"}, content_type="application/json")

    assert answer.status_code == 403
    assert not permissions.allows(mallory, "agent.view", atlas)


def test_explain_answers_for_oneself(atlas: Agent, bob: User) -> None:
    said = Program(bob).get(f"explain?action=agent.edit&kind=agent&id={atlas.pk}")

    assert (said["person"], said["allowed"], said["reasons"]) == ("bob", False, [])
    assert said["change"] == [
        {
            "kind": "grant", "person": "bob", "role": "", "level": "edit", "group": "",
            "target": {"kind": "agent", "id": atlas.pk, "name": "atlas"},
            "sentence": "grant bob the level edit on the agent atlas",
        }
    ]  # fmt: skip
    assert said["way"] == "To allow this, grant bob the level edit on the agent atlas."


def test_explain_answers_for_others_to_who_manages_it(atlas: Agent, alice: User, bob: User, viewer: User) -> None:
    question = f"explain?action=agent.chat&kind=agent&id={atlas.pk}"

    about_bob = Program(alice).get(f"{question}&person=bob")

    assert about_bob["allowed"]
    assert about_bob["reasons"] == [
        {
            "kind": "grant",
            "source": {"kind": "grant", "level": "chat", "group": ""},
            "sentence": "A grant to this person gives the level chat.",
        }
    ]
    for name in ("alice", "viewer", "nobody"):
        assert Program(bob).get(f"{question}&person={name}", 403)["error"]["reason"] == "forbidden"
    assert Program(alice).get(f"{question}&person=nobody", 404)


def test_explain_says_nothing_of_what_one_may_not_see(atlas: Agent, mallory: User, alice: User) -> None:
    run = dispatch.start(alice, "Hello", agent=atlas).run

    absent = Program(mallory).get("explain?action=agent.view&kind=agent&id=agent_none", 404)

    assert Program(mallory).get(f"explain?action=agent.view&kind=agent&id={atlas.pk}", 404) == absent
    assert Program(mallory).get(f"explain?action=run.view&kind=run&id={run.pk}", 404)


def test_explain_of_what_concerns_no_row(viewer: User, ada: User) -> None:
    own = Program(viewer).get("explain?action=agent.create")
    asked = Program(ada).get("explain?action=agent.create&person=viewer")

    assert own == asked
    assert own["way"] == "To allow this, give viewer the role user."
    assert Program(person("olive", Role.OPERATOR)).get("explain?action=agent.create&person=viewer", 403)
    assert Program(viewer).get("explain?action=agent.view", 400)["error"]["field"] == "id"
    assert Program(viewer).get("explain", 422)
