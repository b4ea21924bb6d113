"""The live stream of a run as server-sent events: a plain ASGI application in front of Django's middleware.

``/stream/runs/<id>?view=chat|run`` sends ready HTML for pages; ``/api/runs/<id>/events`` and ``?view=json``
send the events themselves. Both replay what follows ``Last-Event-ID`` (or ``?after=``) and then go on live.
Tokens never pass a channel layer. Authorised when opened and again at every sign of life.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from agents import permissions
from agents.numbers import whole
from channels_app.people import person_of
from runs import rendering
from runs.events import ENDS
from runs.hub import Live, hub
from runs.models import Run
from runs.streaming import follow
from runs.threads import DatabaseThreads
from runs.timeline import Timeline
from runs.withheld import BLIND, Sight, sight

logger = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

PATH = re.compile(r"/(?:stream/runs/(?P<page>[a-z0-9_]{1,40})|api/runs/(?P<api>[a-z0-9_]{1,40})/events)/?")
VIEWS = ("chat", "run", "json")
KEEP_ALIVE_S = 15.0
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]

_threads = DatabaseThreads(4, "stream-db")


@dataclass(frozen=True, slots=True)
class Viewing:
    """What one connection watches."""

    run_id: str
    view: str
    after: int
    scope: Scope
    sight: Sight = BLIND


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request: 404 for whatever is not there or not theirs, else the stream until the run ends."""
    found = PATH.fullmatch(scope["path"])
    if found is None or scope["method"] != "GET":
        await refuse(send, 404)
        return
    run_id, view = found["page"] or found["api"], _view(scope, bool(found["api"]))
    if view is None:
        await refuse(send, 404)
        return
    seen = await _threads.run(_look, scope, run_id, view)
    if isinstance(seen, int):
        await refuse(send, seen)
    else:
        await while_connected(_send_all(Viewing(run_id, view, _after(scope), scope, seen), send), receive)


async def while_connected(story: Coroutine[Any, Any, None], receive: Receive) -> None:
    """Send until it is done or the reader has left."""
    left = asyncio.ensure_future(_until_left(receive))
    sending = asyncio.ensure_future(story)
    try:
        await asyncio.wait({left, sending}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (left, sending):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await task


async def _send_all(viewing: Viewing, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    # Daphne holds the head back until there is a body: say something at once.
    await send({"type": "http.response.body", "body": b": ok\n\n", "more_body": True})
    with contextlib.suppress(Run.DoesNotExist):  # deleted while it is watched
        await _send_batches(viewing, send)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_batches(viewing: Viewing, send: Send) -> None:
    draw = _Json(viewing.sight) if viewing.view == "json" else _Page(viewing)
    clock = asyncio.get_running_loop().time
    checked_at = clock()
    # A page needs the whole fold, also of what the viewer has: it starts at 0 and stays silent until then.
    start = viewing.after if viewing.view == "json" else 0
    push = viewing.scope.get("extensions", {}).get("logos.push")

    def tell(live: Live) -> bool:
        if not push.is_free() or clock() - checked_at >= KEEP_ALIVE_S:
            return False
        body = draw.now(live)
        if body:
            push.write(body)
        return body is not None

    batches_of = follow(viewing.run_id, start, hub, _threads.run, tell if push is not None else None)
    async with contextlib.aclosing(batches_of) as batches:
        async for batch in batches:
            body = await draw.frames(batch)
            if clock() - checked_at >= KEEP_ALIVE_S:
                if not await _threads.run(_sees_the_same, viewing):
                    break
                checked_at = clock()
                body = body or b": here\n\n"
            if body:
                await send({"type": "http.response.body", "body": body, "more_body": True})


class _Json:
    """Events as they are, but for names that this reader may not see."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight

    def now(self, live: Live) -> bytes | None:
        told = self._sight.event(live.event)
        return live.as_json() if told is live.event else told.frame()

    async def frames(self, batch: list[Live]) -> bytes:
        return b"".join(self.now(live) or b"" for live in batch)


class _Page:
    """Events as pieces of HTML, drawn once per event however many watch."""

    def __init__(self, viewing: Viewing) -> None:
        self._viewing = viewing
        self._key = (viewing.view, viewing.sight)
        self._timeline = Timeline()
        self._run: rendering.RunRef | None = None

    async def frames(self, batch: list[Live]) -> bytes:
        if not batch:
            return b""
        if (run := self._run) is None:
            run = self._run = await _threads.run(_run_ref, self._viewing.run_id)
        parts = []
        for live in batch:
            changed = self._timeline.apply(self._viewing.sight.event(live.event))
            # The end is told to whoever comes: it is what makes a reader stop.
            if live.event.seq > self._viewing.after or live.event.kind in ENDS:
                frame = live.frames.get(self._key)
                parts.append(await self._draw(run, live, changed) if frame is None else frame)
        return b"".join(parts)

    def now(self, live: Live) -> bytes | None:
        """The frame of an event that is not the last, if nothing has to be asked for it."""
        if self._run is None:
            return None
        changed = self._timeline.apply(self._viewing.sight.event(live.event))
        if live.event.seq <= self._viewing.after:
            return b""
        frame = live.frames.get(self._key)
        return self._drawn(self._run, live, changed, None) if frame is None else frame

    async def _draw(self, run: rendering.RunRef, live: Live, changed: list[Any]) -> bytes:
        if live.event.kind not in ENDS:
            return self._drawn(run, live, changed, None)
        # Hundreds of viewers come to the end together: one asks the database and draws the whole turn.
        async with live.drawing:
            frame = live.frames.get(self._key)
            if frame is None:
                figures = await _threads.run(_figures, self._viewing.run_id)
                frame = self._drawn(run, live, changed, figures)
            return frame

    def _drawn(
        self, run: rendering.RunRef, live: Live, changed: list[Any], figures: rendering.RunFigures | None
    ) -> bytes:
        view = self._viewing.view
        frame = live.frames[self._key] = rendering.frames(run, self._timeline, live.event, changed, view, figures)
        return frame


def _look(scope: Scope, run_id: str, view: str) -> Sight | int:
    """What of the run whoever opened this connection may see; 401 for a stranger, 404 where it is not theirs or gone.

    Everything is read anew: who was suspended, signed out or whose token was revoked a moment ago is out.
    """
    if (person := person_of(scope)) is None:
        return 401
    run = permissions.visible(person, Run.objects.only("agent_id")).filter(pk=run_id).first()
    if run is None:
        return 404
    # A chat shows no model calls: there is nothing to ask.
    return BLIND if view == "chat" else sight(person, run)


def _sees_the_same(viewing: Viewing) -> bool:
    """May they still see the run, and the same of it? If not, the stream ends, and they come again."""
    return _look(viewing.scope, viewing.run_id, viewing.view) == viewing.sight


def _run_ref(run_id: str) -> rendering.RunRef:
    return rendering.RunRef.of(Run.objects.select_related("agent").get(pk=run_id))


def _figures(run_id: str) -> rendering.RunFigures:
    return rendering.RunFigures.of(Run.objects.get(pk=run_id))


def query_of(scope: Scope) -> dict[str, list[str]]:
    """What stands behind the question mark."""
    return parse_qs(scope.get("query_string", b"").decode("latin-1"))


def _view(scope: Scope, is_api: bool) -> str | None:
    view = "json" if is_api else query_of(scope).get("view", ["chat"])[0]
    return view if view in VIEWS else None


def _after(scope: Scope) -> int:
    """The last event the viewer has: the header wins, because a reconnecting browser repeats the address."""
    value = (
        dict(scope["headers"]).get(b"last-event-id", b"").decode("latin-1") or query_of(scope).get("after", ["0"])[0]
    )
    return min(whole(value, 10) or 0, 2**31 - 1)


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def refuse(send: Send, status: int, noun: str = "Run") -> None:
    """Answer without a stream: 401 for a stranger, 404 for whatever is not there or not theirs."""
    message = {401: "Sign in, or send an API token.", 404: f"{noun} was not found."}[status]
    reason = {401: "unauthenticated", 404: "not_found"}[status]
    body = json.dumps({"error": {"reason": reason, "message": message, "action": ""}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
