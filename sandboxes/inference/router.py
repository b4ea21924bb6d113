"""The inference router: the model API that a sandbox sees, as a plain ASGI application on that sandbox's socket.

Which sandbox calls is known from the socket the request came in on, which run from the lane in its path.
Nothing the caller sends as credentials is looked at or passed on; the key is added here, outside the sandbox.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import aiohttp

from agents.errors import Code, Invalid, LogosError
from agents.ids import ulid
from agents.numbers import whole
from sandboxes.halts import HaltWatch
from sandboxes.inference.breaker import Breaker
from sandboxes.inference.calls import CallRecord, RouteTarget
from sandboxes.inference.failures import HALTED, Failure
from sandboxes.inference.lanes import Lanes, Lease
from sandboxes.inference.meter import Meter
from sandboxes.inference.rehearsal_upstream import RehearsalUpstream
from sandboxes.inference.relay import Call, Receive, Send, bill, carry, is_for_another, not_made, record_of
from sandboxes.inference.spending import order_of, refused
from sandboxes.inference.steering import require_plain
from sandboxes.inference.upstreams import HttpUpstream, Upstream, open_session
from sandboxes.inference.wires import OPENAI, Wire, by_path, of_kind

logger = logging.getLogger(__name__)

MAX_BODY = 32 * 1024 * 1024

Scope = dict[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_JSON = (b"content-type", b"application/json")


class Told:
    """The answer to a call that Logos made itself: a status, and the whole body."""

    def __init__(self) -> None:
        self.status, self.body = 0, b""

    async def take(self, message: Any) -> None:
        """Be sent a part of it."""
        self.status = message.get("status", self.status)
        self.body += message.get("body", b"")


class Router:
    """Takes model calls of all sandboxes of this process, one application per sandbox (``for_sandbox``)."""

    def __init__(
        self,
        lanes: Lanes,
        meter: Meter,
        session_factory: Callable[[], aiohttp.ClientSession] = open_session,
        *,
        max_body: int = MAX_BODY,
        halts: HaltWatch | None = None,
    ) -> None:
        self._lanes, self._meter, self._max_body = lanes, meter, max_body
        self._breaker, self._halts = Breaker(), halts
        # What rooms above serve on the same socket: by how the path begins, who makes the application of a sandbox.
        self.beside: dict[str, Callable[[str], App]] = {}
        self._upstreams: dict[str, Upstream] = {
            "openai-compatible": (over_http := HttpUpstream(session_factory)),
            "anthropic": over_http,
            "rehearsal": RehearsalUpstream(),
        }

    def for_sandbox(self, sandbox_id: str) -> App:
        """The application to serve on this sandbox's own listening socket, and nowhere else."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                return
            if (made := self.beside.get(scope["path"][1:].partition("/")[0])) is not None:
                await made(sandbox_id)(scope, receive, send)
            else:
                await self._answer(sandbox_id, scope, receive, send)

        return app

    async def ask(self, lease: Lease, body: bytes) -> Told:
        """A call of Logos itself for the lease's run, which no sandbox can make: metered, paid for and recorded like
        any other. ``lease`` is nobody else's. Cancel it to hang up."""
        wire, told = of_kind(lease.target.kind), Told()
        scope = {"type": "http", "method": "POST", "path": "", "headers": [(b"content-length", b"%d" % len(body))]}
        left = asyncio.get_running_loop().create_future()
        sent = False

        async def receive() -> dict[str, Any]:
            nonlocal sent
            if sent:
                await left
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        self._lanes.own.add(lease)
        try:
            await self._complete(wire, lease, scope, receive, told.take)
        finally:
            self._lanes.own.discard(lease)
        return told

    async def close(self) -> None:
        """Close the connections to providers; the meter is its owner's to close."""
        for upstream in set(self._upstreams.values()):
            await upstream.close()

    async def _answer(self, sandbox_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        lane, _, rest = scope["path"].removeprefix("/lane/").partition("/")
        what = (scope["method"], rest) if scope["path"].startswith("/lane/") else None
        wire = by_path(rest) if what is not None and what[0] == "POST" else None
        if wire is not None:
            lease = await self._leased(sandbox_id, lane, scope, send)
            if lease is not None:
                await self._complete(wire, lease, scope, receive, send)
        elif what == ("GET", "v1/models"):
            lease = await self._leased(sandbox_id, lane, scope, send)
            if lease is not None:
                await _send_json(send, 200, _models(lease.target))
        else:
            # Runtimes probe for other servers' paths before a run; they wait for this answer.
            await _refuse(send, 404, "There is nothing here but the model API.", "not_found")

    async def _leased(self, sandbox_id: str, lane: str, scope: Scope, send: Send) -> Lease | None:
        """The lease this request belongs to, or None after having refused it."""
        number = whole(lane, 4)
        lease = self._lanes.get(sandbox_id, number) if number is not None else None
        if lease is None:
            said = "This model call belongs to no run: it came in on no lane."
            if number is not None:
                said = f"This model call belongs to no run: lane {lane} is not in use."
            await _refuse(send, 400, said, "no_run")
            return None
        stamp = _header(scope["headers"], b"x-logos-run")
        if not lease.accepts(stamp):
            logger.warning("refused a model call of run %s on lane %s of run %s", stamp, lane, lease.run_id)
            await _refuse(send, 409, "This model call belongs to another run than its lane.", "wrong_run")
            return None
        return lease

    async def _complete(self, wire: Wire, lease: Lease, scope: Scope, receive: Receive, send: Send) -> None:
        lease.calls += 1
        lease.stamped_calls += bool(_header(scope["headers"], b"x-logos-run"))
        if lease.refusal is not None:
            refused = lease.refusal
            await _refuse(send, 402, refused.message, refused.reason, action=refused.action, wire=wire)
            return
        if self._halts is not None and await self._halts.refusal(lease.agent_id, (lease.person_id,)):
            await _refuse(send, HALTED.status, HALTED.sentence, HALTED.code, action=HALTED.action, wire=wire)
            return
        try:
            body = await _read_body(receive, self._max_body, _header(scope["headers"], b"content-length"))
        except _TooLarge:
            said = f"The request is larger than {self._max_body // (1024 * 1024)} MB."
            await _refuse(send, 413, said, "request_too_large", close=True, wire=wire)
            return
        if body is None:
            return
        targets = (lease.target, *lease.target.fallbacks)
        for target in targets:
            try:
                if await self._ask(wire, lease, target, body, scope, receive, send, is_last=target is targets[-1]):
                    return
            except Invalid as error:
                await _refuse(send, 400, error.message, "invalid_request", wire=wire)
                return

    async def _ask(
        self,
        wire: Wire,
        lease: Lease,
        target: RouteTarget,
        body: bytes,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        is_last: bool,
    ) -> bool:
        """Ask one provider; whether the runtime has its answer. Raises Invalid for a request nobody could take."""
        began = asyncio.get_running_loop().time()
        upstream = self._upstreams.get(target.kind)
        if upstream is None:
            raise Invalid(f"Logos does not know providers of the kind “{target.kind}”.")
        if of_kind(target.kind) is not wire:
            raise Invalid(f"This run's model is asked by {of_kind(target.kind).title}, not by {wire.title}.")
        request = wire.prepare(body, target.model, scope["headers"])
        require_plain(request.document)
        if (closed := self._breaker.refusal(target)) is not None:
            self._book(lease, not_made(f"infer_{ulid()}", lease, target, request.streaming, closed))
            if is_last or not is_for_another(closed):
                await _refuse(send, closed.status, closed.sentence, closed.code, action=closed.action, wire=wire)
                return True
            return False
        call_id, hold = f"infer_{ulid()}", None
        if lease.purse is not None:
            try:
                hold = await lease.purse.open(order_of(call_id, target, request))
            except LogosError as error:
                self._breaker.note(target, Failure(Code.CANCELLED, "", "", 0))  # nobody was asked
                if (other := await lease.purse.stand_in(error, target)) is not None:
                    return await self._ask(wire, lease, other, body, scope, receive, send, is_last=True)
                failure = refused(error)
                self._book(lease, not_made(call_id, lease, target, request.streaming, failure))
                await _refuse(send, failure.status, failure.sentence, failure.code, action=failure.action, wire=wire)
                return True
        tap = lease.tap.request(request.document, wire)
        call = Call(call_id, lease, target, request, wire, tap, began, lease.is_draining, hold=hold)
        lease.open_calls += 1
        try:
            return await carry(call, upstream, receive, send, is_last=is_last)
        finally:
            lease.open_calls -= 1
            self._breaker.note(target, call.failure)
            if hold is not None:
                hold.settle(bill(call))
            self._book(lease, record_of(call))

    def _book(self, lease: Lease, record: CallRecord) -> None:
        self._meter.add(record)
        try:
            lease.sink.call_finished(record)
        except Exception:
            logger.exception("run %s did not take the record of a model call", record.run_id)


class _TooLarge(Exception):
    pass


async def _read_body(receive: Receive, limit: int, announced: str) -> bytes | None:
    """The request's body, or None if the caller left meanwhile. Raises _TooLarge."""
    if (whole(announced, 15) or 0) > limit:
        raise _TooLarge
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        part = bytes(message.get("body", b""))
        size += len(part)
        if size > limit:
            raise _TooLarge
        parts.append(part)
        if not message.get("more_body"):
            return part if len(parts) == 1 else b"".join(parts)


def _models(target: RouteTarget) -> dict[str, Any]:
    model: dict[str, Any] = {"id": target.model, "object": "model", "created": 0, "owned_by": "logos"}
    if target.context_length is not None:
        model["context_length"] = target.context_length
    return {"object": "list", "data": [model]}


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    for key, value in headers:
        if key == name:
            return value.decode("latin-1")
    return ""


async def _refuse(
    send: Send, status: int, sentence: str, code: str, *, action: str = "", close: bool = False, wire: Wire = OPENAI
) -> None:
    await _send(send, status, wire.error(sentence, code, status, action), close=close)


async def _send_json(send: Send, status: int, document: dict[str, Any]) -> None:
    await _send(send, status, json.dumps(document).encode())


async def _send(send: Send, status: int, body: bytes, *, close: bool = False) -> None:
    headers = [_JSON, (b"content-length", b"%d" % len(body))]
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
