"""The matrix of what is refused at the gate: for each row the server itself says that it heard nothing of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from mcp_gateway import hub
from mcp_gateway.book import Token, digest
from tests.mcp_gateway.gate import ATLAS, BRUNO, Gate, a_gate, modern, request, until, usual

Change = Callable[[Gate], None]


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with a_gate() as gate:
        gate.add("files")
        await gate.call("files", "counts")
        yield gate


async def heard(gate: Gate) -> list[list[str]]:
    """What the server was asked by anybody, but for this very question."""
    found = (await gate.call("files", "counts"))["result"]["heard"]
    return [each for each in found if each != ["tools/call", "counts"]]


def call(tool: Any = "echo", /, **arguments: Any) -> dict[str, Any]:
    return request("tools/call", name=tool, arguments=arguments)


def by_name(server: str = "files", tool: str = "echo") -> dict[str, Any]:
    return call("call_mcp_tool", server=server, tool=tool, arguments={})


def nothing(gate: Gate) -> None:
    pass


def rule(**rules: Any) -> Change:
    return lambda gate: gate.rule("files", **rules)


def book(**parts: Any) -> Change:
    return lambda gate: gate.rewrite(**parts)


def ended(gate: Gate) -> None:
    gate.rewrite(grants={"agent_atlas": dict.fromkeys(gate.book.grants["agent_atlas"], time.time() - 1)})


@dataclass(frozen=True)
class Row:
    """``message`` goes to ``path`` after ``change``; the answer has this status and this code, or is a result that is an
    error (None)."""

    what: str
    message: Any
    path: str = "/files"
    change: Change = nothing
    token: str = ATLAS
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    code: int | None = None


RESOURCE, PROMPT = (
    request("resources/read", uri="test://static-text"),
    request("prompts/get", name="test_simple_prompt"),
)
OTHERS = [
    *(RESOURCE, PROMPT, request("resources/list"), request("resources/templates/list"), request("prompts/list")),
    request("completion/complete", ref={"type": "ref/prompt", "name": "test_simple_prompt"}, argument={}),
    *(request("resources/subscribe", uri="test://watched-resource"), request("logging/setLevel", level="debug")),
]
NEWER, HEADERS = modern("tools/call", name="echo", arguments={})
DENIED, _ = modern("tools/call", name="hang", arguments={})
ONE = {"agent_atlas": "atlas"}

ROWS = [
    # Whose token it is, and whether it still is one.
    *(
        Row(f"the token of an agent without access, {name}", message, path, token=BRUNO, code=code)
        for name, message, path, code in (
            ("at the server", call(), "/files", None),
            ("at the hub", call("files__echo"), "", -32602),
            ("by name", by_name(), "", None),
        )
    ),
    Row("a revoked token", call(), change=book(tokens={}), status=401, code=-32600),
    Row(
        "a token that has run out", call(), status=401, code=-32600,
        change=book(tokens={digest(ATLAS): Token(1, "agent_atlas", time.time() - 1)}),
    ),
    Row("a token of an agent that is gone", call(), change=book(agents={}), status=401, code=-32600),
    Row("no token", call(), token="", status=401, code=-32600),
    # What the agent was given, and for how long.
    *(
        Row(f"access that {name}, {way}", message, path, change=change, code=code)
        for name, change in (("has run out", ended), ("was taken", book(grants={})), ("is to a disabled server", book(servers={})))
        for way, message, path, code in (
            ("at the server", call(), "/files", None),
            ("at the hub", call("files__echo"), "", -32602),
            ("by name", by_name(), "", None),
        )
    ),
    # What agents may see of the server.
    *(
        Row(f"a tool that {name}, {way}", message, path, change=change, code=code)
        for name, change in (
            ("is excluded", rule(exclude=frozenset({"echo"}))),
            ("is not among those included", rule(include=frozenset({"who", "counts"}))),
            ("was never accepted", rule(pins={})),
            ("is another than was accepted", rule(pins={"echo": ("0" * 64, {"name": "echo"})})),
        )
        for way, message, path, code in (
            ("at the server", call(), "/files", -32602),
            ("at the hub", call("files__echo"), "", -32602),
            ("by name", by_name(), "", None),
        )
    ),
    Row("a call that a category blocks", call(), change=rule(calls="block")),
    Row("a call that is to be asked for, and nobody can be asked", call(), change=rule(calls="ask")),
    Row("a call that is to be told, and nobody can be told", call(), change=rule(calls="notify")),
    # Everything that is no tool goes through the same check.
    *(Row(f"{each['method']} without access", each, token=BRUNO, code=-32000, status=403) for each in OTHERS),
    *(Row(f"{each['method']} after access has run out", each, change=ended, code=-32000, status=403) for each in OTHERS),
    *(Row(f"{each['method']} at the hub", each, "", code=-32601) for each in OTHERS),
    Row("a method nobody has thought of", request("files/burn"), code=-32601),
    Row("what only servers ask", request("sampling/createMessage", messages=[]), code=-32601),
    # Messages that say two things.
    Row("a batch", [call()], status=400, code=-32600),
    Row("a batch of one era in the other", [NEWER], headers=HEADERS, status=400, code=-32600),
    Row("a key that stands twice", json.dumps(call()).replace('"name"', '"name": "who", "name"').encode(), status=400, code=-32700),
    *(
        Row(f"headers that say other than the body: {given}", NEWER, headers={**HEADERS, **given}, status=400, code=-32020)
        for given in (
            {"Mcp-Method": "tools/list"},
            {"Mcp-Method": ""},
            {"Mcp-Name": "who"},
            {"Mcp-Name": ""},
            {"Mcp-Name": "ECHO"},
            {"MCP-Protocol-Version": "2099-01-01"},
        )
    ),
    Row(
        "Mcp-Name names an allowed tool while the body names a denied one", DENIED, status=400, code=-32020,
        change=rule(exclude=frozenset({"hang"})), headers=HEADERS,
    ),
    Row("the same the other way round", NEWER, headers={**HEADERS, "Mcp-Name": "hang"}, status=400, code=-32020),
    Row("an argument that its header denies", modern("tools/call", name="test_x_mcp_header", arguments={"region": "eu"})[0],
        headers={**HEADERS, "Mcp-Name": "test_x_mcp_header", "Mcp-Param-Region": "us"}, status=400, code=-32020),
    Row("a page of others", call(), headers={"Origin": "https://evil.example"}, status=403, code=-32600),
    Row("a name that was bent to us", call(), headers={"Host": "evil.example"}, status=403, code=-32600),
    Row("arguments that are none", request("tools/call", name="echo", arguments=[1]), code=-32602),
    # Names are exact.
    *(
        Row(f"a tool spelled {name!a}", call(name), code=-32602)
        for name in ("ECHO", "Echo", " echo", "echo ", "echo\u200b", "е" + "cho", "ｅｃｈｏ", "echo\x00", "../echo", "files__echo", "", None, 1, ["echo"])
    ),
    *(
        Row(f"a name of the hub spelled {name!a}", call(name), "", code=-32602)
        for name in (
            *("files__ECHO", "FILES__echo", "files_echo", "files___echo", "files__echo__", "__echo", "files__"),
            *("files__files__echo", "files__echo\u200b", "files/echo", "echo", "logos__echo", "mcp__logos__files__echo"),
        )
    ),
    *(
        Row(f"a server spelled {path!a}", call(), path)
        for path in ("/FILES", "/file", "/files%00", "/f%C4%B1les", "/ﬁles", "/control", "/logos")
    ),
    Row("a path below a server", call(), "/files/echo", status=404, code=-32600),
]  # fmt: skip


async def test_what_is_refused_never_reaches_the_server(gate: Gate) -> None:
    whole, before, wrong = gate.book, await heard(gate), []
    for row in ROWS:
        row.change(gate)
        status, answer = await gate.post(row.path, row.message, token=row.token, headers=row.headers)
        gate.rewrite(**{name: getattr(whole, name) for name in ("servers", "agents", "tokens", "grants")})
        error, result = answer.get("error", {}), answer.get("result", {})
        is_refused = "result" not in answer if row.code is not None else result.get("isError") is True
        if (status, error.get("code"), is_refused) != (row.status, row.code, True):
            wrong.append((row.what, status, answer))
        if (now := await heard(gate)) != before:
            wrong.append((row.what, "reached the server", now[len(before) :]))
            before = now
    assert wrong == []
    assert not [each for each in gate.records if each.tool != "counts" and each.outcome in ("ok", "error", "started")]


async def test_the_same_calls_reach_it_where_nothing_is_in_the_way(gate: Gate) -> None:
    """What shows that the table above could fail."""
    for path, message, headers in (
        ("/files", call(), {}),
        ("", call("files__echo"), {}),
        ("", by_name(), {}),
        ("/files", NEWER, HEADERS),
        *(("/files", each, {}) for each in OTHERS),
    ):
        status, answer = await gate.post(path, message, headers=headers)
        assert (status, "error" in answer) == (200, False), (message, answer)

    methods = [method for method, _ in await heard(gate)]
    assert methods.count("tools/call") == 4
    # A level is answered by Logos itself: a server that all use is silenced by none of them.
    assert {each["method"] for each in OTHERS} - {"logging/setLevel"} <= set(methods)


async def test_access_that_runs_out_while_one_listens_tells_nothing_more(gate: Gate) -> None:
    told: list[Any] = []
    listen, headers = modern("subscriptions/listen", 9, notifications={"toolsListChanged": True})

    async def hear() -> None:
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{gate.url}/files", json=listen, headers={**usual(ATLAS), **headers}) as answer,
        ):
            async for line in answer.content:
                told.extend([json.loads(line[6:])["method"]] if line.startswith(b"data: ") else [])

    listening = asyncio.ensure_future(hear())
    await until(lambda: len(told) == 1, "it is acknowledged")
    held, atlas = gate.book.grants, gate.book.grants["agent_atlas"]
    # Another agent makes the server change, before and after access of the first has run out by the clock alone.
    gate.rewrite(grants={**held, "agent_bruno": atlas})
    await gate.call("files", "grow", token=BRUNO, name="one")
    await until(lambda: len(told) == 2, "it hears of the first")
    gate.book.grants["agent_atlas"].update(dict.fromkeys(atlas, time.time() - 1))  # type: ignore[attr-defined]
    await gate.call("files", "grow", token=BRUNO, name="two")
    gate.book.grants["agent_atlas"].update(dict.fromkeys(atlas))  # type: ignore[attr-defined]
    await gate.call("files", "grow", token=BRUNO, name="three")
    await until(lambda: len(told) == 3, "it hears of the third")

    listening.cancel()
    assert told[1:] == ["notifications/tools/list_changed"] * 2


async def test_a_call_that_goes_on_while_access_ends_is_answered_and_no_other_is_made(gate: Gate) -> None:
    slow = asyncio.ensure_future(gate.call("files", "slow", seconds=1, text="begun before"))
    child = gate.servers["id-files"].child
    await until(lambda: child is not None and child.calls, "it goes on")
    whole = gate.book.grants
    ended(gate)

    refused = await gate.call("files", "echo")
    answer = await slow
    gate.rewrite(grants=whole)

    assert refused["result"]["isError"]
    assert answer["result"]["content"][0]["text"] == "begun before"
    assert ["tools/call", "echo"] not in await heard(gate)


def test_two_tools_of_one_name_in_the_hub_are_one_and_the_other_is_not_reachable() -> None:
    bent = hub.name_of("files", "a.b")
    own = ["list_mcp_servers", "call_mcp_tool"]
    found = hub.names(
        {"files": [{"name": "a.b"}, {"name": bent.removeprefix("files__")}, {"name": "a__b"}]},
        [*own, "files__a__b"],
    )

    assert found.places[bent].tool == "a.b"
    assert [each.tool for each in found.refused] == [bent.removeprefix("files__"), "a__b"]
    assert [each["name"] for each in found.tools] == [bent]
