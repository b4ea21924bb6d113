"""The client against a stand-in that replays captured streams; what that cannot prove is in test_real_runtime."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from agents.errors import Code
from sandboxes.driver import SandboxError
from sandboxes.hermes import client as client_module
from sandboxes.hermes.client import HermesClient, RunStatus, ToolCall, Turn
from sandboxes.hermes.errors import HermesError
from sandboxes.hermes.events import Completed, RuntimeEvent, StreamEnded, TextDelta, Usage
from tests.sandboxes.hermes.captures import captured_events
from tests.sandboxes.hermes.fake_gateway import KEY, FakeGateway, error


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    async with FakeGateway().serving() as gateway:
        yield gateway


@pytest.fixture
async def client(gateway: FakeGateway) -> AsyncIterator[HermesClient]:
    async with HermesClient(gateway.dial, KEY) as client:
        yield client


async def read(client: HermesClient, run_id: str) -> list[RuntimeEvent]:
    async with asyncio.timeout(60):
        return [event async for event in client.events(run_id)]


async def test_a_run_sends_text_history_instructions_lane_and_session(
    gateway: FakeGateway, client: HermesClient
) -> None:
    history = [Turn("user", "hello"), Turn("assistant", "hi")]

    run_id = await client.start_run("go on", lane=7, session_id="s-1", history=history, instructions="be brief")

    assert run_id == "run_00000000000000000000000000000000"
    assert gateway.bodies == [
        (
            "/v1/runs",
            {
                "input": "go on",
                "model": "lane-7",
                "session_id": "s-1",
                "conversation_history": [
                    {"role": "user", "content": "hello"},
                    {"role": "assistant", "content": "hi"},
                ],
                "instructions": "be brief",
            },
        )
    ]


@pytest.mark.parametrize("chunk", [1, 17, 100_000])
@pytest.mark.parametrize("name", ["tool", "approve-once", "cancel-tool", "err-e402"])
async def test_the_events_are_those_of_the_capture(
    gateway: FakeGateway, client: HermesClient, name: str, chunk: int
) -> None:
    gateway.capture, gateway.chunk = name, chunk

    events = await read(client, await client.start_run("x", lane=1, session_id="s"))

    assert events == captured_events(name)
    assert len(events) > 0


async def test_a_stream_cannot_be_read_twice(client: HermesClient) -> None:
    run_id = await client.start_run("x", lane=1, session_id="s")
    assert isinstance((await read(client, run_id))[-1], Completed)

    with pytest.raises(HermesError) as caught:
        await read(client, run_id)

    assert caught.value.reason == "run_not_found"
    assert caught.value.code is Code.RUNTIME_ERROR


async def test_a_stream_that_is_cut_ends_as_such_after_everything_that_arrived(
    gateway: FakeGateway, client: HermesClient
) -> None:
    gateway.cut_after = 300

    events = await read(client, await client.start_run("x", lane=1, session_id="s"))

    assert [type(event) for event in events] == [TextDelta, TextDelta, StreamEnded]


async def test_a_stream_that_falls_silent_is_given_up(
    gateway: FakeGateway, client: HermesClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "SILENCE_S", 1.0)

    async def silent(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'data: {"event": "message.delta", "delta": "one"}\n\n')
        await asyncio.Event().wait()
        return response

    gateway.overrides["/events"] = silent

    events = await read(client, "run_1")

    assert events[0] == TextDelta(0.0, "one")
    assert events[1] == StreamEnded("nothing arrived for 1 s")


async def test_leaving_a_stream_early_closes_the_connection(gateway: FakeGateway, client: HermesClient) -> None:
    closed = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(OSError):
            while True:
                await response.write(b'data: {"event": "message.delta", "delta": "x"}\n\n')
                await asyncio.sleep(0)
        closed.set()
        return response

    gateway.overrides["/events"] = endless

    async with contextlib.aclosing(client.events("run_1")) as events:
        async for _ in events:
            break

    async with asyncio.timeout(60):
        await closed.wait()


async def test_a_status_is_read(gateway: FakeGateway, client: HermesClient) -> None:
    usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
    gateway.statuses["run_a"] = {
        "run_id": "run_a",
        "session_id": "s",
        "status": "completed",
        "output": "yes",
        "usage": usage,
    }

    status = await client.status("run_a")

    assert status == RunStatus("run_a", "s", "completed", output="yes", usage=Usage(5, 2))
    assert status.has_ended


async def test_stored_messages_carry_calls_results_and_reasoning(gateway: FakeGateway, client: HermesClient) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "terminal", "arguments": '{"command": "id"}'}}
    gateway.messages = [
        {"id": 1, "role": "user", "content": "who am I", "timestamp": 1.5},
        {"id": 2, "role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "hm"},
        {"id": 3, "role": "tool", "content": "uid=1", "tool_call_id": "call_1", "tool_name": "terminal"},
        {"id": "odd", "role": "assistant", "content": [{"type": "text"}], "tool_calls": [7], "timestamp": "x"},
    ]

    user, assistant, tool, odd = await client.session_messages("s")

    assert (user.content, user.at) == ("who am I", 1.5)
    assert assistant.tool_calls == (ToolCall("call_1", "terminal", '{"command": "id"}'),)
    assert (assistant.reasoning, assistant.content) == ("hm", "")
    assert (tool.tool_call_id, tool.tool_name, tool.content) == ("call_1", "terminal", "uid=1")
    assert (odd.id, odd.content, odd.tool_calls) == (0, '[{"type": "text"}]', ())


async def test_only_toolsets_that_are_switched_on_are_told(client: HermesClient) -> None:
    assert await client.toolsets() == {"terminal": ("process", "terminal")}


async def test_stopping_says_whether_there_was_something_to_stop(client: HermesClient) -> None:
    run_id = await client.start_run("x", lane=1, session_id="s")

    assert await client.stop(run_id) is True
    assert await client.stop("run_unknown") is False


async def test_an_approval_sends_the_choice(gateway: FakeGateway, client: HermesClient) -> None:
    gateway.waiting_for_approval = True

    await client.approve("run_a", "session")

    assert gateway.bodies == [("/v1/runs/run_a/approval", {"choice": "session"})]


async def test_an_approval_nobody_waits_for_is_refused(client: HermesClient) -> None:
    with pytest.raises(HermesError) as caught:
        await client.approve("run_a", "once")

    assert caught.value.reason == "approval_gone"


async def test_a_wrong_key_is_noticed_though_health_does_not_ask_for_it(gateway: FakeGateway) -> None:
    async with HermesClient(gateway.dial, "x" * 32) as client:
        assert await client.health() == "0.19.0"
        with pytest.raises(HermesError) as caught:
            await client.toolsets()

    assert caught.value.reason == "gateway_key"


@pytest.mark.parametrize(
    ("status", "code", "reason", "permanent"),
    [
        (429, "rate_limit_exceeded", "runtime_busy", False),
        (503, "gateway_draining", "runtime_busy", False),
        (400, "invalid_request", "runtime_error", True),
        (500, "", "runtime_error", True),
        (404, "", "runtime_error", True),
        (302, "", "runtime_error", True),
    ],
)
async def test_every_refusal_has_a_reason(
    gateway: FakeGateway, client: HermesClient, status: int, code: str, reason: str, permanent: bool
) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return error(status, "no", code)

    gateway.overrides["/v1/runs"] = refuse

    with pytest.raises(HermesError) as caught:
        await client.start_run("x", lane=1, session_id="s")

    assert (caught.value.reason, caught.value.permanent, caught.value.status) == (reason, permanent, status)


@pytest.mark.parametrize(
    "body", [b"<html>hello</html>", b"[]", b'{"run_id": 7}', b'{"run_id": "../../etc"}', b"[" * 100_000, b"\xff"]
)
async def test_an_unreadable_answer_is_an_error_of_the_runtime(
    gateway: FakeGateway, client: HermesClient, body: bytes
) -> None:
    async def nonsense(request: web.Request) -> web.Response:
        return web.Response(status=202, body=body)

    gateway.overrides["/v1/runs"] = nonsense

    with pytest.raises(HermesError) as caught:
        await client.start_run("x", lane=1, session_id="s")

    assert (caught.value.reason, caught.value.code) == ("runtime_answer", Code.RUNTIME_ERROR)


async def test_an_endless_answer_is_not_kept(
    gateway: FakeGateway, client: HermesClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "ANSWER_LIMIT", 1000)
    gateway.messages = [{"content": "x" * 2000}]

    with pytest.raises(HermesError, match="unreadable"):
        await client.session_messages("s")


async def test_an_id_that_is_a_path_never_reaches_the_runtime(gateway: FakeGateway, client: HermesClient) -> None:
    with pytest.raises(HermesError) as caught:
        await client.status("../health")

    assert caught.value.reason == "run_not_found"
    assert gateway.dials == 0


async def refused() -> socket.socket:
    raise ConnectionRefusedError(111, "Connection refused")


async def gone() -> socket.socket:
    raise SandboxError("The sandbox is gone.", reason="sandbox_disconnected")


@pytest.mark.parametrize(("dial", "reason"), [(refused, "gateway_down"), (gone, "sandbox_disconnected")])
async def test_a_runtime_that_cannot_be_reached_is_a_disconnected_sandbox(dial: object, reason: str) -> None:
    async with HermesClient(dial, KEY) as client:  # type: ignore[arg-type]
        with pytest.raises(HermesError) as caught:
            await client.health()

    assert (caught.value.reason, caught.value.code) == (reason, Code.SANDBOX_DISCONNECTED)
    assert not caught.value.permanent


async def test_a_dial_that_never_comes_back_is_given_up() -> None:
    async def never() -> socket.socket:
        await asyncio.Event().wait()
        raise AssertionError

    async with HermesClient(never, KEY) as client:
        with pytest.raises(HermesError) as caught:
            await client.health(timeout_s=0.1)

    assert caught.value.reason == "gateway_silent"


async def test_every_request_is_dialled_anew_so_that_none_meets_a_dead_connection(
    gateway: FakeGateway, client: HermesClient
) -> None:
    await client.health()
    await client.health()

    assert gateway.dials == 2


async def test_many_runs_are_read_at_once(gateway: FakeGateway, client: HermesClient) -> None:
    runs = [await client.start_run("x", lane=lane, session_id=f"s{lane}") for lane in range(1, 21)]

    streams = await asyncio.gather(*(read(client, run_id) for run_id in runs))

    assert all(stream == captured_events("tool") for stream in streams)
