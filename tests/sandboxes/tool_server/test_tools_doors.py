"""The tools of an agent by page, API and command: who may, what is told, what is refused and kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents import halting, privacy
from agents.models import Agent, User
from runs.models import Approval
from sandboxes.tool_server import calls, catalogue, rules
from sandboxes.tool_server.models import ToolCall, ToolRule
from sandboxes.tool_server.results import Outcome, done
from tests.api_client import Program

pytestmark = pytest.mark.django_db
Browser = Callable[..., Client]


@pytest.fixture(autouse=True)
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a tool would do is not asked here: each says what it was given."""

    async def said(tool: Any, given: dict[str, Any], begun: Any, db: Any) -> Outcome:
        return done({"tool": tool.name, **given}, f"{tool.name} was called")

    monkeypatch.setattr(calls, "_in_sandbox", said)


@pytest.fixture
def at(atlas: Agent) -> str:
    return f"/agents/{atlas.pk}/tools/"


def page(answer: Any) -> str:
    text: str = answer.content.decode()
    return text


def test_who_manages_it_sees_every_tool_and_makes_and_removes_rules(alice: User, browser: Browser, at: str) -> None:
    client = browser(alice)

    first = page(client.get(at))
    made = client.post(
        at, {"tool": "filesystem.*", "tier": "block", "condition": "path", "pattern": "secrets", "note": "<b>no</b>"}
    )
    shown = page(client.get(at))
    rule = ToolRule.objects.get()
    client.post(at, {"remove": rule.pk})

    assert all(name in first for name in catalogue.BY_NAME)
    assert made.status_code == 302
    assert "**/secrets" in shown
    assert "&lt;b&gt;no&lt;/b&gt;" in shown
    assert "<b>no" not in shown
    assert (rule.made_by, rule.layer) == (alice, "agent")
    assert not ToolRule.objects.exists()
    assert rule.history.model.objects.count() == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tool": "nothing", "tier": "ask"}, "no such tool"),
        ({"tool": "git.log", "tier": "maybe"}, "Choose one of"),
        ({"tool": "git.log", "tier": "ask", "condition": "path", "pattern": "../x"}, "stays below"),
        ({"tool": "git.log", "tier": "ask", "condition": "host", "pattern": "a.example"}, "about no host"),
        ({"tool": "git.log", "tier": "ask", "pattern": "kept-as-typed"}, "Say what the pattern"),
        ({"tool": "network.*", "tier": "ask", "condition": "host", "pattern": "127.0.0.1"}, "127.0.0.1"),
        ({"tool": "git.log", "tier": "ask", "per_minute": "²"}, "whole number"),
        ({"tool": "git.log", "tier": "ask", "per_minute": "0"}, "between 1"),
        ({"tool": "git.log", "tier": "ask", "note": "x" * 201}, "one line"),
        ({"tool": "git.log", "tier": "ask", "layer": "mine"}, "whose rule"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_and_kept(
    alice: User, browser: Browser, at: str, given: dict[str, str], said: str
) -> None:
    answer = browser(alice).post(at, given)

    assert answer.status_code == 400
    assert said in page(answer)
    assert all(value in page(answer) for name, value in given.items() if name == "pattern")
    assert not ToolRule.objects.exists()


def test_only_admins_make_rules_of_the_site(alice: User, ada: User, browser: Browser, at: str) -> None:
    wish = {"tool": "process.run", "tier": "allow", "layer": "site"}

    refused = browser(alice).post(at, wish)
    closed = browser(alice).get("/tools/")
    browser(ada).post(at, wish)
    browser(ada).post("/tools/", {"tool": "git.*", "tier": "block"})

    assert refused.status_code in (403, 404)
    assert closed.status_code in (403, 404)
    assert list(ToolRule.objects.values_list("layer", "tool")) == [("site", "git.*"), ("site", "process.run")]
    assert "git.*" in page(browser(alice).get(at))
    assert "Remove" not in page(browser(alice).get(at))


def test_nobody_else_learns_anything(bob: User, mallory: User, viewer: User, browser: Browser, atlas: Agent) -> None:
    for user in (bob, mallory, viewer):
        for address in ("tools/", "tools/calls/", "tools/try/"):
            assert browser(user).get(f"/agents/{atlas.pk}/{address}").status_code == 404
        ask = Program(user)
        for address in ("tools", "tool-calls", "tool-rules"):
            assert ask("GET", f"agents/{atlas.pk}/{address}").status_code == 404
        assert ask("POST", f"agents/{atlas.pk}/tools/filesystem.list/call", {"arguments": {}}).status_code == 404
        assert ask("POST", f"agents/{atlas.pk}/tools/filesystem.list/explain", {"arguments": {}}).status_code == 404
    assert not ToolCall.objects.exists()


def test_private_chats_close_the_tools_to_admins(ada: User, browser: Browser, at: str) -> None:
    assert browser(ada).get(at).status_code == 200
    privacy.switch(ada, True)

    assert browser(ada).get(at).status_code == 404


def test_a_tool_is_tried_and_called_from_its_page(alice: User, browser: Browser, at: str) -> None:
    client = browser(alice)

    explained = page(
        client.post(f"{at}try/", {"tool": "process.run", "arguments": '{"command": "ls"}', "do": "explain"})
    )
    called = page(client.post(f"{at}try/", {"tool": "filesystem.list", "arguments": "{}", "do": "call"}))
    wrong = client.post(f"{at}try/", {"tool": "process.run", "arguments": '{"a": 1, "a": 2}', "do": "call"})
    row = ToolCall.objects.get()

    assert "waits for a person" in explained
    assert "filesystem.list was called" in called
    assert (wrong.status_code, "not JSON" in page(wrong)) == (400, True)
    assert "&quot;a&quot;: 2" in page(wrong)
    assert (row.caller, row.door, row.state) == (alice, "page", "done")
    assert "filesystem.list" in page(client.get(f"{at}calls/"))


def test_programs_call_tools_and_read_what_was_called(alice: User, atlas: Agent) -> None:
    ask = Program(alice)

    tools = ask("GET", f"agents/{atlas.pk}/tools").json()["items"]
    answer = ask("POST", f"agents/{atlas.pk}/tools/filesystem_read/call", {"arguments": {"path": "a"}}).json()
    refused = ask("POST", f"agents/{atlas.pk}/tools/filesystem.read/call", {"arguments": {"path": "/etc/passwd"}})
    unknown = ask("POST", f"agents/{atlas.pk}/tools/nothing/call", {"arguments": {}})
    verdict = ask("POST", f"agents/{atlas.pk}/tools/git.push/explain",
                  {"arguments": {"url": "https://git.example.org/x", "branch": "main"}}).json()  # fmt: skip
    listed = ask("GET", f"agents/{atlas.pk}/tool-calls").json()["items"]
    one = ask("GET", f"agents/{atlas.pk}/tool-calls/{answer['call']}").json()

    assert len(tools) == len(catalogue.TOOLS)
    assert (answer["state"], answer["is_error"], answer["data"]["path"]) == ("done", False, "a")
    assert (refused.status_code, refused.json()["is_error"], refused.json()["state"]) == (200, True, "refused")
    assert 400 <= unknown.status_code < 500
    assert unknown.json()["error"]["reason"] == "unknown_tool"
    assert verdict["tier"] == "ask"
    assert [each["state"] for each in listed] == ["refused", "done"]
    assert one["arguments"] == {"path": "a", "offset": 0, "length": 65536}


def test_programs_make_rules(alice: User, ada: User, atlas: Agent) -> None:
    ask, admin = Program(alice), Program(ada)

    made = ask("POST", f"agents/{atlas.pk}/tool-rules", {"tool": "filesystem.read", "tier": "block"}).json()
    again = ask("POST", f"agents/{atlas.pk}/tool-rules", {"tool": "filesystem.read", "tier": "ask"}).json()
    site = admin("POST", "tool-rules", {"tool": "git.*", "tier": "ask"}).json()
    closed = ask("GET", "tool-rules")
    loose = ask("POST", f"agents/{atlas.pk}/tool-rules", {"tool": "git.log", "tier": "allow", "layer": "site"})
    gone = ask("DELETE", f"agents/{atlas.pk}/tool-rules/{made['id']}")

    assert (again["id"], again["version"], again["tier"]) == (made["id"], 2, "ask")
    assert closed.status_code in (403, 404)
    assert loose.status_code in (403, 404)
    assert gone.status_code == 204
    assert ask("DELETE", f"agents/{atlas.pk}/tool-rules/{site['id']}").status_code == 404
    assert admin("DELETE", f"tool-rules/{site['id']}").status_code == 204


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, int]:
    try:
        call_command("tools", *words)
    except SystemExit as end:
        return capsys.readouterr().out, int(end.code or 0)
    return capsys.readouterr().out, 0


def test_the_command_does_the_same(ada: User, alice: User, atlas: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    made, _ = run(capsys, "block", "atlas", "filesystem.*", "--path", "secrets", "--user", "alice")
    listed, _ = run(capsys, "rules", "atlas", "--json", "--user", "alice")
    explained, _ = run(capsys, "explain", "atlas", "filesystem.read", '{"path": "secrets/x"}', "--user", "alice")
    called, code = run(capsys, "call", "atlas", "filesystem.list", "--user", "alice")
    blocked = run(capsys, "call", "atlas", "filesystem.read", '{"path": "secrets/x"}', "--user", "alice")[1]
    run(capsys, "remove", json.loads(listed)[0]["id"], "--user", "alice")

    assert "Block: filesystem.* on path **/secrets" in made
    assert explained.startswith("block:")
    assert (called.strip(), code, blocked) == ("filesystem.list was called", 0, 3)
    assert "filesystem.list" in run(capsys, "calls", "atlas", "--user", "alice")[0]
    assert not ToolRule.objects.exists()
    with pytest.raises(CommandError):
        call_command("tools", "block", "-", "git.*", "--user", "alice")
    with pytest.raises(CommandError):
        call_command("tools", "list", "atlas", "--user", "nobody")


def test_nothing_begins_while_work_is_stopped(ada: User, alice: User, atlas: Agent) -> None:
    halting.stop(ada, "agent", atlas.pk)

    answer = Program(alice)("POST", f"agents/{atlas.pk}/tools/filesystem.list/call", {"arguments": {}}).json()

    assert (answer["state"], answer["is_error"], answer["data"]["reason"]) == ("refused", True, "halted")
    assert ToolCall.objects.get().state == "refused"


def test_lists_cost_the_same_however_long(alice: User, ada: User, atlas: Agent, browser: Browser, at: str) -> None:
    client = browser(alice)

    def cost(address: str) -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            answer = client.get(address)
        assert answer.status_code == 200
        assert len(answer.content) < 60_000
        return len(queries)

    def fill(number: int) -> None:
        for place in range(number):
            ToolCall.objects.create(
                agent=atlas, caller=alice, door="api", tool="filesystem.read", arguments={"path": "x" * 300},
                digest="0" * 64, key="0" * 64, tier="allow", state="done", reason="r" * 300, at=timezone.now(),
            )  # fmt: skip
            rules.put(alice, atlas, tool="filesystem.read", tier="ask", condition="path", pattern=f"p{number}-{place}")

    fill(2)
    cost(at)
    before = [cost(at), cost(f"{at}calls/")]
    fill(40)

    assert [cost(at), cost(f"{at}calls/")] == before


def test_the_command_gate_has_its_say_whatever_the_rules_allow(alice: User, ada: User, atlas: Agent) -> None:
    rules.put(ada, None, tool="process.run", tier="allow", layer="site")
    ask = Program(alice)

    def run(**given: Any) -> dict[str, Any]:
        found: dict[str, Any] = ask("POST", f"agents/{atlas.pk}/tools/process.run/call", {"arguments": given}).json()
        return found

    plain = run(command="ls -l notes")
    asked = run(command="git push --force origin main; rm -rf build")
    hidden = run(argv=["sh", "-c", "rm -rf --no-preserve-root /"])
    explained = ask("POST", f"agents/{atlas.pk}/tools/process.run/explain",
                    {"arguments": {"command": "rm -rf --no-preserve-root /"}}).json()  # fmt: skip

    assert plain["state"] == "done"
    assert asked["state"] == "waiting"
    assert Approval.objects.get(pk=asked["approval"]).findings[1:]
    assert hidden["state"] == "refused"
    assert explained["tier"] == "block"
    assert "gate" in explained["steps"][-1]
