"""The proxy of one sandbox: attribute, read, decide, look up, connect, note; in this order, and closed on any doubt.

Served on a listening socket that was bound inside the sandbox, so that whoever connects is that sandbox. A denied
name is never looked up. Every connection is noted once it is decided, and again when it is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol, cast

from agents import ids
from agents.reach import Reach, Verdict
from sandboxes.driver import Program, Sockets
from sandboxes.egress import addresses, requests
from sandboxes.egress.addresses import Lookup, NotPublic
from sandboxes.egress.requests import Asked, Malformed
from sandboxes.egress.traffic import CHUNK, Traffic

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 256
REFUSED_AT_ONCE = 32  # beyond those, so many at a time are told why; what comes on top is cut off and counted
TELL_CUT_OFF_S = 1.0
LOOKUPS_AT_ONCE = 8  # of one sandbox: the machine's resolver serves all of them
HEAD_TIMEOUT_S = 15.0
CONNECT_TIMEOUT_S = 15.0
LINGER_S = 1.0
AGAIN_S = 1.0  # what goes on is decided anew this often

Ask = Callable[[], Awaitable[Reach]]
Connect = Callable[[str, int], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of one connection. ``host`` is "" when the request could not be read. ``id`` is the same when it is
    noted again with ``is_over`` and how many bytes the program sent and got after the head."""

    id: str
    host: str
    port: int
    binary: str
    allowed: bool
    rule: str
    reason: str
    method: str = ""
    sha256: str = ""
    address: str = ""
    sent: int = 0
    received: int = 0
    duration_ms: float = 0.0
    is_over: bool = False


class Refusal(Exception):
    """The connection ends with this status."""

    def __init__(self, status: str, decision: Decision) -> None:
        super().__init__(decision.reason)
        self.status, self.decision = status, decision


async def connect_to(address: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to an address that was checked: never a name, so nothing is looked up again."""
    return await asyncio.open_connection(address, port, limit=CHUNK)


@dataclass(slots=True)
class _Going:
    """A connection that was let through and goes on."""

    decision: Decision
    is_cut: bool = False


class Witness(Protocol):
    """Who tells which program asked: an ``Attachment``."""

    async def sockets(self) -> Sockets: ...

    async def program(self, peer: tuple[str, int], own: tuple[str, int], before: Sockets) -> Program: ...


class EgressProxy:
    """Decides for one sandbox. ``reach`` is asked for at every connection, so that a changed policy holds at once;
    ``note`` gets every decision and must not block; ``places`` tells which hosts may be in one's own network, ``refusal`` says why a
    name leads where it must not."""

    def __init__(
        self,
        reach: Ask,
        note: Callable[[Decision], None],
        witness: Witness,
        *,
        lookup: Lookup = addresses.system_lookup,
        connect: Connect = connect_to,
        places: addresses.Places = lambda host, port: None,
        refusal: addresses.Refusal = addresses.not_public,
    ) -> None:
        self._reach, self._note, self._witness = reach, note, witness
        self._lookup, self._connect, self._places, self._refusal = lookup, connect, places, refusal
        self._open: set[asyncio.Task[None]] = set()
        self._going: dict[asyncio.Task[Any], _Going] = {}
        self._watch: asyncio.Task[None] | None = None
        self._server: asyncio.Server | None = None
        self._lookups = asyncio.Semaphore(LOOKUPS_AT_ONCE)
        self._cut_off = 0

    async def serve(self, listener: socket.socket) -> None:
        """Accept from now on; returns at once."""
        self._server = await asyncio.start_server(self._accept, sock=listener, limit=requests.MAX_HEAD_BYTES)

    async def close(self) -> None:
        """Accept no more and cut what is open; each open connection is noted."""
        if self._server is not None:
            self._server.close()
        if self._watch is not None:
            self._watch.cancel()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        self._tell_cut_off()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= MAX_CONNECTIONS + REFUSED_AT_ONCE:
            # An agent that opens thousands must not take the descriptors of the process that serves everybody.
            writer.transport.abort()
            self._cut_off += 1
            if self._cut_off == 1:
                asyncio.get_running_loop().call_later(TELL_CUT_OFF_S, self._tell_cut_off)
            return
        # A task of our own: one that asyncio makes for a coroutine complains when it is cancelled.
        task = asyncio.create_task(self._attend(reader, writer), context=contextvars.Context())
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    def _tell_cut_off(self) -> None:
        count, self._cut_off = self._cut_off, 0
        if count:
            reason = f"Too many connections are open: {count:,} more were cut off unread."
            self._note(Decision(ids.connection_id(), "", 0, "", False, "", reason, is_over=True))

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        started = time.monotonic()
        decision = Decision(ids.connection_id(), "", 0, "", allowed=False, rule="", reason="Nothing was asked.")
        traffic = Traffic()
        try:
            if len(self._open) > MAX_CONNECTIONS:
                raise Refusal("503 Service Unavailable", replace(decision, reason="Too many connections are open."))
            asked, decision = await self._decided(decision.id, reader, writer)
            server, address = await self._connected(asked, decision)
            decision = replace(decision, address=address)
            self._note(decision)
            decision = await self._carried(decision, traffic.carry(asked, reader, writer, *server))
        except Refusal as refusal:
            decision = refusal.decision
            await _refuse(reader, writer, refusal)
        except (OSError, asyncio.IncompleteReadError):
            pass  # one side went away: what was decided stands
        except Exception:
            logger.exception("A connection failed in a way we did not foresee")
            decision = replace(decision, allowed=False, reason="The proxy failed.")
        finally:
            writer.close()
            took = (time.monotonic() - started) * 1000
            self._note(replace(decision, sent=traffic.sent, received=traffic.received, duration_ms=took, is_over=True))

    async def _decided(
        self, connection_id: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[Asked, Decision]:
        """What is asked, allowed by a rule. Raises Refusal."""
        peer, own = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
        # Looked at twice: who connected may let another program in before the request is made.
        before = await self._witness.sockets()
        asked: Asked | None = None
        reason = "The head of the request is too long."
        try:
            async with asyncio.timeout(HEAD_TIMEOUT_S):
                asked = requests.read_head(await reader.readuntil(b"\r\n\r\n"))
        except Malformed as problem:
            reason = str(problem)
        except asyncio.LimitOverrunError:
            pass
        program = await self._witness.program(peer, own, before)
        denied = Decision(connection_id, "", 0, program.path, False, "", reason, sha256=program.sha256)
        if asked is None:
            raise Refusal("400 Bad Request", denied)
        decision = self._by(
            (await self._reach()).decide(asked.host, asked.port, program.path, datetime.now(UTC)),
            replace(denied, host=asked.host, port=asked.port, method=asked.method),
        )
        if not decision.allowed:
            raise Refusal("403 Forbidden", decision)
        return asked, decision

    @staticmethod
    def _by(verdict: Verdict, decision: Decision) -> Decision:
        return replace(decision, allowed=verdict.allowed, rule=verdict.rule, reason=verdict.reason)

    async def _carried(self, decision: Decision, work: Coroutine[Any, Any, None]) -> Decision:
        """Do the work until it is done, or the rules come to deny it; what was decided last."""
        task = cast(asyncio.Task[Any], asyncio.current_task())
        going = self._going[task] = _Going(decision)
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._decide_again(), name="egress again", context=contextvars.Context())
        try:
            await work
        except asyncio.CancelledError:
            if not going.is_cut:
                raise
            task.uncancel()
        finally:
            del self._going[task]
        return going.decision

    async def _decide_again(self) -> None:
        """Ask the rules about everything that goes on, every second while something does."""
        while self._going:
            await asyncio.sleep(AGAIN_S)
            await self.decide_again()

    async def decide_again(self) -> int:
        """Ask the rules about everything that goes on, and cut what they deny; how many."""
        if not self._going:
            return 0
        reach, cut = await self._reach(), 0
        for task, going in list(self._going.items()):
            each = going.decision
            verdict = reach.decide(each.host, each.port, each.binary, datetime.now(UTC))
            if not verdict.allowed and not going.is_cut:
                going.decision = replace(each, allowed=False, rule=verdict.rule, reason=f"Cut: {verdict.reason}")
                going.is_cut = True
                cut += 1
                task.cancel()
        return cut

    async def _connected(
        self, asked: Asked, decision: Decision
    ) -> tuple[tuple[asyncio.StreamReader, asyncio.StreamWriter], str]:
        """A connection to the first address that answers, and that address. Raises Refusal."""
        try:
            async with self._lookups:
                permits = self._places(asked.host, asked.port)
                found = await addresses.resolve(asked.host, asked.port, self._lookup, permits, self._refusal)
        except NotPublic as problem:
            raise Refusal("502 Bad Gateway", replace(decision, allowed=False, reason=str(problem))) from problem
        for address in found:
            with contextlib.suppress(OSError):
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    return await self._connect(address, asked.port), address
        raise Refusal("502 Bad Gateway", replace(decision, reason=f"{asked.host} did not answer.", address=found[0]))


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, refusal: Refusal) -> None:
    """The reason in the body, so that the agent's program can show it."""
    body = f"{refusal.decision.reason}\n".encode()
    head = (
        f"HTTP/1.1 {refusal.status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nX-Logos-Denied: 1\r\nConnection: close\r\n\r\n"
    )
    with contextlib.suppress(OSError):
        writer.write(head.encode() + body)
        writer.write_eof()
        # What was sent and not read would make the kernel reset the connection and take the answer back.
        async with asyncio.timeout(LINGER_S):
            while await reader.read(CHUNK):
                pass
