"""Carry one model call: to the provider and back, tapped, timed, and with one record at the end."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from agents.errors import Code, LogosError
from agents.numbers import whole
from sandboxes.inference.calls import CallRecord, RouteTarget
from sandboxes.inference.estimate import Scale
from sandboxes.inference.failures import (
    CUT_OFF,
    HALTED,
    TIMED_OUT,
    WRONG_ADDRESS,
    Failure,
    ProviderError,
    classify,
    looks_like_html,
    web_page,
)
from sandboxes.inference.lanes import Lease
from sandboxes.inference.patience import Cause, GaveUp, Patience
from sandboxes.inference.requests import ModelRequest
from sandboxes.inference.spending import LOW, Bill, Hold, bill_of, parting, refused
from sandboxes.inference.upstreams import Answer, Upstream
from sandboxes.inference.usage import cost_of
from sandboxes.inference.wires import Tap, Wire

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_ANSWER = 64 * 1024 * 1024  # of a non-streaming answer, which is read whole
_MAX_ERROR = 256 * 1024
_CLIENT_LEFT = 499

# Of a provider's headers the runtime gets these and no other: no cookies, no credentials, no lengths.
_PASSED_ON = ("retry-after", "x-request-id", "request-id", "openai-processing-ms")
_SSE = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
_JSON = (b"content-type", b"application/json")
# One event of a stream, with the blank line that ends it; or what is left.
_EVENT = re.compile(rb"(?s).+?(?:\r?\n\r?\n|\Z)")


@dataclass(slots=True)
class Call:
    """One call on its way."""

    id: str
    lease: Lease
    target: RouteTarget  # the lease's when the call began; a lease may change its target meanwhile
    request: ModelRequest
    wire: Wire
    tap: Tap
    began: float  # event loop time
    late: bool
    first_token_at: float | None = None
    status: int = 0  # of the answer begun towards the runtime; 0 before that
    failure: Failure | None = None
    wire_status: int = 0  # overrides status in the record: 499
    hold: Hold | None = None  # what is reserved for it
    scale: Scale = field(default_factory=Scale)
    was_refused: bool = False  # by the provider, which then bills nothing


# Another provider may do better at these; at a request that is wrong or too long none will.
_ANOTHER_MAY_HELP = frozenset(
    {
        Code.PROVIDER_UNREACHABLE,
        Code.PROVIDER_TIMEOUT,
        Code.PROVIDER_RATE_LIMIT,
        Code.PROVIDER_BILLING,
        Code.PROVIDER_AUTH,
        Code.MODEL_NOT_FOUND,
    }
)


def is_for_another(failure: Failure) -> bool:
    """Whether it is worth asking another provider the same."""
    return failure.code in _ANOTHER_MAY_HELP or (failure.code == Code.UNKNOWN and failure.status >= 500)


async def carry(call: Call, upstream: Upstream, receive: Receive, send: Send, *, is_last: bool = True) -> bool:
    """Answer the runtime; ``record_of`` tells afterwards what came of it, also if this was cancelled.

    False when nothing was answered because another provider is to be asked (never if ``is_last``). An answer that
    breaks off after it has begun is left unfinished, which the server turns into a closed connection: the runtime
    must not take it for whole."""
    target = call.target
    patience = Patience(target.first_byte_timeout_s, target.idle_timeout_s)
    try:
        with patience:
            call.lease.waiting.add(patience)
            leaving = asyncio.get_running_loop().create_task(_watch(receive, patience))
            try:
                await _exchange(call, upstream, patience, send)
            finally:
                leaving.cancel()
                call.lease.waiting.discard(patience)
        call.lease.timeouts_in_a_row = 0
    except ProviderError as error:
        call.failure = error.failure.without(target.api_key)
        call.was_refused = call.status == 0
        logger.info("model call %s failed: %s %s", call.id, error.reason, error.detail)
    except GaveUp as given_up:
        _note_why(call, given_up.cause)
    except asyncio.CancelledError:
        call.wire_status = _CLIENT_LEFT
        call.failure = Failure(Code.CANCELLED, "Logos stopped before the answer was complete.", "", _CLIENT_LEFT)
        raise
    if call.failure is not None and call.status == 0 and call.wire_status == 0:
        if not is_last and is_for_another(call.failure):
            call.status = call.failure.status
            return False
        await _answer_failure(call, call.failure, send)
    return True


async def _watch(receive: Receive, patience: Patience) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    patience.give_up("left")


async def _exchange(call: Call, upstream: Upstream, patience: Patience, send: Send) -> None:
    answer = await upstream.open(call.target, call.request)
    try:
        if answer.status != 200:
            raise ProviderError(classify(answer.status, await _read_all(answer, _MAX_ERROR), answer.headers))
        first = await answer.read()
        patience.pause()
        _require_promise(answer, first, streaming=call.request.streaming)
        if call.request.streaming:
            await _stream(call, answer, first, patience, send)
        else:
            await _whole(call, answer, first, patience, send)
    finally:
        answer.close()


async def _stream(call: Call, answer: Answer, chunk: bytes, patience: Patience, send: Send) -> None:
    tap, now = call.tap, asyncio.get_running_loop().time
    call.status = 200
    await send({"type": "http.response.start", "status": 200, "headers": [*_SSE, *_passed_on(answer, call.id)]})
    while chunk:
        if not await _pass_on(call, chunk, send):
            return
        if call.first_token_at is None and tap.has_begun:
            call.first_token_at = now()
        patience.wait()
        chunk = await answer.read()
        patience.pause()
    rest = tap.end()
    if tap.error is not None:
        call.failure = call.wire.midway(tap.error).without(call.target.api_key)
    elif not tap.has_finished and not tap.is_done:
        call.failure = replace(CUT_OFF, sentence="The model provider ended its answer early.")
    await send({"type": "http.response.body", "body": rest, "more_body": False})


async def _pass_on(call: Call, chunk: bytes, send: Send) -> bool:
    """Pass these bytes on if the run may spend what they cost; else what it may, and the end of the stream: False."""
    error = None if call.hold is None else await _uncovered(call, call.hold, chunk)
    if error is None:
        # The run hears of it before the runtime does: a tool call is in the timeline before it runs.
        if passed := call.tap.feed(chunk):
            await send({"type": "http.response.body", "body": passed, "more_body": True})
        return True
    events = _EVENT.findall(chunk)
    if len(events) > 1:  # read together, paid for one by one
        for event in events:
            if not await _pass_on(call, event, send):
                return False
        return True
    call.failure = refused(error)
    goes_on = call.hold is not None and call.hold.cut(error)
    # The stream ends in good order, with the reason as its last event.
    last = call.wire.error_event(parting(call.failure, goes_on=goes_on))
    await send({"type": "http.response.body", "body": last, "more_body": False})
    return False


async def _uncovered(call: Call, hold: Hold, chunk: bytes) -> LogosError | None:
    """Why the run may not spend what these bytes cost, or None; nothing of them has passed before that."""
    before = call.scale.mark()
    weight = call.scale.weigh(chunk)
    if weight <= hold.covered:
        if hold.covered - weight < LOW:
            hold.look_ahead(weight)
        return None
    try:
        await hold.cover(weight)
    except LogosError as error:
        call.scale.back_to(before)
        return error
    return None


async def _whole(call: Call, answer: Answer, first: bytes, patience: Patience, send: Send) -> None:
    patience.wait()
    body = await _read_all(answer, MAX_ANSWER, first)
    patience.pause()
    body = call.tap.whole(body)
    if call.tap.broken:
        raise ProviderError(WRONG_ADDRESS)
    call.status = 200
    call.first_token_at = asyncio.get_running_loop().time()
    await _send_whole(200, [_JSON, *_passed_on(answer, call.id)], body, send)


def _require_promise(answer: Answer, first: bytes, *, streaming: bool) -> None:
    """Raise unless the answer is of the kind that was asked for."""
    if looks_like_html(first, answer.headers):
        raise ProviderError(web_page(200))
    start = first.lstrip()[:1]
    if not first:
        raise ProviderError(replace(CUT_OFF, sentence="The model provider sent an empty answer."))
    if streaming and start == b"{":  # JSON where a stream was asked for: an error under a success status, mostly
        failure = classify(502, first, answer.headers)
        raise ProviderError(replace(failure, sentence="The model provider answered without a stream.", status=400))
    # A stream of events begins with a field's name or a comment, whatever type its header claims.
    if start and start not in ((b"d", b"e", b"i", b"r", b":") if streaming else (b"{", b"[")):
        raise ProviderError(WRONG_ADDRESS)


async def _read_all(answer: Answer, limit: int, first: bytes = b"") -> bytes:
    parts, size = [first], len(first)
    while size < limit and (part := await answer.read()):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _note_why(call: Call, cause: Cause) -> None:
    if cause == "left":
        # Some clients hang up as soon as they have seen [DONE]: the call was whole.
        if not call.tap.is_done:
            call.wire_status = _CLIENT_LEFT
            call.failure = Failure(
                Code.CANCELLED, "The agent runtime left before the answer was complete.", "", _CLIENT_LEFT
            )
        return
    if cause == "halted":
        call.failure = HALTED
        return
    lease, limits = call.lease, call.target
    lease.timeouts_in_a_row += 1
    limit_s = limits.first_byte_timeout_s if cause == "first byte" else limits.idle_timeout_s
    what = "did not begin to answer" if cause == "first byte" else "fell silent in the middle of its answer"
    call.failure = replace(
        TIMED_OUT,
        sentence=f"The model provider {what} within {limit_s:g} s.",
        # The runtime repeats a 504. Once is fair; a provider that hangs again would keep a person waiting
        # for minutes, so the second time in a row ends the run.
        status=504 if lease.timeouts_in_a_row == 1 else 400,
    )


async def _answer_failure(call: Call, failure: Failure, send: Send) -> None:
    call.status = failure.status
    headers = [_JSON, (b"x-logos-call", call.id.encode())]
    if whole(failure.retry_after) is not None:
        headers.append((b"retry-after", failure.retry_after.encode()))
    await _send_whole(failure.status, headers, call.wire.failure_body(failure), send)


async def _send_whole(status: int, headers: list[tuple[bytes, bytes]], body: bytes, send: Send) -> None:
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _passed_on(answer: Answer, call_id: str) -> list[tuple[bytes, bytes]]:
    headers = [(b"x-logos-call", call_id.encode())]
    for name in _PASSED_ON:
        value = answer.headers.get(name)
        if value:
            headers.append((name.encode(), value.encode("latin-1", "replace")))
    return headers


def bill(call: Call) -> Bill:
    """What a call that is over used."""
    is_whole = call.failure is None
    return bill_of(
        call.tap.usage, call.target, call.request, call.scale.total, is_whole=is_whole, was_asked=not call.was_refused
    )


def record_of(call: Call) -> CallRecord:
    """The record of a call that is over."""
    lease, target, usage, failure = call.lease, call.target, call.tap.usage, call.failure
    cost, is_estimate = cost_of(usage, target), False
    if call.hold is not None:  # then what did not pass as a whole was counted
        billed = bill(call)
        cost, is_estimate = billed.cost, billed.basis == "counted"
    ttft_ms = None if call.first_token_at is None else (call.first_token_at - call.began) * 1000
    return CallRecord(
        id=call.id,
        run_id=lease.run_id,
        sandbox_id=lease.sandbox_id,
        route_id=target.route_id,
        model=target.model,
        status=call.wire_status or call.status or _CLIENT_LEFT,
        error_code=str(failure.code) if failure else "",
        error_message=failure.message if failure else "",
        streamed=call.request.streaming,
        late=call.late,
        ttft_ms=ttft_ms,
        duration_ms=(asyncio.get_running_loop().time() - call.began) * 1000,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_tokens=usage.cached_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cost=cost,
        error_action=_way_forward(failure),
        is_estimate=is_estimate,
    )


def not_made(call_id: str, lease: Lease, target: RouteTarget, streaming: bool, failure: Failure) -> CallRecord:
    """The record of a call that was refused before anybody was asked."""
    return CallRecord(
        id=call_id,
        run_id=lease.run_id,
        sandbox_id=lease.sandbox_id,
        route_id=target.route_id,
        model=target.model,
        status=failure.status,
        error_code=str(failure.code),
        error_message=failure.message,
        streamed=streaming,
        cost=Decimal(0),
        error_action=_way_forward(failure),
    )


def _way_forward(failure: Failure | None) -> str:
    """A budget's refusal says when there is room again; of all others the code says what can be done."""
    return failure.action if failure is not None and failure.code == Code.BUDGET_EXCEEDED else ""
