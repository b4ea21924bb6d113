"""The tools of Logos itself under the rules that name them: refused, hidden, and left alone by every other rule."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from agents import composition, souls
from agents.models import User
from mcp_gateway.own_notes import OwnNotes
from mcp_gateway.own_rules import about, families, offered
from mcp_gateway.send_message import OwnMessages
from sandboxes.tool_server import rules as tool_rules
from sandboxes.tool_server.deciding import Rule
from tests.mcp_gateway.gate import a_gate, request

BLOCKED = Rule("1", "agent", "mcp:logos.send_message", "block", is_own=True)


async def test_whoever_manages_the_agent_switches_one_off() -> None:
    async with a_gate() as gate:
        assert "send_message" in await gate.listed("")
        gate.rewrite(rules={"agent_atlas": (BLOCKED,)})

        listed = await gate.listed("")
        refused = await gate.call("", "send_message", text="Hello")
        time = await gate.call("", "current_time")

    assert "send_message" not in listed
    assert "current_time" in listed
    assert "This call is not allowed." in refused["result"]["content"][0]["text"]
    assert "isError" not in time["result"]
    assert [(each.tool, each.outcome) for each in gate.records] == [("send_message", "denied"), ("current_time", "ok")]


async def test_rules_about_servers_leave_them_alone_and_a_condition_hides_nothing() -> None:
    tools = [{"name": "send_message"}, {"name": "current_time"}]
    others = [
        Rule("1", "site", "*", "block"),
        Rule("2", "site", "mcp:*", "block"),
        Rule("3", "site", "mcp:logosx.*", "block"),
    ]
    asked = Rule("4", "site", "mcp:logos.send_message", "block", "argument", "text=*password*")

    assert about([*others, asked, BLOCKED]) == [asked, BLOCKED]
    assert offered(tools, others) == tools
    assert offered(tools, [asked]) == tools
    assert offered(tools, [Rule("5", "site", "mcp:logos.*", "block")]) == []
    async with a_gate() as gate:
        gate.rewrite(rules={"": (*others, asked)})
        assert "isError" not in (await gate.call("", "current_time"))["result"]
        said = await gate.call("", "send_message", text="my password is here")
    assert "This call is not allowed." in said["result"]["content"][0]["text"]


async def test_one_that_is_to_be_asked_for_is_not_made_where_nobody_can_be_asked() -> None:
    async with a_gate() as gate:
        gate.rewrite(rules={"": (Rule("1", "site", "mcp:logos.current_time", "ask"),)})
        said = await gate.call("", "current_time")

    assert "nobody can be asked" in said["result"]["content"][0]["text"]


def test_forms_offer_their_names_and_rules_take_them() -> None:
    for name in families(None):  # type: ignore[arg-type]
        assert tool_rules.checked(tool=name, tier="block").tool == name


@pytest.mark.parametrize("given", [None, [], {}, {"text": 3}, {"text": "a\x00b"}, {"text": "a\ud800b"}])
async def test_what_is_no_text_is_not_sent(given: Any) -> None:
    async def db(*words: Any) -> Any:
        raise AssertionError("nothing is written down")

    asked: Any = SimpleNamespace(params={"arguments": given}, caller=SimpleNamespace(sandbox_id=""))
    assert (await OwnMessages(db, lambda asked: "").send(asked))["isError"]


async def test_from_a_sandbox_it_is_sent_only_when_it_is_known_for_whom() -> None:
    async def db(*words: Any) -> Any:
        raise AssertionError("nothing is written down")

    asked: Any = SimpleNamespace(
        params={"arguments": {"text": "Hello"}}, caller=SimpleNamespace(sandbox_id="box", agent_id="agent")
    )
    assert "not known for whom" in (await OwnMessages(db, lambda asked: "").send(asked))["content"][0]["text"]


@pytest.mark.django_db
def test_an_agent_keeps_notes_by_its_tools_and_is_told_what_it_cannot(alice: User) -> None:
    agent = composition.create(alice, "atlas", souls.create("Soul", "Text.", alice))
    own = OwnNotes(lambda function, *words: sync_to_async(function)(*words), lambda asked: "run_1")

    def asked(**arguments: Any) -> Any:
        return SimpleNamespace(
            params={"arguments": arguments}, caller=SimpleNamespace(sandbox_id="box", agent_id=agent.pk)
        )

    made = (async_to_sync(own.remember)(asked(text="The disk is full.")))["structuredContent"]
    found = (async_to_sync(own.recall)(asked()))["structuredContent"]["notes"]
    full = async_to_sync(own.remember)(asked(text="x" * 2_190))
    foreign = async_to_sync(own.forget)(asked(id="note_unknown"))
    gone = (async_to_sync(own.forget)(asked(id=made["id"])))["structuredContent"]

    assert made["characters_left"] == 2_200 - len("The disk is full.")
    assert [(note["id"], note["text"], note["by"]) for note in found] == [(made["id"], "The disk is full.", "you")]
    assert (full["isError"], "Say it shorter" in full["content"][0]["text"]) == (True, True)
    assert foreign["isError"]
    assert gone["characters_left"] == 2_200
    for tool, given in ((own.remember, {}), (own.remember, {"text": 3}), (own.recall, {"query": 3}), (own.forget, {})):
        assert async_to_sync(tool)(asked(**given))["isError"]


@pytest.mark.parametrize("text", ["a\ud800b", "a\x00b"])
async def test_half_a_character_is_told_to_the_model_and_is_no_mistake_of_ours(text: str) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("request_mcp_access", {"server": text, "reason": "x"}),
        ("request_mcp_access", {"server": "x", "reason": text}),
        ("mcp_access_status", {"request_id": text}),
        ("ask_person", {"question": "Which?", "choices": [text, "other"]}),
        ("recall", {"query": text}),
        ("forget", {"id": text}),
    ]
    async with a_gate() as gate:
        for tool, arguments in calls:
            status, said = await gate.post("", request("tools/call", 1, name=tool, arguments=arguments))
            assert (status, said["result"]["isError"]) == (200, True)
            assert "no text has" in said["result"]["content"][0]["text"]
