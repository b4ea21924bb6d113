"""`manage.py agent` and what all commands share: refusals are one sentence, exit code 1."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents import souls
from agents.models import Agent, ModelRoute, Role, Soul, User
from tests import shell
from tests.conftest import person


def test_a_name_is_enough_and_the_id_is_printed(ada: User, route: ModelRoute) -> None:
    ended = shell.run("agent", "create", "atlas")

    agent = Agent.objects.get()
    assert (ended.code, ended.out.strip()) == (0, agent.pk)
    assert (agent.owner, agent.soul.owner, agent.soul.text) == (ada, ada, souls.STARTER_TEXT)


def test_everything_about_an_agent_can_be_said(alice: User, soul: Soul, route: ModelRoute, tmp_path: Path) -> None:
    souls.create("Other", "Another.", alice)
    ended = shell.run(
        *("agent", "create", "atlas", "--owner", "alice", "--soul", soul.slug, "--toolsets", "terminal, todo"),
        *("--route", "rehearsal-1", "--description", "Builds.", "--shared", "--json"),
    )

    made = ended.json
    assert made["owner"]["username"] == "alice"
    assert (made["soul"]["id"], made["toolsets"], made["route"]["id"]) == (soul.pk, ["terminal", "todo"], route.pk)
    assert (made["description"], made["visibility"]) == ("Builds.", "shared")


def test_a_soul_can_come_from_a_file(ada: User, tmp_path: Path) -> None:
    file = tmp_path / "gardener.md"
    file.write_text("You grow things.\n")

    shell.run("agent", "create", "fern", "--soul-file", str(file))

    assert Agent.objects.get().soul.slug == "gardener"
    assert Agent.objects.get().soul.text == "You grow things.\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("create", "atlas", "--owner", "nobody"), "There is no active person called nobody."),
        (("create", "atlas", "--soul", "nothing"), "Soul was not found."),
        (("create", "atlas", "--route", "nothing"), "Route was not found."),
        (("create", "atlas", "--toolsets", "root"), "There is no toolset called root."),
        (("create", ""), "An agent needs a name."),
        (("create", "atlas", "--soul-file", "/nonexistent"), "cannot be read"),
        (("delete", "nobody"), "Agent was not found."),
        (("list", "--user", "nobody"), "There is no active person called nobody."),
    ],
)
def test_a_refusal_is_one_sentence_and_changes_nothing(ada: User, words: tuple[str, ...], sentence: str) -> None:
    ended = shell.run("agent", *words)

    assert ended.code == 1
    assert sentence in ended.said
    assert ended.said.count("\n") == 1
    assert ended.out == ""
    assert not Agent.objects.exists()
    assert not Soul.objects.exists()


def test_a_soul_file_with_an_invisible_character_is_refused_by_name(ada: User, tmp_path: Path) -> None:
    file = tmp_path / "bad.md"
    file.write_text("a\u202eb")

    assert "U+202E" in shell.run("agent", "create", "x", "--soul-file", str(file)).said
    assert not Soul.objects.exists()


def test_with_several_admins_somebody_must_be_named(ada: User) -> None:
    person("grace", Role.ADMIN)

    assert "--user" in shell.run("agent", "create", "atlas").said
    assert shell.run("agent", "create", "atlas", "--owner", "grace").code == 0
    assert shell.run("agent", "list").code == 0


@pytest.mark.django_db
def test_with_nobody_there_yet_the_way_forward_is_named() -> None:
    assert "./logos up" in shell.run("agent", "list").said


@pytest.mark.parametrize(("name", "seen"), [("ada", True), ("alice", True), ("bob", True), ("mallory", False)])
def test_a_list_shows_what_that_person_sees(
    request: pytest.FixtureRequest, atlas: Agent, name: str, seen: bool
) -> None:
    request.getfixturevalue(name)

    assert (atlas.pk in shell.run("agent", "list", "--user", name).out) is seen
    assert ([it["id"] for it in shell.run("agent", "list", "--user", name, "--json").json] == [atlas.pk]) is seen


def test_an_agent_is_deleted_by_those_who_may(ada: User, atlas: Agent, bob: User) -> None:
    assert shell.run("agent", "delete", "atlas", "--user", "bob").code == 1
    assert shell.run("agent", "delete", "atlas").code == 0

    atlas.refresh_from_db()
    assert atlas.is_deleted


def test_a_suspended_person_does_nothing_by_command(ada: User, alice: User, atlas: Agent) -> None:
    User.objects.filter(pk=alice.pk).update(is_active=False)

    assert shell.run("agent", "delete", "atlas", "--user", "alice").code == 1


@pytest.mark.django_db(transaction=True)
def test_as_a_process_refusals_and_wrong_usage_end_with_one(ada: User) -> None:
    refused = shell.start("agent", "delete", "nobody")
    misused = shell.start("agent", "explode")
    (out, said), (_, usage) = refused.communicate(timeout=240), misused.communicate(timeout=240)

    assert (refused.returncode, out, said) == (1, "", "Agent was not found.\n")
    assert misused.returncode == 1
    assert "usage:" in usage
    assert "Traceback" not in usage


def test_an_agent_is_changed_archived_taken_out_and_deleted(ada: User, alice: User, atlas: Agent) -> None:
    souls.create("Other", "Another.", alice)

    shell.run("agent", "change", "atlas", "--name", "Atlas II", "--soul", "other", "--toolsets", "todo")
    atlas.refresh_from_db()
    assert (atlas.name, atlas.soul.name, atlas.toolsets) == ("Atlas II", "Other", ["todo"])

    assert "is archived" in shell.run("agent", "archive", "Atlas II").said
    assert "Atlas II" not in shell.run("agent", "list").out
    assert "Atlas II" in shell.run("agent", "list", "--archived").out
    assert shell.run("agent", "unarchive", atlas.pk).code == 0
    assert "its files with it" in shell.run("agent", "delete", "Atlas II").said
    atlas.refresh_from_db()
    assert atlas.is_deleted


def test_an_agent_is_duplicated(ada: User, atlas: Agent) -> None:
    ended = shell.run("agent", "duplicate", "atlas", "second", "--no-prepare")

    copy = Agent.objects.get(pk=ended.out.strip())
    assert (copy.name, copy.owner, copy.soul) == ("second", ada, atlas.soul)
    assert "has no sandbox yet" in shell.run("agent", "duplicate", "atlas", "third", "--copy", "files").said


def test_an_agent_begins_with_a_template(ada: User, route: ModelRoute) -> None:
    assert "machine-keeper" in shell.run("agent", "templates").out

    ended = shell.run("agent", "create", "owl", "--template", "machine-keeper", "--json", "--no-prepare")

    assert (ended.json["soul"]["name"], ended.json["sprite"]["shape"]) == ("Night watch", "owl")
