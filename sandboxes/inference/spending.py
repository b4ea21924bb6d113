"""What a model call asks before it spends, and the bill when it is over. Implemented by ``runs``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol

from agents.errors import Code, LogosError
from sandboxes.inference.calls import RouteTarget
from sandboxes.inference.estimate import DEFAULT_CAP, output_cap, prompt_tokens
from sandboxes.inference.failures import Failure
from sandboxes.inference.requests import ModelRequest
from sandboxes.inference.usage import Usage, cost_of

# When less than this is covered beyond what has passed, more is asked for while the answer goes on.
LOW = 256


@dataclass(frozen=True, slots=True)
class Order:
    """A call about to be made: what it will use at most of input, and the cap on its output."""

    call_id: str
    route_id: str
    model: str
    price_input: Decimal | None
    price_output: Decimal | None
    input_tokens: int
    output_cap: int
    streaming: bool


@dataclass(frozen=True, slots=True)
class Bill:
    """What a call used. ``basis`` is "usage" (the provider told), "counted" (we counted) or "nothing"."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost: Decimal | None
    basis: str


class Hold(Protocol):
    """What is reserved for one call. Nothing may pass that ``covered`` does not cover. ``cut`` tells that an answer was
    ended in the middle, and returns whether another model may go on."""

    covered: int

    async def cover(self, output_tokens: int) -> None: ...
    def look_ahead(self, output_tokens: int) -> None: ...
    def cut(self, error: LogosError) -> bool: ...
    def settle(self, bill: Bill) -> None: ...


class Purse(Protocol):
    """What one run may spend. ``open`` raises LogosError when a call may not be made; ``stand_in`` says who may answer
    for nothing in the place of ``target`` then, asked in the same format; None: nobody."""

    async def open(self, order: Order) -> Hold: ...
    async def stand_in(self, refusal: LogosError, target: RouteTarget) -> RouteTarget | None: ...


def order_of(call_id: str, target: RouteTarget, request: ModelRequest) -> Order:
    """What a request will use at most."""
    most = prompt_tokens(request.payload, request.document)[1]
    if target.context_length is not None:
        most = min(most, target.context_length)
    return Order(
        call_id,
        target.route_id,
        target.model,
        target.price_input,
        target.price_output,
        most,
        output_cap(request.document) or DEFAULT_CAP,
        request.streaming,
    )


def bill_of(
    usage: Usage, target: RouteTarget, request: ModelRequest, counted: int, *, is_whole: bool, was_asked: bool
) -> Bill:
    """``is_whole``: the answer came to its end. ``was_asked``: the provider had the request and did not refuse it."""
    if is_whole and usage.input_tokens is not None and usage.output_tokens is not None:
        return Bill(usage.input_tokens, usage.output_tokens, usage.cached_tokens or 0, cost_of(usage, target), "usage")
    if not was_asked:
        return Bill(0, 0, 0, Decimal(0), "nothing")
    told = usage.input_tokens
    input_tokens = prompt_tokens(request.payload, request.document)[0] if told is None else told
    # What a provider told in the middle is what it had made by then.
    output_tokens = max(usage.output_tokens or 0, counted)
    guess = Usage(input_tokens, output_tokens, usage.cached_tokens, None, usage.surcharge_tokens)
    return Bill(input_tokens, output_tokens, usage.cached_tokens or 0, cost_of(guess, target), "counted")


def refused(error: LogosError) -> Failure:
    """A budget's refusal as a failure of the call: of the 400 class, so that the runtime does not repeat it."""
    return Failure(Code.BUDGET_EXCEEDED, error.message, error.action, 402)


# How a runtime knows a connection that broke: it asks again at once, and a tool call it was reading is asked for anew.
_BROKE = "Connection closed: "


def parting(failure: Failure, *, goes_on: bool) -> Failure:
    """What the runtime is told at the end of an answer that was cut: when another model goes on, that it may ask again."""
    return replace(failure, sentence=_BROKE + failure.sentence) if goes_on else failure
