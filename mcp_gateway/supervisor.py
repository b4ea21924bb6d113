"""Keeps one MCP server running: starts it, learns what it is, notices when it is gone or stuck, and starts it anew.

After five quick deaths it is parked: nobody is helped by a program that dies all day, and somebody must look.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any

from agents.errors import LogosError
from mcp_gateway import eras, introducing, jsonrpc
from mcp_gateway.introducing import DiedOfTheQuestion, Known
from mcp_gateway.jsonrpc import Message
from mcp_gateway.peers import Call, Gone, Launchable, NeedsSomebody, Peer, Ring

logger = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 30.0
# A server that ran this long was well: what comes after is a new story.
STEADY_S = 60.0
QUICK_DEATHS = 5
# So many calls in a row without an answer make us ask whether it hears at all, and how long it may take to say so.
SILENCES, PING_S = 2, 10.0
# Lists that are pinned: what they say is read anew before anybody is told of it.
TOOLS, PROMPTS, OTHERS = RENEWED = tuple(introducing.LISTS)
# Between two looks at the lists of one that says again and again that they have changed.
RENEW_S = 1.0
# States that end only when somebody does something.
RESTING = ("parked", "needs_auth", "changed", "disabled", "stopped")


@dataclass(frozen=True, slots=True)
class Times:
    """How patient we are with one server."""

    call_s: float = 120.0
    connect_s: float = 60.0
    first_pause_s: float = FIRST_PAUSE_S
    steady_s: float = STEADY_S
    ping_s: float = PING_S


async def _nobody_looks(supervisor: Supervisor) -> None:
    return None


class Supervisor:
    """One server. ``offers`` looks at its tools before anybody else does, and raises Gone if it cannot;
    ``changed`` is called whenever its state is another, ``said`` with notifications for listeners,
    ``asked`` with what the server asks of a client, to be answered on the child."""

    def __init__(
        self,
        name: str,
        launch: Callable[[], Awaitable[Launchable]],
        times: Times,
        *,
        changed: Callable[[Supervisor], None] = lambda supervisor: None,
        said: Callable[[Supervisor, Message], None] = lambda supervisor, message: None,
        asked: Callable[[Supervisor, Peer, Message], bool] = lambda supervisor, child, message: False,
        offers: Callable[[Supervisor], Awaitable[None]] = _nobody_looks,
        agent_id: str = "",
        pins: Collection[str] = (),
    ) -> None:
        self.name, self._launch, self.times = name, launch, times
        # Whose copy of the server it is; "" for the one of everybody.
        self.agent_id = agent_id
        # What besides tools and prompts is pinned of it.
        self.pins = pins
        self._changed, self._said, self._ask_others, self._offers = changed, said, asked, offers
        self.state, self.reason, self.starts = "stopped", "", 0
        self.known = Known()
        self.child: Peer | None = None
        self.errors = Ring()
        self._deaths = 0
        self._silences = 0
        self._is_probed = False
        self._is_old = False
        # What it said of lists that are others now, and nobody has looked at yet.
        self._news: dict[str, Message] = {}
        self._is_renewing = False
        self._may_come_back = False
        self._task: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[Any]] = set()
        self._moved = asyncio.Event()
        self._again = asyncio.Event()

    def start(self) -> None:
        """Begin to keep it running."""
        if self._task is None or self._task.done():
            self._deaths = 0
            self._now("starting", "")
            self._task = asyncio.create_task(self._keep(), name=f"mcp {self.name}", context=contextvars.Context())

    async def stop(self, state: str = "stopped", reason: str = "") -> None:
        """End it; it stays ended until ``start``."""
        for task in (self._task, *self._background):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task
        self._task = None
        if self.child is not None:
            await self.child.stop()
            self.child = None
        self._now(state, reason)

    async def restart(self) -> None:
        """End it and start it at once, also when it is parked."""
        await self.stop()
        self.start()

    def check(self) -> None:
        """Raises LogosError(reason="mcp_unavailable") when it waits for somebody to do something."""
        if self.state in RESTING:
            raise self._unavailable()

    async def ready(self, timeout_s: float) -> Peer:
        """The running child, waited for while it starts. Raises LogosError(reason="mcp_unavailable") with why not."""
        self._again.set()  # somebody wants it: do not wait out the pause
        try:
            async with asyncio.timeout(timeout_s):
                while self.state != "ready" or self.child is None or not self.child.is_open:
                    self.check()
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            raise self._unavailable() from None
        return self.child

    def answered(self, call: Call) -> None:
        """It answers: whatever was silent before is over."""
        self._silences = 0

    def timed_out(self) -> None:
        """A call got no answer in its time. After two in a row the server is asked whether it hears at all."""
        self._silences += 1
        if self._silences >= SILENCES and not self._is_probed and self.child is not None:
            self._is_probed = True
            self._in_background(self._probe(self.child))

    def _unavailable(self) -> LogosError:
        why = f" {self.reason}" if self.reason else ""
        return LogosError(
            f"The MCP server {self.name} is not running ({self.state}).{why}",
            reason="mcp_unavailable",
            action="Try again later, or ask whoever looks after it.",
            permanent=False,
        )

    async def _keep(self) -> None:
        while True:
            began = asyncio.get_running_loop().time()
            self._may_come_back = False
            try:
                reason = await self._live()
            except NeedsSomebody as error:
                self._now(error.state, str(error))
                return
            lived = asyncio.get_running_loop().time() - began
            self._deaths = 1 if lived >= self.times.steady_s else self._deaths + 1
            if self._deaths >= QUICK_DEATHS and not self._may_come_back:
                self._now("parked", f"It ended {self._deaths} times in a row. {reason}")
                return
            self._again.clear()
            self._now("backoff", reason)
            pause = min(self.times.first_pause_s * 2 ** min(self._deaths - 1, 16), LONGEST_PAUSE_S)
            # A call that waits ends the pause, but not before the first one: a loop of callers is no reason to spin.
            await asyncio.sleep(min(pause, self.times.first_pause_s))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, pause - self.times.first_pause_s)):
                    await self._again.wait()

    async def _live(self) -> str:
        """One life of the server; why it ended."""
        self._now("starting", "")
        try:
            launch = await self._launch()
            child = await launch.start(self._heard, self._asked)
        except NeedsSomebody:
            raise
        except (LogosError, Gone) as error:
            return error.message if isinstance(error, LogosError) else str(error)
        except Exception:
            logger.exception("The MCP server %s could not be started", self.name)
            return "It could not be started; the log says why."
        self.child, self.errors = child, child.errors
        self.starts += 1
        self._silences, self._is_probed = 0, False
        try:
            try:
                async with asyncio.timeout(self.times.connect_s):
                    self.known = await introducing.introduce(child, is_old=self._is_old, pins=self.pins)
                    await self._offers(self)
            except TimeoutError:
                self._may_come_back = child.may_come_back
                return f"It did not answer within {self.times.connect_s:g} seconds of its start."
            except NeedsSomebody:
                raise
            except Gone as error:
                self._is_old |= isinstance(error, DiedOfTheQuestion)
                self._may_come_back = child.may_come_back and not child.is_open
                if child.is_open:
                    return str(error)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(5.0):
                        await child.ended.wait()  # then it is known how
                return child.ending()
            except Exception:
                logger.exception("What the MCP server %s says of itself cannot be understood", self.name)
                return "What it says of itself cannot be understood; the log says why."
            self._now("ready", "")
            if self.known.is_modern:
                self._in_background(introducing.listen(child, self.known))
            await child.ended.wait()
            self._may_come_back = child.may_come_back
            return child.ending()
        finally:
            await asyncio.shield(asyncio.ensure_future(child.stop()))

    async def _probe(self, child: Peer) -> None:
        """Is it stuck, or only busy with something slow?"""
        method, params = ("tools/list", eras.for_modern_server({})) if self.known.is_modern else ("ping", {})
        try:
            call = child.ask(method, params)
            async with asyncio.timeout(self.times.ping_s):
                await asyncio.shield(call.answer)
        except TimeoutError:
            logger.warning("The MCP server %s does not answer any more and is started anew", self.name)
            self.errors.append("[Logos] It did not answer any more and was started anew.")
            await child.stop()
        except Gone:
            pass
        else:
            self._silences, self._is_probed = 0, False

    def _heard(self, message: Message) -> None:
        if message["method"] not in RENEWED or self.child is None:
            self._said(self, message)
            return
        is_first = not self._news
        self._news[message["method"]] = message
        if is_first and not self._is_renewing:
            self._in_background(self._renew())

    async def _renew(self) -> None:
        """Its tools or prompts are others now: listeners are told once we know them. However often it says so, they are
        read once at a time, and once more after that."""
        self._is_renewing = True
        try:
            while self._news and (child := self.child) is not None:
                news, self._news = self._news, {}
                with contextlib.suppress(Gone, TimeoutError):
                    async with asyncio.timeout(self.times.connect_s):
                        known = self.known
                        known.offers(
                            await introducing.all_tools(child, known) if TOOLS in news else known.tools,
                            await introducing.all_prompts(child, known) if PROMPTS in news else known.prompts,
                            await introducing.all_others(child, known, self.pins) if OTHERS in news else known.others,
                        )
                        await self._offers(self)
                self._changed(self)
                for message in news.values():
                    self._said(self, message)
                await asyncio.sleep(RENEW_S if self._news else 0)
        finally:
            self._is_renewing, self._news = False, {}

    def _asked(self, child: Peer, message: Message) -> None:
        """What the server asks of a client: we are it, and know neither folders nor a person to ask."""
        method, id = message["method"], message["id"]
        if method == "ping":
            answer = jsonrpc.result(id, {})
        elif self._ask_others(self, child, message):
            return
        elif method == "roots/list":
            answer = jsonrpc.result(id, {"roots": []})
        elif method == "elicitation/create":
            answer = jsonrpc.result(id, {"action": "decline"})
        else:
            answer = jsonrpc.error(id, jsonrpc.METHOD_NOT_FOUND, "Logos does not do this for MCP servers.")
        with contextlib.suppress(Gone):
            child.send(answer)

    def _now(self, state: str, reason: str) -> None:
        self.state, self.reason = state, reason
        self._moved.set()
        self._changed(self)

    def _in_background(self, story: Any) -> None:
        task = asyncio.create_task(story, context=contextvars.Context())
        self._background.add(task)
        task.add_done_callback(self._background.discard)
