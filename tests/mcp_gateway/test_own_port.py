"""The gateway's own port: the same door as on the site's, and nobody can wear it out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator
from types import SimpleNamespace

import aiohttp
import pytest
from django.conf import LazySettings
from django.test import Client

from logos_site import probes
from mcp_gateway import gateway, own_port, where
from mcp_gateway.own_port import OwnPort
from mcp_gateway.site_port import SitePort
from sandboxes.inference import serve
from sandboxes.inference.serve import PassedListeners
from tests.conftest import person
from tests.mcp_gateway.gate import ATLAS, PATIENCE_S, Gate, a_gate, request, until, usual
from tests.mcp_gateway.test_outside import an_agent


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with a_gate() as gate:
        gate.add("files")
        yield gate


@pytest.fixture
async def own(gate: Gate) -> AsyncIterator[OwnPort]:
    found = OwnPort()
    await found.open("127.0.0.1", 0, gate.door)
    gate.url = found.address("localhost")
    yield found
    await found.close()


async def said(port: int, *sent: bytes) -> bytes:
    """All that is answered to these bytes until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(ConnectionError):
        for each in sent:
            writer.write(each)
            await writer.drain()
    answer = b""
    async with asyncio.timeout(PATIENCE_S):
        with contextlib.suppress(ConnectionError):
            answer = await reader.read()
    writer.close()
    return answer


async def test_it_is_the_same_door(gate: Gate, own: OwnPort) -> None:
    answer = await gate.call("files", "echo", "an id", text="grüße")
    ping = request("ping")

    assert answer["result"]["content"][0]["text"] == "grüße"
    assert (await gate.post("/files", ping, token="wrong"))[0] == 401
    assert (await gate.post("/files", ping, headers={"Host": "evil.example"}))[0] == 403
    assert (await gate.post("/files", ping, headers={"Origin": "https://evil.example"}))[0] == 403
    assert (await gate.post("/files", b"x" * 5_000_000))[0] == 413
    async with aiohttp.ClientSession() as http, http.get(f"{gate.url}/files", headers=usual(ATLAS)) as found:
        assert found.status == 405
    async with aiohttp.ClientSession() as http, http.get(f"{gate.url.removesuffix('/mcp')}/admin/") as found:
        assert found.status in (403, 404, 405)


async def test_a_door_is_known_by_what_it_wants_to_see(gate: Gate, own: OwnPort) -> None:
    assert await asyncio.to_thread(where.is_door, gate.url)
    assert not await asyncio.to_thread(where.is_door, gate.url.removesuffix("/mcp") + "/other")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert not await asyncio.to_thread(where.is_door, f"http://127.0.0.1:{port}/mcp")


async def test_the_sites_port_has_connections_as_long_as_there_is_a_gateway(gate: Gate) -> None:
    site = SitePort()
    assert site.connection() is None
    await site.open(gate.door)
    assert site.connection() is not None
    await site.close()
    assert site.connection() is None


def offering(protocol: str, method: str = "ping", sizes: bool = True) -> bytes:
    """A message with the offer to go on in another protocol."""
    body = json.dumps(request(method)).encode()
    length = f"Content-Length: {len(body)}" if sizes else "Transfer-Encoding: chunked"
    said = [*(f"{name}: {value}" for name, value in usual(ATLAS).items()), length]
    offer = ["Connection: Upgrade, HTTP2-Settings", f"Upgrade: {protocol}", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"]
    head = "\r\n".join(["POST /mcp/files HTTP/1.1", "Host: localhost", *offer, *said, "", ""]).encode()
    return head + (body if sizes else b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))


@pytest.mark.parametrize("piece", [1, 7, 100_000])
@pytest.mark.parametrize("sizes", [True, False])
@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
async def test_who_offers_another_protocol_is_answered_in_this_one(
    gate: Gate, own: OwnPort, piece: int, sizes: bool, protocol: str
) -> None:
    end = b"GET /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    sent = offering(protocol, sizes=sizes) + end

    answer = await said(own.port, *(sent[at : at + piece] for at in range(0, len(sent), piece)))

    assert answer.count(b'{"jsonrpc":"2.0","id":1,"result":{}}') == 1
    assert answer.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 405" in answer


async def test_a_row_of_offers_is_not_read_again_and_again(own: OwnPort) -> None:
    assert b"HTTP/1.1 400" in await said(own.port, offering("h2c") * 3)


async def test_who_wants_a_tunnel_gets_none(own: OwnPort) -> None:
    assert (await said(own.port, b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n")).startswith(
        b"HTTP/1.1 400"
    )


async def test_a_request_without_end_is_cut_off(own: OwnPort, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\n"

    assert await said(own.port, begin, *[b"X-Filler: %b\r\n" % (b"y" * 8000)] * 20) == b""
    monkeypatch.setattr(own_port, "ARRIVES_S", 0.3)
    assert await said(own.port) == b""
    assert await said(own.port, begin) == b""
    monkeypatch.setattr(own_port, "ARRIVES_S", 3.0)
    assert b" 401 " in await said(own.port, begin, b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{")


async def test_a_call_may_take_longer_than_a_request_to_arrive(
    gate: Gate, own: OwnPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    await gate.call("files", "echo")  # it runs
    monkeypatch.setattr(own_port, "ARRIVES_S", 1.0)

    assert "result" in await gate.call("files", "slow", seconds=2)
    assert "result" in await gate.call("files", "echo")


async def test_there_are_only_so_many_connections(own: OwnPort, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_port.Guarded, "most", 3)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            _, writer = await asyncio.open_connection("127.0.0.1", own.port)
            stack.callback(writer.close)
        assert await said(own.port, b"POST /mcp HTTP/1.1\r\n\r\n") == b""


async def test_calls_under_way_may_end_and_nobody_waits_for_one_that_does_not(gate: Gate) -> None:
    own = OwnPort()
    own._listeners = PassedListeners(drain_s=5, protocol=own_port.Guarded)  # a busy machine needs more than a moment
    await own.open("127.0.0.1", 0, gate.door)
    gate.url = own.address("localhost")
    await gate.call("files", "echo")
    child = gate.servers["id-files"].child
    assert child is not None
    short = asyncio.ensure_future(gate.call("files", "slow", 1, seconds=0.3))
    never = asyncio.ensure_future(gate.call("files", "hang", 2))
    await until(lambda: len(child.calls) == 2, "both are under way")

    await asyncio.wait_for(own.close(), PATIENCE_S)

    assert "isError" not in (await short)["result"]
    assert "Logos ends" in (await never)["result"]["content"][0]["text"]
    assert own.address("localhost") == ""
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("127.0.0.1", int(gate.url.rpartition(":")[2].partition("/")[0]))


async def test_a_port_that_is_taken_leaves_the_sites_own(caplog: pytest.LogCaptureFixture) -> None:
    found = OwnPort()
    with socket.create_server(("127.0.0.1", 0)) as taken, caplog.at_level(logging.WARNING):
        await found.open("127.0.0.1", taken.getsockname()[1], None)

    assert found.port == 0
    assert "by the site's own port" in caplog.text
    await found.open("127.0.0.1", 70_000, None)
    await found.close()


@pytest.mark.parametrize(
    ("bound", "host", "address"),
    [
        ("127.0.0.1", "localhost:8091", "http://localhost:8081/mcp"),
        ("127.0.0.1", "[::1]:8091", "http://[::1]:8081/mcp"),
        ("127.0.0.1", "logos.example", ""),
        ("0.0.0.0", "logos.example:8091", "http://logos.example:8081/mcp"),
        ("10.0.0.5", "logos.example:8091", "http://10.0.0.5:8081/mcp"),
        ("::", "[2001:db8::1]:8091", "http://[2001:db8::1]:8081/mcp"),
        ("0.0.0.0", "", ""),
    ],
)
def test_its_address_is_one_that_leads_there(bound: str, host: str, address: str) -> None:
    found = OwnPort()
    assert found.address(host) == ""
    found.host, found.port = bound, 8081

    assert found.address(host) == address


@pytest.mark.django_db
def test_pages_and_programs_say_the_address_there_is(monkeypatch: pytest.MonkeyPatch, settings: LazySettings) -> None:
    agent, browser = an_agent(), Client(headers={"host": "localhost:8091"})
    browser.force_login(person("ada", "admin"))
    opened = OwnPort()
    opened.host, opened.port = "127.0.0.1", 8081
    monkeypatch.setattr(gateway, "_current", SimpleNamespace(own_port=opened))

    def told() -> tuple[bool, bool]:
        page = browser.get(f"/agents/{agent.pk}/outside/").content.decode()
        api = browser.get(f"/api/agents/{agent.pk}/mcp-clients").content.decode()
        return "localhost:8081/mcp" in page, "localhost:8081/mcp" in api

    assert told() == (True, True)
    settings.LOGOS_URL = "https://logos.example"
    assert told() == (False, False)
    settings.LOGOS_URL = ""
    opened.port = 0
    assert told() == (False, False)


def test_doctor_says_how_it_is(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.LOGOS_MCP_BIND, settings.LOGOS_MCP_PORT = "127.0.0.1", 0
    assert probes.mcp_port().ok
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings.LOGOS_MCP_PORT = taken.getsockname()[1]
        assert "in use" in probes.mcp_port().detail
        monkeypatch.setattr(probes, "is_up", lambda: True)
        assert probes.mcp_port().ok
    assert not probes.mcp_port().ok
    assert "LOGOS_MCP_PORT" in probes.mcp_port().fix


async def test_the_head_of_a_sandboxs_request_has_an_end_too(gate: Gate) -> None:
    port = int(gate.url.rpartition(":")[2].partition("/")[0])
    assert serve.Bounded.most < own_port.Guarded.most

    head = b"POST /mcp HTTP/1.1\r\n" + b"X-Filler: %b\r\n" % (b"y" * 8000) * 40
    assert await said(port, head, head) == b""
