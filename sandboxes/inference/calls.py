"""The values that cross the inference router's border: where a call goes, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class RouteTarget:
    """Where calls of one run go. Built from a ModelRoute row when the run starts; holds the opened key,
    so it never leaves this process and its repr hides it.

    Prices are per million tokens; None means unknown, which is not the same as free.
    ``options`` are a provider kind's own (the rehearsal model has ``delay_s``)."""

    route_id: str
    kind: str  # a ProviderKind: "rehearsal" | "openai-compatible" | "anthropic"
    model: str
    base_url: str = ""
    api_key: str = ""
    context_length: int | None = None
    price_input: Decimal | None = None
    price_output: Decimal | None = None
    price_cached: Decimal | None = None  # of input read from the provider's cache; None: as any other input
    first_byte_timeout_s: float = 120.0
    idle_timeout_s: float = 90.0
    options: tuple[tuple[str, Any], ...] = ()
    fallbacks: tuple[RouteTarget, ...] = ()  # asked in this order when the provider fails; they have none themselves

    def __repr__(self) -> str:
        return f"RouteTarget({self.route_id!r}, {self.kind!r}, {self.model!r}, {self.base_url!r})"


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One finished model call. Times in milliseconds; a token count the provider did not tell is None."""

    id: str
    run_id: str
    sandbox_id: str
    route_id: str
    model: str
    status: int  # HTTP status given to the runtime; 499 when the runtime left first
    error_code: str = ""  # agents.errors.Code value, "" when it went well
    error_message: str = ""
    streamed: bool = True
    late: bool = False  # arrived while the lane was draining, after the run had ended
    ttft_ms: float | None = None
    duration_ms: float = 0.0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: Decimal | None = None
    error_action: str = ""  # the way forward, where it is known better than from the code
    is_estimate: bool = False  # the cost was counted as the answer passed; the provider did not say


class CallSink(Protocol):
    """What the router tells about one run while its calls pass through. Implemented by ``runs``.

    Called on the engine's event loop, synchronously, BEFORE the bytes are forwarded to the runtime; must
    return at once. ``conversation`` is "" for the run's own conversation and a stable key for a
    sub-agent's (delegation).
    """

    def reasoning(self, text: str, *, conversation: str) -> None: ...
    def tool_proposed(self, call_id: str, name: str, *, conversation: str) -> None: ...
    def tool_requested(self, call_id: str, name: str, args: dict[str, Any], *, conversation: str) -> None: ...
    def tool_result(self, call_id: str, name: str, result: str, *, conversation: str) -> None: ...
    def call_finished(self, record: CallRecord) -> None: ...
