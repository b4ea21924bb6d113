"""The door to servers: who gets through, in which words, and what never reaches a server."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from mcp_gateway import eras
from mcp_gateway.book import Token, digest
from tests.mcp_gateway.gate import ATLAS, BRUNO, PATIENCE_S, Gate, a_gate, modern, request, until, usual


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with a_gate() as gate:
        gate.add("files")
        yield gate


async def refused(gate: Gate, path: str, message: Any, **how: Any) -> tuple[int, int]:
    """The status and the code of a refusal."""
    status, answer = await gate.post(path, message, **how)
    return status, answer["error"]["code"]


async def test_a_call_passes_as_it_is_with_fields_nobody_knows_yet(gate: Gate) -> None:
    answer = await gate.call("files", "echo", "an id", text="grüße \ud800 🙂", n=1.0)

    assert answer["id"] == "an id"
    assert answer["result"]["content"][0]["text"] == "grüße \ud800 🙂"
    assert answer["result"]["futureField"] == {"kept": [1, 2.5, None]}
    assert [(each.tool, each.outcome, each.agent_id) for each in gate.records] == [("echo", "ok", "agent_atlas")]


@pytest.mark.parametrize("token", ["", "wrong", ATLAS.upper(), f"{ATLAS} "[:-2]])
async def test_without_the_token_of_an_agent_nothing_is_said(gate: Gate, token: str) -> None:
    status, answer = await gate.post("/files", request("tools/list"), token=token)

    assert (status, answer["error"]["code"]) == (401, -32600)


@pytest.mark.parametrize("target", ["files", "nothing", "FILES", "files/", "fıles", "%66iles2", "files%00"])
@pytest.mark.parametrize("method", ["tools/list", "tools/call", "resources/read", "prompts/get", "initialize"])
async def test_without_access_a_server_is_as_if_it_were_not_there(gate: Gate, target: str, method: str) -> None:
    message = request(method, name="echo", uri="test://static-text", arguments={})
    _, theirs = await gate.post(f"/{target}", message, token=BRUNO)
    _, nobodys = await gate.post("/no-such", message, token=BRUNO)

    assert theirs == nobodys
    assert await gate.counts("files") == {"notifications/initialized": 1, "counts": 1}


async def test_access_that_ends_or_is_taken_bites_at_the_next_message(gate: Gate) -> None:
    held = dict(gate.book.grants["agent_atlas"])
    assert "result" in await gate.call("files", "echo")

    gate.rewrite(grants={"agent_atlas": {name: time.time() - 1 for name in held}})
    assert (await gate.call("files", "echo"))["result"]["isError"]
    gate.rewrite(grants={"agent_atlas": {name: time.time() + 60 for name in held}})
    assert "isError" not in (await gate.call("files", "echo"))["result"]
    gate.rewrite(grants={})
    assert (await gate.call("files", "echo"))["result"]["isError"]
    gate.rewrite(grants={"agent_atlas": held}, servers={})
    assert (await gate.call("files", "echo"))["result"]["isError"]


async def test_a_token_that_is_over_or_of_an_agent_that_is_gone_opens_nothing(gate: Gate) -> None:
    for parts in (
        {"tokens": {digest(ATLAS): Token(1, "agent_atlas", time.time() - 1)}},
        {"tokens": {}},
        {"tokens": {digest(ATLAS): Token(1, "agent_atlas")}, "agents": {}},
    ):
        gate.rewrite(**parts)
        assert (await gate.post("/files", request("tools/list")))[0] == 401


async def test_an_excluded_tool_is_hidden_and_refused_at_every_address(gate: Gate) -> None:
    gate.rule("files", exclude=frozenset({"echo"}))
    hidden = await gate.listed("files"), await gate.listed("")

    direct = await gate.call("files", "echo")
    by_hub = await gate.call("", "files__echo")
    gate.rule("files", include=frozenset({"echo"}), exclude=frozenset())

    assert "echo" not in hidden[0]
    assert "files__echo" not in hidden[1]
    assert direct["error"]["code"] == by_hub["error"]["code"] == -32602
    assert await gate.listed("files") == ["echo"]
    gate.rule("files", include=frozenset())
    assert "echo" not in await gate.counts("files")


@pytest.mark.parametrize("name", ["ECHO", "echo ", " echo", "еcho", "echo\x00", ["echo"], None, 1])
async def test_a_tool_is_called_by_its_very_name(gate: Gate, name: Any) -> None:
    status, answer = await gate.post("/files", request("tools/call", name=name, arguments={}))

    assert (status, answer["error"]["code"]) == (200, -32602)
    assert set(await gate.counts("files")) == {"notifications/initialized", "counts"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"n":NaN}}}', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"n":1e999}}}', -32700),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
        (b"[" * 100_000, -32700),
        (b'"\xff"', -32700),
    ],
)
async def test_what_is_no_message_is_refused(gate: Gate, body: bytes, code: int) -> None:
    assert await refused(gate, "/files", body) == (400, code)


async def test_a_message_that_is_too_large_is_refused(gate: Gate) -> None:
    body = json.dumps(request("tools/call", name="echo", arguments={"text": "x" * 5_000_000})).encode()

    assert (await refused(gate, "/files", body))[0] == 413


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "OPTIONS", "HEAD"])
async def test_there_are_no_sessions_to_listen_to_or_to_end(gate: Gate, method: str) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, f"{gate.url}/files", headers=usual(ATLAS)) as answer,
    ):
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")


async def test_a_session_of_before_is_ignored(gate: Gate) -> None:
    status, answer = await gate.post("/files", request("ping"), headers={"Mcp-Session-Id": "from-before"})

    assert (status, answer["result"]) == (200, {})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "evil.example@localhost"}, 403),
        ({"Host": "localhost/evil.example"}, 403),
        ({"Host": "localhost:"}, 403),
        ({"Host": "LOCALHOST.:80"}, 200),
        ({"Host": "[::1]:80"}, 200),
        ({"Origin": "http://evil.example\\@localhost"}, 403),
        ({"Origin": "http://evil.example#@localhost"}, 403),
        ({"Origin": "http://localhost:8091"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "logos.example", "Origin": "https://logos.example"}, 200),
        ({"Content-Type": "text/plain"}, 415),
    ],
    ids=str,
)
async def test_pages_of_others_reach_nothing(gate: Gate, headers: dict[str, str], status: int) -> None:
    assert (await gate.post("/files", request("ping"), headers=headers))[0] == status


@pytest.mark.parametrize("name", ["Host", "Origin", "Authorization", "Content-Type"])
async def test_what_may_be_said_once_is_not_said_twice(gate: Gate, name: str) -> None:
    said = {**usual(ATLAS), "Host": "localhost", "Origin": "http://localhost"}
    head = "".join(f"{each}: {value}\r\n" for each, value in [*said.items(), (name, said[name])])
    body = json.dumps(request("ping"))
    reader, writer = await asyncio.open_connection(*gate.url.split("/")[2].split(":"))
    writer.write(f"POST /mcp/files HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())

    assert b" 400 " in await asyncio.wait_for(reader.readline(), PATIENCE_S)
    writer.close()


@pytest.mark.parametrize("path", ["/", "/files", "/mcpfiles", "/x/mcp/files", "/mcp-accounts/"])
async def test_only_addresses_of_the_gateway_are_answered(gate: Gate, path: str) -> None:
    gate.url = gate.url.removesuffix("/mcp")

    assert await refused(gate, path, request("ping")) == (404, -32600)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Mcp-Name": "hang"}, -32020),
        ({"Mcp-Name": ""}, -32020),
        ({"Mcp-Name": "ECHO"}, -32020),
        ({"Mcp-Name": "=?base64?aGFuZw==?="}, -32020),
        ({"Mcp-Name": "=?base64?ZWNo!!?="}, -32020),
        ({"Mcp-Method": "tools/list"}, -32020),
        ({"Mcp-Method": "TOOLS/CALL"}, -32020),
        ({"MCP-Protocol-Version": "2025-11-25"}, None),
        ({"MCP-Protocol-Version": "2099-01-01"}, -32020),
        ({"Mcp-Name": "=?base64?ZWNobw==?="}, None),
        ({"Mcp-Name": " echo "}, None),
    ],
    ids=str,
)
async def test_headers_say_what_the_body_says_or_nothing_happens(
    gate: Gate, headers: dict[str, str], code: Any
) -> None:
    gate.rule("files", exclude=frozenset({"hang"}))
    message, usual_headers = modern("tools/call", name="echo", arguments={"text": "x"})

    status, answer = await gate.post("/files", message, headers={**usual_headers, **headers})

    assert (status, answer.get("error", {}).get("code")) == (200 if code is None else 400, code)
    assert (await gate.counts("files")).get("echo", 0) == (1 if code is None else 0)


async def test_arguments_in_headers_say_what_the_body_says(gate: Gate) -> None:
    message, headers = modern("tools/call", name="test_x_mcp_header", arguments={"region": "eu"})

    for given, status in (({"Mcp-Param-Region": "us"}, 400), ({}, 400), ({"Mcp-Param-Region": "eu"}, 200)):
        assert (await gate.post("/files", message, headers={**headers, **given}))[0] == status


async def test_callers_with_the_same_ids_and_progress_tokens_hear_only_their_own(gate: Gate) -> None:
    gate.rewrite(grants=dict.fromkeys(("agent_atlas", "agent_bruno"), gate.book.grants["agent_atlas"]))

    async def caller(number: int) -> None:
        chance = random.Random(number)
        for round in range(4):
            id = chance.choice([1, "1", 2, "2"])
            words = f"{number}-{round}"
            arguments = {"seconds": chance.random() / 20, "text": words}
            meta = {"progressToken": id}
            message = request("tools/call", id, name="slow", arguments=arguments, _meta=meta)
            status, heard = await gate.hear("/files", message, token=ATLAS if number % 2 else BRUNO)
            assert status == 200
            assert heard[-1]["id"] == id
            assert type(heard[-1]["id"]) is type(id)
            assert heard[-1]["result"]["content"][0]["text"] == words
            assert [each["params"]["message"] for each in heard[:-1]] == [words]
            assert [each["params"]["progressToken"] for each in heard[:-1]] == [id]

    await asyncio.wait_for(asyncio.gather(*(caller(number) for number in range(64))), PATIENCE_S * 2)

    assert (await gate.counts("files"))["slow"] == 256


async def test_closing_the_connection_cancels_at_the_server(gate: Gate) -> None:
    supervisor = gate.servers["id-files"]
    await gate.call("files", "echo")
    tasks = len(asyncio.all_tasks())
    waiting = asyncio.ensure_future(gate.call("files", "hang"))
    await until(lambda: supervisor.state == "ready" and supervisor.child and supervisor.child.calls, "it waits")

    waiting.cancel()

    await until(lambda: [each.outcome for each in gate.records][-1:] == ["cancelled"], "it is noted")
    assert (await gate.counts("files"))["notifications/cancelled"] == 1
    await until(lambda: len(asyncio.all_tasks()) <= tasks + 1, "nothing waits any more")


async def test_a_caller_of_the_older_era_cancels_by_a_message(gate: Gate) -> None:
    supervisor = gate.servers["id-files"]
    waiting = asyncio.ensure_future(gate.call("files", "hang", 5))
    await until(lambda: supervisor.state == "ready" and supervisor.child and supervisor.child.calls, "it waits")
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}}

    assert (await gate.post("/files", cancel, token=BRUNO))[0] == 202
    assert not waiting.done()
    assert (await gate.post("/files", cancel))[0] == 202

    assert "cancelled" in (await waiting)["result"]["content"][0]["text"]
    assert gate.records[-1].outcome == "cancelled"


async def test_both_eras_speak_with_a_server_of_either(gate: Gate) -> None:
    gate.add("newer", "--era", "modern")
    for server in ("files", "newer"):
        message, headers = modern("tools/call", name="echo", arguments={"text": "new"})
        _, found = await gate.post(f"/{server}", message, headers=headers)
        listed, headers = modern("tools/list")
        _, tools = await gate.post(f"/{server}", listed, headers=headers)

        assert found["result"]["content"][0]["text"] == "new"
        assert found["result"]["resultType"] == "complete"
        assert (tools["result"]["ttlMs"], tools["result"]["cacheScope"]) == (0, "private")
        assert (await gate.call(server, "echo", text="old"))["result"]["content"][0]["text"] == "old"
        shaken = (await gate.post(f"/{server}", request("initialize", protocolVersion="2025-06-18")))[1]["result"]
        assert shaken["protocolVersion"] == "2025-06-18"
        assert shaken["serverInfo"] == {"name": server, "title": "Everything", "version": "1.0"}


async def test_a_tool_that_needs_a_person_says_so_when_there_is_none(gate: Gate) -> None:
    gate.add("newer", "--era", "modern")

    answer = await gate.call("newer", "test_input_required_result_elicitation")

    assert answer["result"]["isError"]
    assert "asked for more input after 10 rounds" in answer["result"]["content"][0]["text"]


async def test_the_hub_has_the_tools_of_every_server_within_reach(gate: Gate) -> None:
    gate.add("newer", "--era", "modern")
    names = await gate.listed("")

    assert {"list_mcp_servers", "files__echo", "newer__echo"} <= set(names)
    assert len(names) == len(set(names))
    assert (await gate.call("", "newer__echo", text="hello"))["result"]["content"][0]["text"] == "hello"
    own = "capabilities__"  # of the agent's own sandbox
    assert not [name for name in await gate.listed("", token=BRUNO) if "__" in name and not name.startswith(own)]
    assert (await gate.call("", "files__echo", token=BRUNO))["error"]["code"] == -32602
    servers = (await gate.call("", "list_mcp_servers"))["result"]["structuredContent"]["servers"]
    assert [(each["name"], each["state"]) for each in servers] == [("files", "ready"), ("newer", "ready")]


@pytest.mark.parametrize("method", ["resources/list", "resources/read", "prompts/get", "sampling/createMessage", "x"])
async def test_the_hub_has_nothing_but_tools(gate: Gate, method: str) -> None:
    assert await refused(gate, "", request(method, uri="test://static-text", name="x")) == (200, -32601)


async def test_whoever_listens_hears_of_another_list_and_of_another_reach(gate: Gate) -> None:
    await gate.call("files", "echo")
    heard: list[tuple[str, Any]] = []
    listen, headers = modern("subscriptions/listen", 9, notifications={"toolsListChanged": True})

    async def hear(path: str) -> None:
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{gate.url}{path}", json=listen, headers={**usual(ATLAS), **headers}) as answer,
        ):
            async for line in answer.content:
                if line.startswith(b"data: "):
                    heard.append((path, json.loads(line[6:])))

    tasks = [asyncio.ensure_future(hear(path)) for path in ("", "/files")]
    await until(lambda: len(heard) == 2, "both are acknowledged")
    await gate.call("files", "grow", name="one more")
    await until(lambda: len(heard) == 4, "both hear of the new tool")
    assert "one more" in await gate.listed("files")
    gate.add("another")
    await until(lambda: len(heard) == 5, "the hub hears of the new server")

    for task in tasks:
        task.cancel()
    methods = [(path, each["method"]) for path, each in heard]
    assert {each["params"]["_meta"][eras.SUBSCRIPTION] for _, each in heard} == {"9"}
    assert [name for _, name in methods[:2]] == ["notifications/subscriptions/acknowledged"] * 2
    assert sorted(methods[2:]) == [("", "notifications/tools/list_changed")] * 2 + [
        ("/files", "notifications/tools/list_changed")
    ]


async def test_a_servers_question_goes_to_nobody_unless_it_was_set_up_so(gate: Gate) -> None:
    alone = await gate.call("files", "test_sampling", prompt="Say something")

    assert "lends no model" in alone["result"]["content"][0]["text"]


async def test_an_agent_has_so_many_calls_at_once_and_no_more(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_gateway.carrying.MAX_CALLS", 3)
    supervisor = gate.servers["id-files"]
    waiting = [asyncio.ensure_future(gate.call("files", "hang", number)) for number in range(3)]
    await until(lambda: supervisor.child and len(supervisor.child.calls) == 3, "they wait")

    answer = await gate.call("files", "echo")

    assert "At most 3 calls" in answer["result"]["content"][0]["text"]
    for task in waiting:
        task.cancel()


async def test_which_run_calls_is_for_us_alone(gate: Gate) -> None:
    gate.add("files", "--era", "handshake")

    found = [
        (await gate.post("/files", request("tools/call", name="echo", arguments={}, _meta=meta)))[1]["result"]["meta"]
        for meta in ({"logos/run": "run_inside", "other": 1}, {"logos/run": "run_inside"})
    ]

    assert found == [["other"], []]


@pytest.mark.parametrize("end", ["revoked", "expired", "agent"])
async def test_a_stream_ends_with_what_let_its_caller_in(gate: Gate, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await gate.call("files", "echo")
    if end == "expired":
        # A clock that stands still: both are let in however slow the machine, each for half a second.
        monkeypatch.setattr("mcp_gateway.book.time", SimpleNamespace(time=lambda: 1_000.0))
        gate.rewrite(tokens={digest(ATLAS): Token(1, "agent_atlas", 1_000.5)})
    listen, headers = modern("subscriptions/listen", 9, notifications={"toolsListChanged": True})
    opened: set[str] = set()

    async def hear(path: str) -> bool:
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{gate.url}{path}", json=listen, headers={**usual(ATLAS), **headers}) as answer,
        ):
            async for line in answer.content:
                if line.startswith(b"data: "):
                    opened.add(path)
            return True

    streams = [asyncio.ensure_future(hear("/files")), asyncio.ensure_future(hear(""))]
    if end != "expired":
        await until(lambda: len(gate.relay.listening._open) == 2, "both are open")
    if end == "revoked":
        gate.rewrite(tokens={})
    elif end == "agent":
        gate.rewrite(agents={})

    assert await asyncio.wait_for(asyncio.gather(*streams), PATIENCE_S) == [True, True]
    assert opened == {"/files", ""}
    assert not gate.relay.listening._open


async def test_what_a_server_says_by_itself_is_told_to_nobody_once_two_agents_use_it(gate: Gate) -> None:
    book = gate.book
    gate.rewrite(grants={**book.grants, "agent_bruno": book.grants["agent_atlas"]})
    await gate.call("files", "echo", token=BRUNO)
    logs = request("tools/call", name="test_tool_with_logging", arguments={})

    async def logged(token: str) -> int:
        await gate.post("/files", request("logging/setLevel", level="debug"), token=token)
        _, heard = await gate.hear("/files", logs, token=token)
        return sum(each.get("method") == "notifications/message" for each in heard)

    alone = await logged(BRUNO)
    await gate.call("files", "echo")

    assert alone > 0
    assert (await logged(BRUNO), await logged(ATLAS)) == (0, 0)


async def test_nobody_is_promised_changes_of_one_resource_or_silences_a_server_for_others(gate: Gate) -> None:
    gate.add("newer", "--era", "modern")
    for server in ("files", "newer"):
        told = (await gate.post(f"/{server}", request("initialize")))[1]["result"]["capabilities"]
        message, headers = modern("server/discover")
        found = (await gate.post(f"/{server}", message, headers=headers))[1]["result"]["capabilities"]
        assert told["resources"] == found["resources"] == {"listChanged": True}

    assert (await gate.post("/files", request("logging/setLevel", level="emergency")))[1]["result"] == {}
    for level in ("loud", None, ["debug"]):
        assert await refused(gate, "/files", request("logging/setLevel", level=level)) == (200, -32602)
    assert "logging/setLevel" not in await gate.counts("files")
