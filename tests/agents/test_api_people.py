"""/api/people, /api/groups and the command: what admins do there, and that others find nothing."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group

from agents import permissions
from agents.models import Agent, Role, User
from tests import shell
from tests.api_client import Program
from tests.conftest import person


def test_an_admin_lists_reads_and_changes_people(ada: User, alice: User, atlas: Agent) -> None:
    program = Program(ada)

    assert [each["username"] for each in program.get("people?text=ali")["items"]] == ["alice"]
    answer = program("PATCH", f"people/{alice.pk}", {"role": "operator", "max_agents": "5", "state": "suspended"})

    told = answer.json()
    assert answer.status_code == 200
    assert (told["role"], told["max_agents"], told["state"], told["agents"]) == ("operator", "5", "suspended", 1)


def test_a_change_of_which_a_part_is_refused_changes_nothing(ada: User, alice: User) -> None:
    answer = Program(ada)("PATCH", f"people/{ada.pk}", {"max_agents": "5", "role": "user"})

    assert answer.status_code == 400
    ada.refresh_from_db()
    assert (ada.role, ada.max_agents) == ("admin", None)


@pytest.mark.parametrize("extra", [{"is_superuser": True}, {"is_staff": True}, {"owner": 1}, {"password": "x"}])
def test_what_the_schema_does_not_name_is_not_taken(ada: User, alice: User, extra: dict) -> None:
    before = User.objects.filter(pk=alice.pk).values().get()

    Program(ada)("PATCH", f"people/{alice.pk}", extra)

    assert User.objects.filter(pk=alice.pk).values().get() == before


@pytest.mark.parametrize("path", ["people", "people/{}", "people/invitations", "groups", "groups/{group}"])
def test_others_find_nothing(path: str, alice: User, mallory: User) -> None:
    group = Group.objects.create(name="lab")
    for somebody in (mallory, person("otto", Role.OPERATOR)):
        answer = Program(somebody)("GET", path.format(alice.pk, group=group.pk))

        assert answer.status_code == 404
        assert "alice" not in answer.content.decode()


def test_people_by_the_list_cost_the_same_for_many(ada: User, django_assert_num_queries: object) -> None:
    program = Program(ada)
    program.get("people")
    with django_assert_num_queries(3):
        program.get("people")
    for number in range(10):
        person(f"somebody{number}").groups.add(Group.objects.get_or_create(name="lab")[0])

    with django_assert_num_queries(3):
        assert len(program.get("people")["items"]) == 11


def test_a_group_by_the_api(ada: User, mallory: User, atlas: Agent) -> None:
    program = Program(ada)
    made = program.post("groups", {"name": "lab"}, status=201)
    assert program("PUT", f"people/{mallory.pk}/groups/{made['id']}").status_code == 204
    permissions.grant(Group.objects.get(), "view", atlas)
    assert program.get(f"groups/{made['id']}") == {**made, "members": 1, "granted": {"agent": ["atlas"]}}
    assert program("DELETE", f"people/{mallory.pk}/groups/{made['id']}").status_code == 204

    assert program("DELETE", f"groups/{made['id']}").status_code == 400
    assert program("DELETE", f"groups/{made['id']}?name=lab").status_code == 204

    assert program.get("groups")["items"] == []


def test_links_are_made_and_withdrawn_by_the_api(ada: User, alice: User) -> None:
    program = Program(ada)
    made = program.post("people/invitations", {"role": "viewer"}, status=201)
    assert "/invited/" in made["url"]
    assert [each["id"] for each in program.get("people/invitations")] == [made["id"]]
    assert program("DELETE", f"people/invitations/{made['id']}").status_code == 204
    assert program.get("people/invitations") == []

    assert "/set-password/" in program.post(f"people/{alice.pk}/password-link", status=201)["url"]
    assert program.post(f"people/{alice.pk}/sign-out") == {"count": 0}


def test_the_command_does_the_same(ada: User, alice: User) -> None:
    assert "alice" in shell.run("people", "list").out
    assert shell.run("people", "role", "alice", "operator").code == 0
    assert shell.run("people", "limit", "alice", "2").code == 0
    assert shell.run("people", "show", "alice", "--json").json["agent_limit"] == 2
    assert "/set-password/" in shell.run("people", "password-link", "alice").out
    assert "/invited/" in shell.run("people", "invite", "--role", "viewer").out
    assert shell.run("people", "suspend", "alice").code == 0
    assert shell.run("people", "restore", "alice").code == 0
    assert shell.run("people", "group", "create", "lab").code == 0
    assert shell.run("people", "group", "add", "lab", "alice").code == 0
    assert "lab" in shell.run("people", "group", "list").out
    ended = shell.run("people", "role", "ada", "user")

    assert ended.code == 1
    assert "You cannot change your own role." in ended.said
    assert shell.run("people", "list", "--user", "alice").code == 1
