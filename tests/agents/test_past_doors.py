"""Audit, history and revert by the API, the commands and the console; each refuses in its own words."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group

from agents import acting, composition, sharing, souls
from agents.models import Agent, Policy, Provider, Role, SecurityEvent, Soul, User
from tests import shell
from tests.api_client import Program
from tests.conftest import person
from tests.console import Console

pytestmark = pytest.mark.django_db


def test_the_api_lists_what_happened_page_by_page(ada: User, alice: User, atlas: Agent, mallory: User) -> None:
    with acting.through("page", alice, "192.0.2.1"):
        composition.change(alice, atlas, description="New")
        sharing.grant(alice, mallory, "chat", atlas)
    program = Program(ada)

    first = program.get("audit?kind=agent&limit=2")
    rest = program.get(f"audit?kind=agent&limit=2&after={first['next'].replace('+', '%2B')}")

    assert [each["action"] for each in first["items"] + rest["items"]] == ["granted", "changed", "made"]
    assert first["items"][0] | {"at": ""} == {
        "at": "", "by": "alice", "via": "page", "action": "granted", "kind": "agent", "id": atlas.pk, "name": "atlas",
        "person": "mallory", "changed": [], "reason": "", "address": "192.0.2.1",
        "sentence": "alice gave access to agent atlas: chat to mallory",
    }  # fmt: skip
    assert rest["next"] is None
    assert program.get("audit?person=alice&action=changed")["items"][0]["changed"] == ["description"]


@pytest.mark.parametrize(
    ("query", "status"),
    [("action=explode", 400), ("kind=box", 400), ("person=nobody", 404), ("after=x", 400), ("limit=101", 422),
     ("since=yesterday", 422), ("text=%00", 422)],
)  # fmt: skip
def test_the_api_says_what_is_wrong(ada: User, query: str, status: int) -> None:
    assert Program(ada).get(f"audit?{query}", status)["error"]["message"]


def test_the_api_is_closed_to_those_who_do_not_operate(alice: User, viewer: User, atlas: Agent) -> None:
    for who in (alice, viewer):
        assert Program(who).get("audit", 403)["error"]["reason"] == "forbidden"
    assert Program().get("audit", 401)
    operator = Program(person("olive", Role.OPERATOR))
    assert "atlas" not in str(operator.get("audit"))


def test_versions_and_differences(alice: User, mallory: User) -> None:
    soul = souls.create("Calm", "Be calm.", alice)
    souls.revise(soul, "Be quiet.", alice)
    program = Program(alice)

    listed = program.get(f"history/soul/{soul.pk}?limit=1")
    told = program.get(f"history/soul/{soul.pk}/2")
    everything = program.get(f"history/soul/{soul.pk}/1?compare=0")

    assert (listed["version"], listed["next"], listed["items"][0]["changed"]) == (2, "2", ["text", "revision"])
    assert program.get(f"history/soul/{soul.pk}?after=2")["items"][0]["what"] == "made"
    assert (told["compared_with"], [each["name"] for each in told["changes"]]) == (1, ["text"])
    assert {each["name"]: each["after"] for each in everything["changes"]}["text"] == "Be calm."
    for path in (f"history/soul/{soul.pk}", f"history/soul/{soul.pk}/1", "history/nothing/1", "history/soul/none"):
        assert Program(mallory).get(path, 404)
    assert program.get(f"history/soul/{soul.pk}/3", 404)
    assert program.get(f"history/soul/{soul.pk}?after=x", 400)


def test_the_api_puts_back(alice: User, atlas: Agent, mallory: User) -> None:
    composition.change(alice, atlas, description="New")
    program, path = Program(alice), f"history/agent/{atlas.pk}/revert"

    assert program.post(path, {"to": 1, "version": 1}, 409)["error"]["reason"] == "stale"
    assert program.post(path, {"to": 9}, 404)
    assert Program(mallory).post(path, {"to": 1}, 404)
    done = program.post(path, {"to": 1, "version": 2, "reason": "Better"})

    assert (done["version"], done["items"][0]["reason"]) == (3, "Version 1 put back: Better")
    assert done["items"][0]["by"]["username"] == "alice"
    atlas.refresh_from_db()
    assert atlas.description == ""
    assert program.post(path, {"to": 1}, 400)["error"]["reason"] == "same"


def test_the_command_lists_and_narrows(ada: User, alice: User, atlas: Agent) -> None:
    Policy.objects.create(name="\x1b[31mloud")

    listed = shell.run("audit", "--kind", "agent")
    made = shell.run("audit", "--action", "made", "--kind", "agent", "--json").json

    assert "made agent atlas" in listed.out
    assert [(each["action"], each["name"]) for each in made] == [("made", "atlas")]
    assert "\x1b" not in shell.run("audit").out
    assert "There is more" in shell.run("audit", "--limit", "1").said
    assert shell.run("audit", "--since", "2999-01-01", "--json").json == []
    for wrong in (("--action", "x"), ("--kind", "x"), ("--person", "x"), ("--since", "x"), ("--limit", "0")):
        ended = shell.run("audit", *wrong)
        assert (ended.code, bool(ended.said)) == (1, True), wrong
    assert shell.run("audit", "--user", "alice").code == 1


def test_the_command_shows_versions_and_puts_back(ada: User, alice: User, atlas: Agent) -> None:
    composition.change(alice, atlas, description="New", toolsets=["file"])

    listed = shell.run("history", "agent", atlas.pk)
    shown = shell.run("history", "agent", atlas.pk, "--show", "2")
    as_json = shell.run("history", "agent", atlas.pk, "--show", "2", "--json").json
    done = shell.run("history", "agent", atlas.pk, "--revert", "1", "--reason", "Better", "--user", "alice")

    assert "description, toolsets" in listed.out
    assert shown.out.splitlines() == ["Description:", "  empty -> New", "Toolsets:", "  - terminal"]
    assert [each["name"] for each in as_json["changes"]] == ["description", "toolsets"]
    assert "it is version 3 now" in done.said
    newest = atlas.history.first()
    assert (newest.via, newest.history_user, newest.history_change_reason) == (
        "command",
        alice,
        "Version 1 put back: Better",
    )
    assert shell.run("history", "agent", "none").code == 1
    assert shell.run("history", "agent", atlas.pk, "--revert", "1").code == 1


def test_the_console_lists_events_for_admins_and_links_to_histories(ada: User, alice: User, atlas: Agent) -> None:
    sharing.set_visibility(alice, atlas, "shared")
    console = Console(ada)

    listed = console.list(SecurityEvent, "?kind=visibility_changed").content.decode()

    assert "changed who may use it" in listed
    for row in (atlas, atlas.soul):
        kind = "agent" if isinstance(row, Agent) else "soul"
        assert f"/history/{kind}/{row.pk}/" in console.open(row).content.decode()
    operator = Console(person("olive", Role.OPERATOR))
    assert operator.list(SecurityEvent).status_code == 403
    assert f"/history/agent/{atlas.pk}/" in operator.open(atlas).content.decode()


def test_no_door_tells_a_planted_secret(ada: User) -> None:
    provider = Provider(name="Cloud", kind="openai-compatible", base_url="https://cloud.example")
    provider.set_key("planted-73521")
    provider.save()
    provider.set_key("planted-73521-again")
    provider.save()
    Group.objects.create(name="friends")
    program = Program(ada)

    told = str([program.get("audit"), program.get(f"history/provider/{provider.pk}")])
    told += str(program.get(f"history/provider/{provider.pk}/1?compare=0"))
    told += shell.run("audit", "--json").out + shell.run("history", "provider", provider.pk, "--show", "1").out

    assert "Cloud" in told
    assert not [each for each in ("planted-73521", provider.sealed_key) if each in told]


def test_a_soul_of_somebody_else_is_not_there(mallory: User, soul: Soul) -> None:
    assert Program(mallory).post(f"history/soul/{soul.pk}/revert", {"to": 1}, 404)
