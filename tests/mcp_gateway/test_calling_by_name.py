"""``call_mcp_tool``: what was granted in the middle of work is called at once, under the checks of every other call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from mcp_gateway import calling_by_name
from mcp_gateway.exchange import Exchange
from sandboxes.tool_server.deciding import Rule
from tests.mcp_gateway.gate import BRUNO, Gate, a_gate, modern, request


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with a_gate() as gate:
        gate.add("files")
        yield gate


async def by_name(gate: Gate, token: str = "", **arguments: Any) -> Any:
    more = {"token": token} if token else {}
    message = request("tools/call", 5, name="call_mcp_tool", arguments=arguments)
    return (await gate.post("", message, **more))[1]["result"]


def words(result: Any) -> str:
    return str(result["content"][0]["text"])


async def test_it_calls_the_tool_and_is_recorded_as_that_call(gate: Gate) -> None:
    found = await by_name(gate, server="files", tool="echo", arguments={"text": "at once"})
    mirrored, headers = modern(
        "tools/call",
        name="call_mcp_tool",
        arguments={"server": "files", "tool": "test_x_mcp_header", "arguments": {"region": "eu"}},
    )

    assert words(found) == "at once"
    assert words((await gate.post("", mirrored, headers=headers))[1]["result"]) == "eu"
    assert [(each.server, each.tool, each.outcome) for each in gate.records] == [
        ("files", "echo", "ok"),
        ("files", "test_x_mcp_header", "ok"),
    ]
    assert gate.records[0].arguments == {"text": "at once"}


@pytest.mark.parametrize(
    ("arguments", "rules", "said"),
    [
        ({"server": "files", "tool": "echo"}, {"exclude": frozenset({"echo"})}, "Unknown tool"),
        ({"server": "files", "tool": "echo"}, {"calls": "block"}, "not allowed"),
        ({"server": "files", "tool": "echo"}, {"pins": {}}, "Unknown tool"),
        ({"server": "files", "tool": "ECHO"}, {}, "Unknown tool"),
        ({"server": "files", "tool": "files__echo"}, {}, "Unknown tool"),
        ({"server": "FILES", "tool": "echo"}, {}, "no access"),
        ({"server": "no-such", "tool": "echo"}, {}, "no access"),
        ({"server": "capabilities", "tool": "filesystem_read"}, {}, "no access"),
        ({"server": "", "tool": "call_mcp_tool"}, {}, "no access"),
        ({"server": "files"}, {}, "Say which server"),
        ({"server": "files", "tool": "echo", "arguments": [1]}, {}, "Say which server"),
        ({"server": ["files"], "tool": "echo"}, {}, "Say which server"),
    ],
    ids=str,
)
async def test_it_is_no_way_round_anything(
    gate: Gate, arguments: dict[str, Any], rules: dict[str, Any], said: str
) -> None:
    gate.rule("files", **rules)

    found = await by_name(gate, **arguments)

    assert found["isError"]
    assert said in words(found)
    gate.rule("files", exclude=frozenset(), calls="allow", pins=None)
    assert "echo" not in await gate.counts("files")
    assert all(each.outcome in ("denied", "error") for each in gate.records[:-1])


async def test_a_rule_may_switch_it_off_or_have_it_asked_for(gate: Gate) -> None:
    for tier, said in (("block", "not allowed"), ("ask", "nobody can be asked"), ("notify", "nobody can be asked")):
        rule = Rule("r", "site", "mcp:logos.call_mcp_tool", tier)
        gate.rewrite(rules={"": [rule]})
        found = await by_name(gate, server="files", tool="echo")
        assert (found["isError"], said in words(found)) == (True, True)

    gate.rewrite(rules={"": [Rule("r", "site", "mcp:logos.call_mcp_tool", "allow")]})
    assert "isError" not in await by_name(gate, server="files", tool="echo", arguments={})
    assert (await gate.counts("files"))["echo"] == 1


async def test_a_name_the_hub_does_not_know_is_a_row_too(gate: Gate) -> None:
    await gate.call("", "files__no_such")
    await gate.call("", "files__echo", token=BRUNO)

    assert [(each.server, each.tool, each.outcome, each.agent_id) for each in gate.records] == [
        ("logos", "files__no_such", "denied", "agent_atlas"),
        ("logos", "files__echo", "denied", "agent_bruno"),
    ]


async def test_without_access_it_is_as_if_nothing_were_there(gate: Gate) -> None:
    theirs = await by_name(gate, BRUNO, server="files", tool="echo")

    assert theirs == await by_name(gate, BRUNO, server="no-such", tool="echo")
    assert "echo" not in await gate.counts("files")


async def test_a_server_that_was_named_is_described_and_others_are_not(gate: Gate) -> None:
    async def listed(**arguments: Any) -> Any:
        message = request("tools/call", name="list_mcp_servers", arguments=arguments)
        return (await gate.post("", message))[1]["result"]["structuredContent"]["servers"]

    (one,) = await listed(server="files")
    echo = next(each for each in one["described"] if each["tool"] == "echo")
    assert (echo["name"], list(echo["inputSchema"]["properties"])) == ("files__echo", ["text"])
    assert "described" not in (await listed())[0]
    assert await listed(server="no-such") == []


async def test_what_was_told_last_is_heard_before_the_answer() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    out = Exchange(receive, send, may_stream=True)
    out.tell({"method": "notifications/tools/list_changed"})
    await out.finish(200, {"id": 1})

    body = b"".join(each.get("body", b"") for each in sent)
    assert body.count(b"data: ") == 2
    assert body.index(b"list_changed") < body.index(b'{"id":1}')


def test_what_does_not_fit_is_told_by_name() -> None:
    tools = [{"name": f"t{number}", "description": "x" * 10_000, "inputSchema": {}} for number in range(9)]

    found = calling_by_name.described("files", tools)

    assert [("description" in each, each["name"]) for each in found] == [
        (number < 4, f"files__t{number}") for number in range(9)
    ]
