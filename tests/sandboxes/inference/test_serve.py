"""Listeners come and go inside a running loop, and leave signals to the owner of the process."""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import Any

import aiohttp
import pytest

from sandboxes.inference import serve
from sandboxes.inference.serve import PassedListeners


def listener() -> tuple[socket.socket, str]:
    made = socket.create_server(("127.0.0.1", 0))
    return made, f"http://127.0.0.1:{made.getsockname()[1]}/"


def saying(word: bytes, gate: asyncio.Event | None = None) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": word, "more_body": True})
        if gate is not None:
            await gate.wait()
        await send({"type": "http.response.body", "body": b".", "more_body": False})

    return app


async def test_each_listener_serves_its_own_application() -> None:
    listeners = PassedListeners(drain_s=1)
    addresses = []
    for name in ("a", "b"):
        made, address = listener()
        await listeners.add(name, made, saying(name.encode()))
        addresses.append(address)

    async with aiohttp.ClientSession() as client:
        answers = [await (await client.get(address)).read() for address in addresses]
        await listeners.remove("a")
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.get(addresses[0])
        assert await (await client.get(addresses[1])).read() == b"b."

    assert answers == [b"a.", b"b."]
    await listeners.close()
    assert listeners.names == frozenset()


async def test_a_listener_held_elsewhere_keeps_connections_for_the_next_server() -> None:
    listeners = PassedListeners(drain_s=1)
    kept, address = listener()
    await listeners.add("box", kept.dup(), saying(b"one"))
    await listeners.remove("box")

    async with aiohttp.ClientSession() as client:
        waiting = asyncio.ensure_future(client.get(address))
        await listeners.add("box", kept.dup(), saying(b"two"))
        assert await (await waiting).read() == b"two."

    await listeners.close()
    kept.close()


async def test_answers_do_not_wait_for_acknowledgements() -> None:
    listeners = PassedListeners(drain_s=1)
    made, address = listener()
    await listeners.add("box", made, saying(b"x"))
    loop = asyncio.get_running_loop()

    async with aiohttp.ClientSession() as client:
        took_s = []
        for _ in range(100):
            began = loop.time()
            await (await client.get(address)).read()
            took_s.append(loop.time() - began)

    assert min(took_s) < 0.035  # each would wait 40 ms, the quickest too
    await listeners.close()


async def test_adding_a_name_again_replaces_its_server() -> None:
    listeners = PassedListeners(drain_s=1)
    kept, address = listener()
    await listeners.add("box", kept.dup(), saying(b"one"))
    await listeners.add("box", kept, saying(b"two"))

    async with aiohttp.ClientSession() as client:
        assert await (await client.get(address)).read() == b"two."
    await listeners.close()


async def test_an_open_answer_may_end_before_its_server_goes() -> None:
    listeners, gate = PassedListeners(drain_s=5), asyncio.Event()
    made, address = listener()
    await listeners.add("box", made, saying(b"slow", gate))

    async with aiohttp.ClientSession() as client:
        response = await client.get(address)
        assert await response.content.readany() == b"slow"
        closing = asyncio.ensure_future(listeners.close())
        gate.set()
        assert await response.read() == b"."
    await closing


async def test_an_answer_that_does_not_end_is_cut_after_the_draining(caplog: pytest.LogCaptureFixture) -> None:
    listeners, ended = PassedListeners(drain_s=0), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await saying(b"slow", asyncio.Event())(scope, receive, send)
        finally:
            ended.append(True)

    made, address = listener()
    await listeners.add("box", made, app)

    async with aiohttp.ClientSession() as client:
        response = await client.get(address)
        assert await response.content.readany() == b"slow"
        await listeners.close()
        assert ended == [True]
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_servers_that_come_and_go_leave_the_signal_handlers_alone() -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    listeners = PassedListeners(drain_s=1)
    for name in ("a", "b"):
        await listeners.add(name, listener()[0], saying(b"x"))
    during = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    await listeners.remove("a")
    await listeners.close()

    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == during == before


async def test_a_flood_of_connections_is_cut_off_and_those_before_it_are_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serve.Bounded, "most", 2)
    listeners = PassedListeners(drain_s=1)
    made, address = listener()
    await listeners.add("box", made, saying(b"x"))
    port = int(address.rsplit(":", 1)[1].strip("/"))

    async def ends(reader: asyncio.StreamReader) -> bool:
        try:
            return await asyncio.wait_for(reader.read(), 30) == b""
        except ConnectionError:
            return True

    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    held[0][1].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"200" in await held[0][0].readline()
    flood = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
    assert all(await asyncio.gather(*(ends(reader) for reader, _ in flood)))
    held[1][1].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"200" in await held[1][0].readline()
    for _, writer in held + flood:
        writer.close()
    await listeners.close()
