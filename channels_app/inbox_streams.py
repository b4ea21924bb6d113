"""Tell open inboxes that what waits has changed: server-sent events at ``/stream/approvals``.

One look per second at the few requests that wait serves every open page of this process; who is told asks for the
cards themselves, with their own rights. Authorised when opened and again every few seconds.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any
from weakref import WeakKeyDictionary

from django.utils import timezone

from channels_app.people import visitor_of
from channels_app.streams import HEADERS, Receive, Scope, Send, refuse, while_connected
from runs import approvals
from runs.models import Approval, ApprovalState
from runs.threads import DatabaseThreads

PATH = re.compile(r"/stream/approvals/?")
LOOK_S = 1.0
CHECK_S = 15.0

_threads = DatabaseThreads(2, "inbox-db")

Mark = tuple[tuple[Any, ...], ...]
Mine = tuple[tuple[str, bool, str | None], ...]


class Watch:
    """What waits in the whole house, asked for by the first who wants to know in each second."""

    def __init__(self) -> None:
        self._mark: Mark = ()
        self._asked_at = -LOOK_S
        self._lock = asyncio.Lock()

    async def look(self) -> Mark:
        """The same as long as nothing has come, gone, been frozen, left by the reviewer, or run out of time."""
        async with self._lock:
            clock = asyncio.get_running_loop().time
            if clock() - self._asked_at >= LOOK_S:
                self._mark = await _threads.run(_mark)
                self._asked_at = clock()
            return self._mark


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, Watch] = WeakKeyDictionary()


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request: 401 for a stranger, else the stream until the reader leaves."""
    if scope["method"] != "GET":
        await refuse(send, 404, "This address")
        return
    mine = await _threads.run(_mine, scope)
    if mine is None:
        await refuse(send, 401, "This address")
    else:
        await while_connected(_send_all(scope, mine, send), receive)


async def _send_all(scope: Scope, mine: Mine, send: Send) -> None:
    loop = asyncio.get_running_loop()
    watch = _watches.setdefault(loop, Watch())
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    # The first event brings a page up to date that was drawn before the stream began.
    await send({"type": "http.response.body", "body": _frame(mine), "more_body": True})
    mark, checked_at = await watch.look(), loop.time()
    while True:
        await asyncio.sleep(LOOK_S)
        now = await watch.look()
        if now == mark and loop.time() - checked_at < CHECK_S:
            continue
        mark, checked_at = now, loop.time()
        found = await _threads.run(_mine, scope)
        if found is None:
            break
        body = b": here\n\n" if found == mine else _frame(found)
        mine = found
        await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _frame(mine: Mine) -> bytes:
    return f"event: waiting\ndata: {json.dumps({'count': len(mine)})}\n\n".encode()


def _mark() -> Mark:
    waiting = Approval.objects.filter(state=ApprovalState.PENDING).order_by("pk")
    now, fields = timezone.now(), ("pk", "frozen_at", "expires_at", "opinion__outcome")
    return tuple(
        (pk, frozen_at, frozen_at is None and expires_at <= now, review)
        for pk, frozen_at, expires_at, review in waiting.values_list(*fields)[:2000]
    )


def _mine(scope: Scope) -> Mine | None:
    """What this person may decide, by id, whether it is frozen, and whether the reviewer looks at it too; None for a
    stranger."""
    person = visitor_of(scope)
    if person is None:
        return None
    rows = approvals.open_for(person).values_list("pk", "frozen_at", "opinion__outcome")[:2000]
    return tuple((pk, frozen_at is not None, review) for pk, frozen_at, review in rows)
