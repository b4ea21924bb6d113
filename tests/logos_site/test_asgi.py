"""Which callable answers which connection."""

from __future__ import annotations

from typing import Any

import pytest

from channels_app import streams
from logos_site import asgi

STREAM = b"text/event-stream"


@pytest.mark.parametrize(
    ("path", "accept", "is_stream"),
    [
        ("/stream/runs/run_1", b"*/*", True),
        ("/stream/anything", b"", True),
        ("/api/runs/run_1/events", STREAM, True),
        ("/api/runs/run_1/events", b"application/json", False),
        ("/api/runs/run_1", STREAM, False),
        ("/", STREAM, False),
        ("/streams", STREAM, False),
        ("/x/stream/", STREAM, False),
    ],
)
def test_streams_go_to_the_streams(path: str, accept: bytes, is_stream: bool) -> None:
    headers = [(b"accept", accept)] if accept else []

    assert asgi.is_stream({"type": "http", "path": path, "headers": headers}) is is_stream


async def answers_of(scope: dict[str, Any], *messages: dict[str, Any]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    waiting = list(messages)

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(dict(message))

    await asgi.application(scope, receive, send)
    return sent


async def test_a_stream_is_answered_by_the_streams_application(monkeypatch: pytest.MonkeyPatch) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 299})

    monkeypatch.setattr(streams, "application", application)

    assert (await answers_of({"type": "http", "path": "/stream/x"}))[0]["status"] == 299


async def test_a_server_that_asks_whether_to_begin_and_end_may() -> None:
    sent = await answers_of({"type": "lifespan"}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})

    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_websocket_is_closed() -> None:
    sent = await answers_of({"type": "websocket", "path": "/"}, {"type": "websocket.connect"})

    assert sent == [{"type": "websocket.close"}]
