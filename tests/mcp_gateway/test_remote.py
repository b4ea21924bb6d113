"""MCP servers elsewhere: both eras over HTTP, sessions, streams, failures, and what they must not do to us."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from mcp_gateway.remote.peer import RemoteLaunch
from mcp_gateway.supervisor import Supervisor, Times
from tests.mcp_gateway.elsewhere import elsewhere, serving
from tests.mcp_gateway.gate import ATLAS, Gate, a_gate, modern, request, until

ERAS = pytest.mark.parametrize("era", ["handshake", "modern"])
WAYS = pytest.mark.parametrize("streams", [False, True], ids=["json", "stream"])
QUICK = Times(30, 60, 0.05)


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with a_gate() as made:
        yield made


def reach(gate: Gate, url: str, **launch: Any) -> Supervisor:
    return gate.add("far", start=RemoteLaunch(url, allows_private=True, **launch), times=QUICK)


async def is_ready(supervisor: Supervisor) -> None:
    await until(lambda: supervisor.state == "ready", f"{supervisor.state} {supervisor.reason}")


def said(found: Any) -> str:
    return found["result"]["content"][0]["text"]


@ERAS
@WAYS
async def test_a_server_of_either_era_is_used_like_one_of_ours(gate: Gate, era: str, streams: bool) -> None:
    async with elsewhere(era=era, streams=streams) as server:
        supervisor = reach(gate, server.url)

        assert "echo" in await gate.listed("far")
        assert said(await gate.call("far", "echo", text="grüße ☃")) == "grüße ☃"
        message, headers = modern("tools/call", name="echo", arguments={"text": "new"})
        status, found = await gate.post("/far", message, headers=headers)
        assert (status, said(found)) == (200, "new")
        assert supervisor.known.protocol == ("2026-07-28" if era == "modern" else "2025-06-18")


@ERAS
async def test_every_message_says_its_revision_and_session(gate: Gate, era: str) -> None:
    async with elsewhere(era=era) as server:
        await is_ready(reach(gate, server.url))
        await gate.call("far", "region", region="North Sea ☃")

        called = server.asked("tools/call")[0]
        if era == "modern":
            assert called["Mcp-Name"] == "region"
            assert called["Mcp-Param-Region"] == "=?base64?Tm9ydGggU2VhIOKYgw==?="
            assert "Mcp-Session-Id" not in called
        else:
            assert called["MCP-Protocol-Version"] == "2025-06-18"
            assert called["Mcp-Session-Id"] in server.known
            assert "Mcp-Session-Id" not in server.asked("initialize")[0]


async def test_progress_and_questions_come_on_the_stream_of_their_call(gate: Gate) -> None:
    async with elsewhere() as server:
        await is_ready(reach(gate, server.url))
        asking = request("tools/call", 7, name="progress", arguments={}, _meta={"progressToken": "mine"})

        _, heard = await gate.hear("/far", asking)

        assert [each["params"] for each in heard[:-1]] == [
            {"progressToken": "mine", "progress": 1},
            {"progressToken": "mine", "progress": 2},
        ]
        assert heard[-1]["id"] == 7
        assert json.loads(said(await gate.call("far", "ask"))) == {"action": "decline"}
        assert server.answered[0]["id"] == "q-1"


async def test_an_answer_on_the_stream_of_another_call_is_nobodys(gate: Gate) -> None:
    async with elsewhere() as server:
        await is_ready(reach(gate, server.url))
        asking = request("tools/call", 7, name="progress", arguments={}, _meta={"progressToken": "mine"})
        both = await asyncio.gather(
            gate.post("/far", asking), *(gate.call("far", "echo", text="own") for _ in range(8))
        )

        assert [said(each) for each in both[1:]] == ["own"] * 8


async def test_a_session_the_server_forgot_is_opened_anew_and_the_call_made_once(gate: Gate) -> None:
    async with elsewhere() as server:
        await is_ready(reach(gate, server.url))
        server.known.clear()

        found = await asyncio.gather(*(gate.call("far", "echo", text="again") for _ in range(5)))

        assert [said(each) for each in found] == ["again"] * 5
        assert len(server.asked("initialize")) == 2


@ERAS
async def test_tools_that_change_are_noticed(gate: Gate, era: str) -> None:
    async with elsewhere(era=era) as server:
        supervisor = reach(gate, server.url)
        await is_ready(supervisor)

        await gate.call("far", "change")

        await until(lambda: any(each["name"] == "fresh" for each in supervisor.known.tools), "not noticed")


@ERAS
async def test_a_call_that_is_given_up_is_given_up_there_too(gate: Gate, era: str) -> None:
    async with elsewhere(era=era) as server:
        await is_ready(reach(gate, server.url))
        calling = asyncio.create_task(gate.call("far", "hang"))
        await until(lambda: server.hung, "not called")

        calling.cancel()

        await until(lambda: not server.hung, "still going on")
        # The older era says so too; in the newer one there is nothing to say but to hang up.
        if era == "handshake":
            await until(lambda: server.asked("notifications/cancelled"), "not told")
        else:
            assert said(await gate.call("far", "echo", text="on")) == "on"
            assert not server.asked("notifications/cancelled")


async def test_an_answer_of_20_mb_ends_its_call_and_nothing_else(gate: Gate) -> None:
    async with elsewhere() as server:
        supervisor = reach(gate, server.url)
        await is_ready(supervisor)

        found = await gate.call("far", "big")

        assert "larger than 16 MB" in said(found)
        assert said(await gate.call("far", "echo", text="fine")) == "fine"
        assert supervisor.starts == 1


async def test_what_broke_off_is_told_and_never_asked_twice(gate: Gate) -> None:
    async with elsewhere(streams=True) as server:
        await is_ready(reach(gate, server.url))

        broken, unwell = await gate.call("far", "break"), await gate.call("far", "unwell")

        assert "broke off" in said(broken)
        assert "too busy just now (503)" in said(unwell)
        assert len(server.asked("tools/call")) == 2
        assert said(await gate.call("far", "echo", text="fine")) == "fine"


@pytest.mark.parametrize(
    ("status", "words"),
    [(302, "do not follow"), (404, "status 404"), (401, "asks who we are"), (403, "may not do this")],
)
async def test_a_server_that_refuses_us_says_why_in_its_state(gate: Gate, status: int, words: str) -> None:
    async with elsewhere(status=status) as server:
        supervisor = reach(gate, server.url)
        await until(lambda: supervisor.state in ("parked", "needs_auth"), supervisor.state)

        assert words in supervisor.reason
        assert supervisor.state == ("needs_auth" if status == 401 else "parked")
        assert len(server.requests) <= 10


async def test_a_redirect_is_not_followed(gate: Gate) -> None:
    hits: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        hits.append(request.path)
        return web.Response(status=307, headers={"Location": "/secret"})

    async with serving(handler) as base:
        supervisor = reach(gate, f"{base}/mcp")
        await until(lambda: supervisor.state == "parked", supervisor.state)

        assert set(hits) == {"/mcp"}


async def test_a_server_that_cannot_be_reached_is_tried_for_as_long_as_it_takes(gate: Gate) -> None:
    async with elsewhere() as server:
        url = server.url
    supervisor = reach(gate, url)
    await until(lambda: supervisor._deaths >= 6, supervisor.reason)
    assert supervisor.state in ("backoff", "starting")
    assert "nothing answers" in supervisor.reason or supervisor.state == "starting"


async def test_a_server_that_goes_away_is_told_and_found_again(gate: Gate) -> None:
    async with elsewhere() as server:
        runner = web.AppRunner(web.Application(), handle_signals=False, shutdown_timeout=0.1)
        runner.app.router.add_route("*", "/mcp", server.serve)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        supervisor = reach(gate, f"http://127.0.0.1:{port}/mcp")
        await is_ready(supervisor)
        await runner.cleanup()

        found = await gate.call("far", "echo", text="gone")
        assert found["result"]["isError"]

        again = web.AppRunner(web.Application(), handle_signals=False, shutdown_timeout=0.1)
        again.app.router.add_route("*", "/mcp", server.serve)
        await again.setup()
        await web.TCPSite(again, "127.0.0.1", port).start()
        try:
            await until(lambda: supervisor.state == "ready" and supervisor.starts > 1, supervisor.reason)
            assert said(await gate.call("far", "echo", text="back")) == "back"
        finally:
            await again.cleanup()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>", "text/html"),
        (b"[1]", "application/json"),
        (b"{" * 5000, "application/json"),
        (b'{"jsonrpc":"2.0","id":1,"id":1,"result":{}}', "application/json"),
        (b"data: {}\n\n", "text/event-stream"),
        (b"\xff\xfe", "application/json"),
    ],
    ids=["page", "list", "deep", "twice", "empty", "bytes"],
)
async def test_what_is_no_mcp_is_parked_and_never_ready(gate: Gate, body: bytes, kind: str) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type=kind)

    async with serving(handler) as base:
        supervisor = reach(gate, base)
        await until(lambda: supervisor.state == "parked", supervisor.state)
        assert supervisor.reason


async def test_an_answer_that_is_packed_is_refused(gate: Gate) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})

    async with serving(handler) as base:
        supervisor = reach(gate, base)
        await until(lambda: supervisor.state == "parked", supervisor.state)
        assert "packs its answers" in supervisor.reason


async def test_what_we_show_a_server_never_comes_back(gate: Gate) -> None:
    secret = 's3cret/"quoted"-0123456789'
    async with elsewhere() as server:
        launch = {"headers": {"X-Api-Key": secret}, "known": (secret,)}
        await is_ready(reach(gate, server.url, **launch))

        found = await gate.call("far", "headers")

        assert server.asked("tools/call")[0]["X-Api-Key"] == secret
        assert "s3cret" not in json.dumps(found)
        assert "••••••" in json.loads(said(found))["X-Api-Key"]
        assert ATLAS not in json.dumps(server.asked("tools/call"))


async def test_proxies_of_the_environment_are_not_used(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with elsewhere() as server:
        await is_ready(reach(gate, server.url))


async def test_a_server_behind_a_gate_of_its_own_is_reached_with_a_header(gate: Gate) -> None:
    """Two gateways in a row: everything the stdio server can do arrives."""
    async with a_gate() as other:
        other.add("near", "--era", "handshake")
        supervisor = gate.add(
            "far",
            start=RemoteLaunch(f"{other.url}/near", {"Authorization": f"Bearer {ATLAS}"}, (ATLAS,), True),
            times=QUICK,
        )
        await is_ready(supervisor)

        found = await gate.call("far", "echo", text="twice")
        assert found["result"]["futureField"] == {"kept": [1, 2.5, None]}
        slow = await asyncio.gather(*(gate.call("far", "echo", id=1, text=str(n)) for n in range(64)))
        assert [said(each) for each in slow] == [str(n) for n in range(64)]
