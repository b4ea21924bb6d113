"""One MCP server elsewhere over streamable HTTP, in either era: a POST for every message, answers as JSON or a stream.

Nothing that may have been carried out is sent twice. Sessions of the older era are ours to keep: one for each
account, opened anew when the server has forgotten it. What we show the server to get in never comes back in what it
says.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from mcp_gateway import blotting, jsonrpc
from mcp_gateway.jsonrpc import Message
from mcp_gateway.peers import MAX_NOTICE, Asks, Call, Gone, NeedsAccount, Notice, Peer
from mcp_gateway.remote import streams, wording
from mcp_gateway.remote.credentials import Account, Credential, nobody
from mcp_gateway.remote.wire import Line, Unreached, Wire
from sandboxes.egress.addresses import Lookup, system_lookup

logger = logging.getLogger(__name__)

MAX_REQUESTS = 1_024
MAX_QUESTIONS = 256
# What it is told at the same time: one that asks and asks, and does not take the answers, gets no more of them.
MAX_TOLD = 256
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
# How long a session may take to open, or something may take to be heard that wants no answer.
HELLO_S, TELL_S = 60.0, 30.0
# A stream usually ends right after its answer; then its connection serves the next request.
LINGER_S = 0.3
LISTEN, HELLO, DISCOVER = "subscriptions/listen", "initialize", "server/discover"


@dataclass(frozen=True, slots=True)
class RemoteLaunch:
    """Where the server is and what it is shown. ``known`` are the secrets in it, to be blotted out of what it says."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    known: tuple[str, ...] = field(default=(), repr=False)
    allows_private: bool = False
    account: Account = nobody
    is_personal: bool = False
    uses_account: bool = False
    lookup: Lookup = system_lookup
    masks_keys: bool = False

    async def start(self, notice: Notice, asked: Asks) -> RemotePeer:
        return RemotePeer(self, notice, asked)


class Unwell(Gone):
    """The server says that it cannot answer just now."""


class RemotePeer(Peer):
    """A line to the server; there is nothing to start, so ``ended`` means that it cannot be reached any more."""

    may_die_of_questions = False

    def __init__(self, launch: RemoteLaunch, notice: Notice, asked: Asks) -> None:
        super().__init__(notice, asked)
        self._launch = launch
        self._wire = Wire(
            launch.url, launch.headers, launch.known, allows_private=launch.allows_private, lookup=launch.lookup
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._task_of: dict[int, asyncio.Task[None]] = {}
        self._line_of: dict[int, Line] = {}
        self._lines: dict[str, Line] = {}
        self._opening: dict[str, asyncio.Lock] = {}
        self._questions: dict[Any, Line | None] = {}
        self._read_for: Call | None = None
        self._hello: Message | None = None
        self.blot = blotting.blot(launch.known, shapes=launch.masks_keys)
        self._telling = 0
        self._was_loud = False
        self._was_well = False
        self._reason = ""

    # What the gateway asks of it.

    def _dispatch(self, message: Message, call: Call) -> None:
        self._check_open()
        if len(self._task_of) >= MAX_REQUESTS:
            raise Gone("Too many requests to it are under way.")
        task = self._go(self._answer(message, call))
        self._task_of[call.id] = task
        task.add_done_callback(lambda task: self._task_of.pop(call.id, None))

    def send(self, message: Message) -> None:
        """A notification, or the answer to a question of the server. Raises Gone."""
        self._check_open()
        whose = None if "method" in message else self._questions.pop(message.get("id"), None)
        if self._telling >= MAX_TOLD:
            raise Gone("It does not hear what it is told.")
        if message.get("method") == "notifications/initialized":
            # Nothing else is asked on this line before it has been heard.
            for line in [each for each in self._lines.values() if not each.ready.is_set()]:
                self._go(self._confirm(line, message))
        elif "method" in message:
            self._go(self._tell(message, next(iter(self._lines.values()), None)))
        else:
            self._go(self._tell(message, whose))

    def forget(self, call: Call, *, cancel: bool, why: str = "The caller left.") -> None:
        is_open = self.calls.pop(call.id, None) is not None and not call.answer.done()
        line = self._line_of.pop(call.id, None)
        if is_open and cancel and line is not None and self.is_open:
            # In the newer era closing the stream says it.
            params = {"requestId": call.id, "reason": why}
            self._go(self._tell({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}, line))
        if (task := self._task_of.get(call.id)) is not None:
            task.cancel()
        call.answer.cancel()

    async def stop(self) -> None:
        self._finish("It was stopped.", may_come_back=self.may_come_back)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        lines, self._lines = list(self._lines.values()), {}
        await self._wire.close(lines)

    def ending(self) -> str:
        return self._reason

    def _check_open(self) -> None:
        if not self.is_open:
            raise Gone(self._reason)

    def _go(self, story: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(story, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _finish(self, reason: str, *, may_come_back: bool) -> None:
        """Nothing can be asked any more; the supervisor begins anew."""
        if self.is_open:
            self.is_open, self._reason, self.may_come_back = False, reason, may_come_back
            self._fail(reason)
            self.ended.set()

    # One request.

    async def _answer(self, message: Message, call: Call) -> None:
        pause = FIRST_PAUSE_S
        while True:
            may_ask_again = True
            try:
                may_ask_again = await self._exchange(message, call)
            except Gone as error:
                self._lose(call, error)
            except Exception:
                logger.exception("An answer of an MCP server could not be read")
                self._lose(call, Gone("Its answer could not be read."))
            finally:
                self._line_of.pop(call.id, None)
            if call.method != LISTEN or not self.is_open or not may_ask_again:
                return
            # A server may end the stream of its news at any time; it is asked for again.
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _exchange(self, message: Message, call: Call) -> bool:
        """Ask and hear the answer; whether a stream of news may be asked for once more. Raises Gone."""
        credential = await self._launch.account(call.agent_id, None)
        for is_last in (False, True):
            line = await self._line(message, call, credential)
            if line is not None:
                self._line_of[call.id] = line
            async with self._post(message, credential, line) as response:
                if response.status == 401:
                    if is_last:
                        raise NeedsAccount("It refuses the account that is connected (401).")
                    credential = await self._launch.account(call.agent_id, credential)
                elif response.status == 404 and line is not None and line.session and not is_last:
                    self._forget_line(line)  # it forgot the session, and so did nothing
                else:
                    await self._read(response, call, line)
                    return response.status < 400
        raise Gone("It does not keep the session it has just opened.")

    async def _line(self, message: Message, call: Call, credential: Credential) -> Line | None:
        """The session for this request, opened if need be; None in the era without."""
        if call.method == HELLO:
            self._hello = message
            line = self._lines[credential.key] = Line(credential)
            return line
        if self._hello is None or call.method == DISCOVER:
            return None
        async with self._opening.setdefault(credential.key, asyncio.Lock()):
            known = self._lines.get(credential.key)
            if known is None:
                known = self._lines[credential.key] = Line(credential)
                try:
                    async with asyncio.timeout(HELLO_S):
                        await self._introduce(known)
                except TimeoutError as error:
                    self._forget_line(known)
                    raise Gone("It did not begin a session in time.") from error
                except BaseException:
                    self._forget_line(known)
                    raise
        await known.ready.wait()
        known.credential = credential
        return known

    def _forget_line(self, line: Line) -> None:
        if self._lines.get(line.credential.key) is line:
            del self._lines[line.credential.key]

    async def _introduce(self, line: Line) -> None:
        """Shake hands once more, as the supervisor did at first."""
        hello = {**(self._hello or {}), "id": next(self._ids)}
        call = Call(hello["id"], HELLO, asyncio.get_running_loop().create_future(), lambda message: None)
        async with self._post(hello, line.credential, line) as response:
            if response.status == 401:
                raise NeedsAccount("It refuses the account that is connected (401).")
            self.calls[call.id] = call
            try:
                await self._read(response, call, line)
            finally:
                self.calls.pop(call.id, None)
        found = call.answer.result() if call.answer.done() else {}
        if not isinstance(found.get("result"), dict):
            raise Gone("It does not begin a session.")
        await self._confirm(line, {"jsonrpc": "2.0", "method": "notifications/initialized"})

    async def _confirm(self, line: Line, message: Message) -> None:
        await self._tell(message, line)
        line.ready.set()
        self._go(self._hear_news(line))

    async def _tell(self, message: Message, line: Line | None) -> None:
        """What wants no answer."""
        self._telling += 1
        try:
            credential = line.credential if line is not None else await self._launch.account("", None)
            async with asyncio.timeout(TELL_S), self._post(message, credential, line):
                return
        except (Gone, TimeoutError) as error:
            logger.info("An MCP server was not told something: %s", error)
        finally:
            self._telling -= 1

    @contextlib.asynccontextmanager
    async def _post(
        self, message: Message, credential: Credential, line: Line | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._wire.post(message, credential, line) as response:
                yield response
        except Unreached as error:
            # What will not pass by itself ends in being parked.
            self._finish(str(error), may_come_back=error.may_pass)
            raise

    # What it says.

    async def _read(self, response: aiohttp.ClientResponse, call: Call, line: Line | None) -> None:
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Gone("It packs its answers, although it was asked not to.")
        if not 200 <= response.status < 300:
            await self._take_refusal(response, call)
            return
        if call.method == HELLO and line is not None:
            line.session = wording.session_id(response.headers.get("Mcp-Session-Id", ""))
        kind = streams.kind(response)
        if kind == "text/event-stream":
            await self._read_stream(response, call, line)
        elif kind == "application/json":
            self._take_from(await streams.body(response), call, line)
        if call.method != LISTEN and not call.answer.done():
            raise Gone("It ended its answer without having given one.")

    async def _read_stream(self, response: aiohttp.ClientResponse, call: Call, line: Line | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None) as limit:
                async for data in streams.events(response):
                    pause_s = self._take_from(data, call, line)
                    if limit.when() is None and call.answer.done() and not call.answer.cancelled():
                        limit.reschedule(asyncio.get_running_loop().time() + LINGER_S)
                    if pause_s:
                        await asyncio.sleep(pause_s)

    async def _take_refusal(self, response: aiohttp.ClientResponse, call: Call) -> None:
        """A status that is none of success: told as the error of this call, or as being unwell."""
        said = self._wire.blotted(await streams.complaint(response))
        self.errors.append(f"[Logos] {call.method} was answered with status {response.status}.")
        found = wording.error_in(said)
        sentence = wording.refusal(response.status, response.headers, said)
        if found is None and call.method != DISCOVER and (response.status >= 500 or response.status == 429):
            if not self._was_well:
                self._finish(sentence, may_come_back=True)
            raise Unwell(sentence)
        self._answered(call.id, found or jsonrpc.error(call.id, jsonrpc.UNAVAILABLE, sentence))

    def _take_from(self, data: bytes, call: Call | None, line: Line | None) -> float:
        """One message of a stream: only the answer to the request that opened it is taken as one. For how long nothing
        more of the stream should be heard, since it says too much that nobody asked."""
        data = self._wire.blotted(data)
        try:
            message = jsonrpc.loads(data) if data else None
        except (ValueError, RecursionError):
            message = None
        is_asked = (
            isinstance(message, dict)
            and "method" not in message
            and call is not None
            and message.get("id") == call.id
            and not call.answer.done()
        )
        pause_s = 0.0 if is_asked else self._unasked.said(asyncio.get_running_loop().time())
        if pause_s and not self._was_loud:
            self._was_loud = True
            self.errors.append("[Logos] It says so much by itself that it is listened to more slowly.")
        if isinstance(message, dict):
            self._took(message, len(data), call, line)
        elif data:
            self.noise += 1
            self.errors.append(f"[Logos] It sent what is no message: {data[:200].decode(errors='replace')}")
        return pause_s

    def _took(self, message: Message, size: int, call: Call | None, line: Line | None) -> None:
        if self.blot is not None:
            message = self.blot.message(message)
        if "method" in message:
            if "id" in message or size <= MAX_NOTICE:
                self._heard_from(message, line, call)
        elif call is not None and message.get("id") == call.id and not isinstance(message.get("id"), bool):
            self._was_well = self._was_well or "result" in message
            self._learn(message, call, line)
            self._answered(call.id, message, size)

    def call_of_question(self) -> Call | None:
        # What stands in the answer to a request is about that.
        return self._read_for if self._read_for is not None else self.only_call()

    def call_of_words(self) -> Call | None:
        return self._read_for if self._read_for is not None else super().call_of_words()

    def _heard_from(self, message: Message, line: Line | None, call: Call | None) -> None:
        if not isinstance(message["method"], str):
            return
        self._read_for = call
        if "id" not in message:
            self._notified(message)
        elif isinstance(message["id"], str | int) and len(self._questions) < MAX_QUESTIONS:
            self._questions[message["id"]] = line
            self._asked(self, message)
        self._read_for = None

    def _learn(self, message: Message, call: Call, line: Line | None) -> None:
        result = message.get("result")
        if not isinstance(result, dict):
            return
        if call.method == HELLO and line is not None:
            line.version = str(result.get("protocolVersion", ""))[:40]
        elif call.method == "tools/list":
            self._wire.learn(result.get("tools"))

    async def _hear_news(self, line: Line) -> None:
        """What a server of the older era has to say that answers nothing, if it offers a stream for that."""
        pause = FIRST_PAUSE_S
        while self.is_open and self._lines.get(line.credential.key) is line:
            try:
                async with self._wire.news(line) as response:
                    if response.status != 200 or streams.kind(response) != "text/event-stream":
                        return
                    async for data in streams.events(response):
                        pause = FIRST_PAUSE_S
                        if pause_s := self._take_from(data, None, line):
                            await asyncio.sleep(pause_s)
            except (Gone, aiohttp.ClientError, OSError):
                pass
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    def _lose(self, call: Call, error: Gone) -> None:
        """No answer will come."""
        self.calls.pop(call.id, None)
        if not call.answer.done():
            call.answer.set_exception(error)
        if isinstance(error, NeedsAccount) and not self._launch.is_personal:
            self._finish(str(error), may_come_back=False)
