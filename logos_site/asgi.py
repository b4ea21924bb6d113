"""The ASGI application: live streams and MCP go straight to their own callables, everything else to Django.

Streams stay in front of Django's middleware because they live for minutes and must cost nothing while idle;
they bring their own authentication.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "logos_site.settings")

# Sets Django up: whatever touches models is imported below it.
django_application = get_asgi_application()

from channels_app import inbox_streams, log_streams, shells, streams  # noqa: E402
from mcp_gateway import door, gateway  # noqa: E402

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one connection by its type and path."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "websocket":
        await shells.application(scope, receive, send)
    elif door.is_ours(scope["path"]):
        await gateway.application(scope, receive, send)
    elif is_stream(scope):
        await _room(scope["path"]).application(scope, receive, send)
    else:
        await django_application(scope, receive, send)


def is_stream(scope: Scope) -> bool:
    """Is this for ``channels_app``? A run's events and a sandbox's logs are, when a stream is asked for; without
    that the API answers a page of them."""
    if scope["path"].startswith("/stream/"):
        return True
    wants_stream = b"text/event-stream" in dict(scope["headers"]).get(b"accept", b"")
    return wants_stream and any(room.PATH.fullmatch(scope["path"]) for room in (streams, log_streams))


def _room(path: str) -> Any:
    """What answers this stream; that of runs refuses what nobody knows."""
    return next((room for room in (log_streams, inbox_streams) if room.PATH.fullmatch(path)), streams)


async def _lifespan(receive: Receive, send: Send) -> None:
    """Servers other than ours ask whether to begin and end; nothing of ours waits for that."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
