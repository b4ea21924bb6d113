"""What a sandbox writes, as it is written: server-sent events from the end of a log, for pages and programs.

``/stream/sandboxes/<id>/logs`` and, when a stream is asked for, ``/api/sandboxes/<id>/logs``. Each event carries whole
lines and, as its id, the place after them. Authorised when opened and again every few seconds.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass

from agents import permissions
from agents.agent_secrets import known_values
from agents.errors import LogosError
from channels_app.people import person_of
from channels_app.streams import HEADERS, Receive, Scope, Send, query_of, refuse, while_connected
from runs.threads import DatabaseThreads
from sandboxes import logs
from sandboxes.models import Sandbox

PATH = re.compile(r"/(?:stream|api)/sandboxes/(?P<id>[a-z0-9_]{1,40})/logs/?")
LOOK_S = 0.5
CHECK_S = 10.0
PLACE = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")

_threads = DatabaseThreads(2, "log-db")


@dataclass(frozen=True, slots=True)
class Reading:
    """A log that somebody may read, and the values that are masked in it."""

    row: Sandbox
    log: logs.Log
    known: frozenset[str]


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request: 404 for whatever is not there or not theirs, else the stream until the reader leaves."""
    found = PATH.fullmatch(scope["path"])
    if found is None or scope["method"] != "GET":
        await refuse(send, 404, "Sandbox")
        return
    is_known, reading = await _threads.run(_reading, scope, found["id"])
    if not is_known:
        await refuse(send, 401, "Sandbox")
    elif reading is None:
        await refuse(send, 404, "Sandbox")
    else:
        await while_connected(_send_all(scope, found["id"], reading, send), receive)


async def _send_all(scope: Scope, sandbox_id: str, reading: Reading, send: Send) -> None:
    place = await _beginning(scope, reading)  # before anything is sent: from here on nothing is missed
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b": ok\n\n", "more_body": True})
    clock = asyncio.get_running_loop().time
    checked_at = clock()
    while True:
        text, after = await asyncio.to_thread(_since, reading, place)
        if text:
            await send({"type": "http.response.body", "body": _frame(text, after), "more_body": True})
        elif clock() - checked_at >= CHECK_S:
            _, still = await _threads.run(_reading, scope, sandbox_id)
            if still is None:
                break
            reading, checked_at = still, clock()
            await send({"type": "http.response.body", "body": b": here\n\n", "more_body": True})
        if after == place:
            await asyncio.sleep(LOOK_S)
        place = after
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _beginning(scope: Scope, reading: Reading) -> str:
    """Where the reader has got to: the header wins, because a reconnecting browser repeats the address. For one
    who says nothing: the end, as it is now."""
    header = dict(scope["headers"]).get(b"last-event-id", b"").decode("latin-1")
    place = header or query_of(scope).get("after", [""])[0]
    if PLACE.fullmatch(place):
        return place
    if "after" in query_of(scope) or header:
        return ""  # there was no log yet: from its beginning
    return (await asyncio.to_thread(logs.tail, reading.row, reading.log, 1)).place


def _since(reading: Reading, place: str) -> tuple[str, str]:
    return logs.since(reading.row, reading.log, place, known=reading.known)


def _frame(text: str, place: str) -> bytes:
    return f"id: {place}\nevent: log\ndata: {json.dumps({'text': text})}\n\n".encode()


def _reading(scope: Scope, sandbox_id: str) -> tuple[bool, Reading | None]:
    """Is the asker known at all, and the log if it is theirs to read. Everything is read anew."""
    if (person := person_of(scope)) is None:
        return False, None
    try:
        rows = Sandbox.objects.select_related("agent").filter(agent__deleted_at=None)
        row = permissions.fetch(person, "sandbox.operate", rows, pk=sandbox_id)
        log = logs.which(query_of(scope).get("log", [""])[0])
    except LogosError:
        return True, None
    return True, Reading(row, log, frozenset(known_values(row.agent)))
