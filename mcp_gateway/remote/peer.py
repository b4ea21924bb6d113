"""One MCP server elsewhere over streamable HTTP, in either era: a POST for every message, answers as JSON or a stream.

Nothing that may have been carried out is sent twice. Sessions of the older era are ours to keep: one for each
account, opened anew when the server has forgotten it. What we show the server to get in never comes back in what it
says.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import logging
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from agents import secrets
from mcp_gateway import blotting, eras, jsonrpc
from mcp_gateway.jsonrpc import Message
from mcp_gateway.peers import MAX_NOTICE, Asks, Call, Gone, NeedsAccount, Notice, Peer
from mcp_gateway.remote import places, streams, wording
from mcp_gateway.remote.credentials import Account, Credential, nobody
from sandboxes.egress.addresses import Lookup, system_lookup

logger = logging.getLogger(__name__)

MAX_REQUESTS = 1_024
MAX_QUESTIONS = 256
FIRST_PAUSE_S, LONGEST_PAUSE_S, GOODBYE_S = 1.0, 30.0, 2.0
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


@dataclass(slots=True, eq=False)
class Line:
    """A session of the older era with one account; ``ready`` once both sides have introduced themselves."""

    credential: Credential
    session: str = ""
    version: str = ""
    ready: asyncio.Event = field(default_factory=asyncio.Event)


class Unwell(Gone):
    """The server says that it cannot answer just now."""


class RemotePeer(Peer):
    """A line to the server; there is nothing to start, so ``ended`` means that it cannot be reached any more."""

    may_die_of_questions = False

    def __init__(self, launch: RemoteLaunch, notice: Notice, asked: Asks) -> None:
        super().__init__(notice, asked)
        self._launch = launch
        self._http = places.open_session(launch.allows_private, launch.lookup, plain=places.is_plain(launch.url))
        self._tasks: set[asyncio.Task[None]] = set()
        self._task_of: dict[int, asyncio.Task[None]] = {}
        self._line_of: dict[int, Line] = {}
        self._lines: dict[str, Line] = {}
        self._opening: dict[str, asyncio.Lock] = {}
        self._questions: dict[Any, Line | None] = {}
        self._read_for: Call | None = None
        self._hello: Message | None = None
        self._mirrored: dict[str, dict[str, str]] = {}
        self._hidden = _bytes_of(launch.known)
        self.blot = blotting.blot(launch.known, shapes=launch.masks_keys)
        self._hidden_bearers: dict[str, tuple[bytes, ...]] = {}
        self._was_well = False
        self._reason = ""

    # What the gateway asks of it.

    def _dispatch(self, message: Message, call: Call) -> None:
        self._check_open()
        if len(self._tasks) >= MAX_REQUESTS:
            raise Gone("Too many requests to it are under way.")
        task = self._go(self._answer(message, call))
        self._task_of[call.id] = task
        task.add_done_callback(lambda task: self._task_of.pop(call.id, None))

    def send(self, message: Message) -> None:
        """A notification, or the answer to a question of the server."""
        self._check_open()
        if message.get("method") == "notifications/initialized":
            # Nothing else is asked on this line before it has been heard.
            for line in [each for each in self._lines.values() if not each.ready.is_set()]:
                self._go(self._confirm(line, message))
        elif "method" in message:
            self._go(self._tell(message, next(iter(self._lines.values()), None)))
        else:
            self._go(self._tell(message, self._questions.pop(message.get("id"), None)))

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
        if not self._http.closed:
            await asyncio.gather(*(self._say_goodbye(line) for line in lines if line.session))
            await self._http.close()

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
        try:
            credential = line.credential if line is not None else await self._launch.account("", None)
            async with asyncio.timeout(TELL_S), self._post(message, credential, line):
                return
        except (Gone, TimeoutError) as error:
            logger.info("An MCP server was not told something: %s", error)

    @contextlib.asynccontextmanager
    async def _post(
        self, message: Message, credential: Credential, line: Line | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        self._blot(credential)
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            **self._launch.headers,
            **credential.headers,
            **self._said(message, line),
        }
        try:
            response = await self._http.post(
                self._launch.url, data=jsonrpc.dumps(message), headers=headers, allow_redirects=False
            )
        except (aiohttp.ClientError, ValueError, OSError) as error:
            if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
                # It was never reached. What will not pass by itself ends in being parked.
                self._finish(places.why(error), may_come_back=places.may_pass(error))
            raise Gone(places.why(error)) from error
        try:
            yield response
        finally:
            response.release() if response.content.at_eof() else response.close()

    def _said(self, message: Message, line: Line | None) -> dict[str, str]:
        """The headers that repeat what the message says."""
        method = message.get("method")
        params: dict[str, Any] = message.get("params") or {}
        meta = params.get("_meta")
        if isinstance(meta, dict) and meta.get(eras.VERSION) == eras.MODERN:
            headers = {"MCP-Protocol-Version": eras.MODERN, "Mcp-Method": str(method)}
            name = params.get(eras.NAMED.get(str(method), ""))
            if isinstance(name, str):
                headers["Mcp-Name"] = eras.encoded(name)
                arguments = params.get("arguments")
                given = arguments if isinstance(arguments, dict) else {}
                for key, header in self._mirrored.get(name, {}).items():
                    if (value := eras.written(given.get(key))) is not None:
                        headers[f"Mcp-Param-{header}"] = eras.encoded(value)
            return headers
        if line is None:
            return {}
        version = {"MCP-Protocol-Version": line.version} if line.version else {}
        return version | ({"Mcp-Session-Id": line.session} if line.session else {})

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
                    self._take_from(data, call, line)
                    if limit.when() is None and call.answer.done() and not call.answer.cancelled():
                        limit.reschedule(asyncio.get_running_loop().time() + LINGER_S)

    async def _take_refusal(self, response: aiohttp.ClientResponse, call: Call) -> None:
        """A status that is none of success: told as the error of this call, or as being unwell."""
        said = self._blotted(await streams.complaint(response))
        self.errors.append(f"[Logos] {call.method} was answered with status {response.status}.")
        found = wording.error_in(said)
        sentence = wording.refusal(response.status, response.headers, said)
        if found is None and call.method != DISCOVER and (response.status >= 500 or response.status == 429):
            if not self._was_well:
                self._finish(sentence, may_come_back=True)
            raise Unwell(sentence)
        self._answered(call.id, found or jsonrpc.error(call.id, jsonrpc.UNAVAILABLE, sentence))

    def _take_from(self, data: bytes, call: Call | None, line: Line | None) -> None:
        """One message of a stream: only the answer to the request that opened it is taken as one."""
        data = self._blotted(data)
        try:
            message = jsonrpc.loads(data)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            self.noise += 1
            self.errors.append(f"[Logos] It sent what is no message: {data[:200].decode(errors='replace')}")
            return
        if self.blot is not None:
            message = self.blot.message(message)
        if "method" in message:
            if "id" in message or len(data) <= MAX_NOTICE:
                self._heard_from(message, line, call)
        elif call is not None and message.get("id") == call.id and not isinstance(message.get("id"), bool):
            self._was_well = self._was_well or "result" in message
            self._learn(message, call, line)
            self._answered(call.id, message, len(data))

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
            self._mirrored |= wording.mirrored(result.get("tools"))

    async def _hear_news(self, line: Line) -> None:
        """What a server of the older era has to say that answers nothing, if it offers a stream for that."""
        pause = FIRST_PAUSE_S
        while self.is_open and self._lines.get(line.credential.key) is line:
            headers = {"Accept": "text/event-stream", **self._launch.headers, **line.credential.headers}
            try:
                async with self._http.get(
                    self._launch.url, headers=headers | self._said({}, line), allow_redirects=False
                ) as response:
                    if response.status != 200 or streams.kind(response) != "text/event-stream":
                        return
                    async for data in streams.events(response):
                        pause = FIRST_PAUSE_S
                        self._take_from(data, None, line)
            except (Gone, aiohttp.ClientError, OSError):
                pass
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _say_goodbye(self, line: Line) -> None:
        headers = {**self._launch.headers, **line.credential.headers, **self._said({}, line)}
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with asyncio.timeout(GOODBYE_S):
                async with self._http.delete(self._launch.url, headers=headers, allow_redirects=False):
                    return

    def _lose(self, call: Call, error: Gone) -> None:
        """No answer will come."""
        self.calls.pop(call.id, None)
        if not call.answer.done():
            call.answer.set_exception(error)
        if isinstance(error, NeedsAccount) and not self._launch.is_personal:
            self._finish(str(error), may_come_back=False)

    def _blot(self, credential: Credential) -> None:
        if credential.bearer:
            self._hidden_bearers[credential.key] = _bytes_of([credential.bearer])

    def _blotted(self, data: bytes) -> bytes:
        mask = secrets.MASK.encode()
        for secret in (*self._hidden, *(each for known in self._hidden_bearers.values() for each in known)):
            if secret in data:
                data = data.replace(secret, mask)
        return data


def _bytes_of(known: Iterable[str]) -> tuple[bytes, ...]:
    forms = secrets.forms(known)
    # Results of tools are often JSON inside of JSON.
    nested = {json.dumps(each)[1:-1] for each in forms}
    return tuple(each.encode() for each in sorted(forms | nested, key=len, reverse=True))
