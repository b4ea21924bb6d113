"""A terminal of a sandbox in a page: ``/ws/sandboxes/<id>/shell``, a websocket in front of Django's middleware.

What is typed comes as bytes and what the shell shows goes as bytes; the rest are small JSON texts (``shell_messages``,
and ``{"ended": …}`` or ``{"warning": …}`` to the page). Who may no longer is put out within seconds, and with the socket
the shell ends. No more is read from a shell than its page has drawn: whatever it writes, it costs two hundred kilobytes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from allauth.account.adapter import get_adapter
from django.conf import settings

from agents import acting, permissions
from agents.agent_secrets import known_values
from agents.errors import Conflict, Invalid, LogosError
from agents.halts import Halted
from agents.models import User
from channels_app import origins, shell_messages
from channels_app.people import visitor_of
from channels_app.streams import Receive, Scope, Send, query_of
from runs import held
from runs.threads import DatabaseThreads
from sandboxes import lifecycle, shells
from sandboxes.driver import SandboxError
from sandboxes.halts import HaltWatch
from sandboxes.models import Sandbox
from sandboxes.shell_records import Recorded
from sandboxes.terminal import Terminal

logger = logging.getLogger(__name__)

PATH = re.compile(r"/ws/sandboxes/(?P<id>[a-z0-9_]{1,40})/shell")
CHECK_S = 10.0
HALTS_S = 0.5
WARNED_S = 60.0
MOST_PER_PERSON = 4
MOST_PER_SANDBOX = 8
# So much is sent ahead of what the page has drawn, in pieces of this size, and no faster than a piece in PACE_S: a
# program that floods its terminal leaves the loop to the runs of others.
AHEAD_BYTES = 128 * 1024
PIECE_BYTES = 32 * 1024
PACE_S = 0.01
LAST_WORDS_S = 10.0

_threads = DatabaseThreads(2, "shell-db")


@dataclass(frozen=True, slots=True)
class Opening:
    """Who may open a shell, and where."""

    user: User
    row: Sandbox
    known: frozenset[str]


@dataclass(frozen=True, slots=True)
class End:
    """Why a shell is over: a sentence for the person, "" when they have left, and its exit code if it has one."""

    sentence: str = ""
    code: int | None = None


class Places:
    """The shells that are open in this process."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    @contextmanager
    def taken(self, opening: Opening) -> Iterator[None]:
        """One more is open. Conflict when the person, or the sandbox, has as many as may be."""
        person, box = f"person {opening.user.pk}", f"box {opening.row.pk}"
        if self._taken[person] >= MOST_PER_PERSON:
            raise Conflict(f"You have {MOST_PER_PERSON} terminals open.", action="Close one of them first.")
        if self._taken[box] >= MOST_PER_SANDBOX:
            raise Conflict(f"This sandbox has {MOST_PER_SANDBOX} terminals open.", action="Close one of them first.")
        self._taken.update((person, box))
        try:
            yield
        finally:
            self._taken.subtract((person, box))
            self._taken += Counter()  # forgets who has none


places = Places()


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one handshake: refused for whatever is not there or not theirs, else the shell until either side ends."""
    await receive()
    found = PATH.fullmatch(scope["path"])
    opening = None
    if found is not None and origins.is_own(scope):
        opening = await _threads.run(_opening, scope, found["id"])
    if opening is None:
        await send({"type": "websocket.close"})  # before it was accepted: 403
        return
    await send({"type": "websocket.accept"})
    with acting.through("page", opening.user, get_adapter().get_client_ip(origins.request_of(scope)) or ""):
        try:
            with places.taken(opening):
                end = await _Shell(scope, opening, receive, send).until_the_end()
        except LogosError as error:
            end = End(f"{error.message} {error.action}".strip())
    if end.sentence:
        await _tell(send, ended=end.sentence, code=end.code)
        await send({"type": "websocket.close", "code": 1000})


def _opening(scope: Scope, sandbox_id: str) -> Opening | None:
    """Whoever opened this connection, if they may. Everything is read anew: who was suspended, signed out or lost a
    grant a moment ago may not."""
    user = visitor_of(scope)
    try:
        rows = Sandbox.objects.select_related("agent").filter(agent__deleted_at=None)
        row = permissions.fetch(user, "sandbox.shell", rows, pk=sandbox_id)
    except LogosError:
        return None
    return Opening(user, row, frozenset(known_values(row.agent))) if user is not None else None


async def _tell(send: Send, **words: Any) -> None:
    await send({"type": "websocket.send", "text": json.dumps(words)})


class _Shell:
    """One shell and its page."""

    def __init__(self, scope: Scope, opening: Opening, receive: Receive, send: Send) -> None:
        self._scope, self._opening, self._receive, self._send = scope, opening, receive, send
        self._clock = asyncio.get_running_loop().time
        self._typed_at = self._clock()
        self._shown = bytearray()
        self._ahead = 0
        self._news = asyncio.Event()
        self._terminal = Terminal(self._heard)
        self._recorded: Recorded | None = None
        self._halts = HaltWatch(_threads.run)

    async def until_the_end(self) -> End:
        """Join, and pass on until one side ends. SandboxError when there is nothing to join."""
        row, end = self._opening.row, End()
        if stopped := await self._halted():
            return End(f"{stopped.message} {stopped.action}")
        attachment = await shells.attached(row)
        try:
            self._recorded = await _threads.run(
                Recorded, self._opening.user, row.agent, lifecycle.root_of(row.pk), self._opening.known
            )
            size = shell_messages.size_of(query_of(self._scope))
            await self._terminal.open(attachment, size.rows, size.columns)
            end = await self._first_end()
        except asyncio.CancelledError:
            end = End("Logos is being stopped.")
            raise
        finally:
            # At once: a Logos that is told to stop has little time, and what was shown must not be lost.
            await asyncio.gather(self._terminal.close(), self._write_down(end), return_exceptions=True)
            await attachment.close()
        return end

    async def _write_down(self, end: End) -> None:
        if self._recorded is not None:
            await _threads.run(self._recorded.end, end.code, end.sentence)

    async def _first_end(self) -> End:
        """Everything at once; whatever ends first ends it all."""
        sending, keeping = (asyncio.create_task(each) for each in (self._send_all(), self._keep_wanted()))
        ways = (self._read_all(), self._watch(), self._wait(), self._until_halted())
        ends = [asyncio.create_task(each) for each in ways]
        try:
            done, _ = await asyncio.wait({*ends, sending}, return_when=asyncio.FIRST_COMPLETED)
            if sending in done:
                sending.result()
                return End()
            return next(each for each in ends if each in done).result()
        finally:
            for task in (sending, keeping, *ends):
                task.cancel()
            await asyncio.gather(sending, keeping, *ends, return_exceptions=True)

    def _heard(self, data: bytes) -> None:
        if self._recorded is not None:
            self._recorded.heard(data)
        self._shown += data
        if len(self._shown) >= PIECE_BYTES:
            self._terminal.pause()
        self._news.set()

    async def _send_all(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._shown and self._ahead < AHEAD_BYTES:
                piece = bytes(self._shown[:PIECE_BYTES])
                del self._shown[:PIECE_BYTES]
                self._ahead += len(piece)
                await self._send({"type": "websocket.send", "bytes": piece})
                await asyncio.sleep(PACE_S)
                if len(self._shown) < PIECE_BYTES:
                    self._terminal.resume()

    async def _read_all(self) -> End:
        while (message := await self._receive())["type"] == "websocket.receive":
            try:
                self._take(message.get("bytes"), message.get("text") or "")
            except Invalid as error:
                return End(f"{error.message} {error.action}".strip())
        return End()

    def _take(self, typed: bytes | None, text: str) -> None:
        if typed:
            self._typed_at = self._clock()
            if not self._terminal.type(typed):
                raise Invalid(
                    "More was typed than the shell takes, so the terminal was closed.",
                    field="message",
                    action="Upload a long text as a file.",
                )
            return
        said = shell_messages.read(text)
        if isinstance(said, shell_messages.Size):
            self._terminal.resize(said.rows, said.columns)
        elif said.size > self._ahead:
            raise Invalid("More was drawn than was sent.", field="message")
        else:
            self._ahead -= said.size
            self._news.set()

    async def _watch(self) -> End:
        """Until they may no longer, or have typed nothing for too long."""
        warned_at = 0.0
        while True:
            most_s = settings.LOGOS_SHELL_IDLE_MINUTES * 60.0
            left_s = most_s - (self._clock() - self._typed_at)
            if most_s and left_s <= 0:
                return End(f"Nothing was typed for {settings.LOGOS_SHELL_IDLE_MINUTES} minutes, so it was closed.")
            if most_s and left_s <= WARNED_S and warned_at != self._typed_at:
                warned_at = self._typed_at
                await _tell(self._send, warning="The terminal is closed soon: nothing was typed for a while.")
            soon_s = left_s if left_s <= WARNED_S else left_s - WARNED_S
            await asyncio.sleep(min(CHECK_S, soon_s) if most_s else CHECK_S)
            if await _threads.run(_opening, self._scope, self._opening.row.pk) is None:
                return End("You may no longer use this terminal.")

    async def _halted(self) -> Halted | None:
        """Why this shell is stopped, read now."""
        await self._halts.look()
        return await self._halts.refusal(self._opening.row.agent_id, (self._opening.user.pk,))

    async def _until_halted(self) -> End:
        while not (found := await self._halted()):
            await asyncio.sleep(HALTS_S)
        row = self._opening.row
        await _threads.run(held.terminal_closed, found.held.id, row.pk, row.agent_id, self._opening.user.username)
        return End(found.message)

    async def _wait(self) -> End:
        try:
            code = await self._terminal.wait()
        except SandboxError:
            return End("The sandbox was stopped.")
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                while self._shown:
                    await asyncio.sleep(PACE_S)
        except TimeoutError:
            logger.info("A page did not draw the last words of its shell")
        return End("The shell has ended.", code)

    async def _keep_wanted(self) -> None:
        await shells.keep_wanted(self._opening.row.pk, _threads.run)
