"""The other end of one MCP server's line: our own ids out, answers back to whoever asked, whatever carries them.

Ids and progress tokens of callers never reach the server: two callers may use the same ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mcp_gateway import jsonrpc
from mcp_gateway.blotting import Blot
from mcp_gateway.jsonrpc import Message
from mcp_gateway.unasked import Unasked

MAX_LINE = 16 * 1024 * 1024
ERROR_LINES, ERROR_LINE = 200, 2_000
# What it says beside answers may be this long.
MAX_NOTICE = 256 * 1024

Notice = Callable[[Message], None]
Asks = Callable[["Peer", Message], None]


class Gone(Exception):
    """The server ended, or cannot take this; the text says which."""


class TooLarge(Gone):
    """Its answer was larger than we carry."""


class NeedsSomebody(Gone):
    """It cannot run before somebody has done something; the text says what. ``state`` is how it waits."""

    state = "parked"


class NeedsAccount(NeedsSomebody):
    """It serves nobody until a person has connected an account there."""

    state = "needs_auth"


class Ring(deque[str]):
    """The last lines of an error output, and how many there were in all."""

    def __init__(self) -> None:
        super().__init__(maxlen=ERROR_LINES)
        self.heard = 0

    def append(self, line: str) -> None:
        self.heard += 1
        super().append(line)


@dataclass(slots=True, eq=False)
class Call:
    """A request on its way: ``answer`` is the server's message, ``heard`` takes what belongs to it meanwhile, and
    ``agent_id`` is for whom it is asked, where that matters. ``whose`` is the caller's message, ``record_id`` the row of the
    call, and ``rounds`` in how many the server has asked for a model meanwhile."""

    id: int
    method: str
    answer: asyncio.Future[Message]
    heard: Callable[[Message], None]
    token: Any = None
    began: float = 0.0
    agent_id: str = ""
    # How many bytes the answer had.
    size: int = 0
    whose: Any = None
    record_id: str = ""
    rounds: int = 0


class Launchable(Protocol):
    """Everything resolved that a start needs."""

    async def start(self, notice: Notice, asked: Asks) -> Peer:
        """A line to the server. ``notice`` gets notifications that belong to no call, ``asked`` what the server asks.
        Raises Gone when there can be none."""
        ...


class Peer(ABC):
    """One line to a server; ``ended`` is set when it is over."""

    # A server of the older era may end at a question of the newer one, and is not asked so again.
    may_die_of_questions = True
    # What ended it may pass by itself, so that it is tried for as long as it takes.
    may_come_back = False

    def __init__(self, notice: Notice, asked: Asks) -> None:
        self._notice, self._asked = notice, asked
        self._ids = itertools.count(1)
        self.calls: dict[int, Call] = {}
        # Every agent that was asked for since it began.
        self.agents: set[str] = set()
        self.errors = Ring()
        self.noise = 0
        self._unasked = Unasked()
        # Hides its own secrets in all it says; None where it was given none.
        self.blot: Blot | None = None
        self.ended = asyncio.Event()
        # What stands between it and this host, where it runs here; () nothing does.
        self.walls: tuple[str, ...] = ()
        # It can answer: not so any more once its output is closed, which comes a little before its end.
        self.is_open = True

    def ask(
        self,
        method: str,
        params: Mapping[str, Any] | None,
        heard: Callable[[Message], None] = lambda message: None,
        agent_id: str = "",
    ) -> Call:
        """Send a request; ``call.answer`` is a message with ``result`` or ``error`` and our id. Raises Gone."""
        id = next(self._ids)
        loop = asyncio.get_running_loop()
        call = Call(id, method, loop.create_future(), heard, began=loop.time(), agent_id=agent_id)
        message: Message = {"jsonrpc": "2.0", "id": id, "method": method}
        if params is not None:
            message["params"] = params = dict(params)
            meta = params.get("_meta")
            if isinstance(meta, dict) and "progressToken" in meta:
                call.token = meta["progressToken"]
                params["_meta"] = {**meta, "progressToken": id}
        self._dispatch(message, call)
        self.calls[id] = call
        if agent_id:
            self.agents.add(agent_id)
        return call

    def _dispatch(self, message: Message, call: Call) -> None:
        self.send(message)

    @abstractmethod
    def send(self, message: Message) -> None:
        """Send one message as it is. Raises Gone."""

    def tell(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Send a notification; nothing when it has ended."""
        with contextlib.suppress(Gone):
            self.send({"jsonrpc": "2.0", "method": method, **({} if params is None else {"params": dict(params)})})

    def forget(self, call: Call, *, cancel: bool, why: str = "The caller left.") -> None:
        """Nobody waits for this call any more; ``cancel`` tells the server."""
        if self.calls.pop(call.id, None) is not None and cancel and not call.answer.done():
            self.tell("notifications/cancelled", {"requestId": call.id, "reason": why})
        call.answer.cancel()

    @abstractmethod
    async def stop(self) -> None:
        """End it; returns when it is gone."""

    @abstractmethod
    def ending(self) -> str:
        """How it ended, in a sentence."""

    def call_of_question(self) -> Call | None:
        """The call that what the server asks just now belongs to, where that can be told."""
        return self.only_call()

    def call_of_words(self) -> Call | None:
        """The call whose agent may read what it says by itself: of one that several have used, it may be about another."""
        call = self.call_of_question()
        return call if call is not None and self.agents <= {call.agent_id} else None

    def only_call(self) -> Call | None:
        """The one call under way, when what the server says can only belong to it."""
        return next(iter(self.calls.values())) if len(self.calls) == 1 else None

    def _take(self, line: bytes) -> None:
        try:
            message = jsonrpc.loads(line)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict) or "method" in message or not self._is_awaited(message.get("id")):
            self._say_unasked(1)
        if not isinstance(message, dict):
            self.noise += 1
            self.errors.append(self._plain(f"[stdout] {line[:ERROR_LINE].decode(errors='replace')}"))
            return
        if self.blot is not None:
            message = self.blot.message(message)
        if "method" in message:
            if "id" in message:
                self._asked(self, message)
            elif len(line) > MAX_NOTICE:
                self.errors.append(f"[Logos] A notification of {len(line):,} bytes was thrown away.")
            else:
                self._notified(message)
        elif isinstance(id := message.get("id"), int):
            self._answered(id, message, len(line))

    def _is_awaited(self, id: Any) -> bool:
        return isinstance(id, int) and id in self.calls

    def _say_unasked(self, count: int) -> None:
        """It said so much that nobody asked."""
        if pause_s := self._unasked.said(asyncio.get_running_loop().time(), count):
            self._hear_less(pause_s)

    def _hear_less(self, pause_s: float) -> None:  # noqa: B027 - not every line can be read more slowly
        """It says too much by itself: whoever reads what it says should not for so long."""

    def _plain(self, text: str) -> str:
        """What it says to nobody, as people may read it."""
        return text if self.blot is None else self.blot.text(text)

    def _answered(self, id: int, message: Message, size: int = 0) -> None:
        call = self.calls.pop(id, None)
        if call is not None and not call.answer.done():
            call.size = size
            call.answer.set_result(message)

    def _notified(self, message: Message) -> None:
        params = message.get("params")
        token = params.get("progressToken") if isinstance(params, dict) else None
        if message["method"] != "notifications/progress":
            self._notice(message)
        elif isinstance(token, int) and (call := self.calls.get(token)) is not None and call.token is not None:
            call.heard({**message, "params": {**params, "progressToken": call.token}})  # type: ignore[dict-item]

    def _fail(self, sentence: str) -> None:
        calls, self.calls = list(self.calls.values()), {}
        for call in calls:
            if not call.answer.done():
                call.answer.set_exception(Gone(sentence))
                call.answer.exception()  # nobody may wait for it any more, and that is no news
