"""What a call used, as the provider told it, and what that cost by the route's prices."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sandboxes.inference.calls import RouteTarget

_MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one call; None where the provider did not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    surcharge_tokens: Decimal = Decimal(0)  # input tokens' worth that writing to a provider's cache costs on top


UNKNOWN = Usage()
_THOUGHT = "reasoning_tokens"


def read_usage(told: Any) -> Usage:
    """The ``usage`` object of an OpenAI-compatible answer, DeepSeek's name for cached tokens included.

    Thoughts are billed as output. OpenAI counts them among the completion's tokens; some others beside them, and then
    the total tells: where it is the sum of all three, thoughts are added."""
    if not isinstance(told, dict):
        return UNKNOWN
    prompt, completion = told.get("prompt_tokens_details"), told.get("completion_tokens_details")
    cached = _count(prompt, "cached_tokens")
    sent, made, thought = _count(told, "prompt_tokens"), _count(told, "completion_tokens"), _count(completion, _THOUGHT)
    if sent is not None and made is not None and thought and _count(told, "total_tokens") == sent + made + thought:
        made += thought
    return Usage(sent, made, cached if cached is not None else _count(told, "prompt_cache_hit_tokens"), thought)


def read_messages_usage(told: dict[str, Any]) -> Usage:
    """The ``usage`` of an Anthropic answer. Its ``input_tokens`` leave out what came from or went to the cache.

    Writing to the cache costs 1.25 times the price of input for five minutes, twice for an hour."""
    counts = [_count(told, name) for name in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")]
    plain, written, read = counts
    long = _count(told.get("cache_creation"), "ephemeral_1h_input_tokens") or 0
    short = max((written or 0) - long, 0)
    return Usage(
        None if plain is None else sum(count or 0 for count in counts),
        _count(told, "output_tokens"),
        read,
        None,
        Decimal(short) / 4 + long,
    )


def cost_of(usage: Usage, target: RouteTarget) -> Decimal | None:
    """In the currency of the prices; None when a price or a count is unknown, which is not the same as free.

    Where nobody told what cached tokens cost they are charged like any other input: an upper bound."""
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    if target.price_input is None or target.price_output is None:
        return None
    cached = min(usage.cached_tokens or 0, usage.input_tokens) if target.price_cached is not None else 0
    cheaper = min(target.price_cached or Decimal(0), target.price_input)
    return (
        (usage.input_tokens - cached + usage.surcharge_tokens) * target.price_input
        + cached * cheaper
        + usage.output_tokens * target.price_output
    ) / _MILLION


def _count(told: Any, name: str) -> int | None:
    value = told.get(name) if isinstance(told, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
