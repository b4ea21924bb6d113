"""What a call used, by the provider's words, and what that costs: cached input, thoughts beside the answer."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sandboxes.inference.calls import RouteTarget
from sandboxes.inference.usage import Usage, cost_of, read_messages_usage, read_usage


def target(cached: str | None) -> RouteTarget:
    price = None if cached is None else Decimal(cached)
    return RouteTarget(
        "r", "openai-compatible", "m", price_input=Decimal(4), price_output=Decimal(10), price_cached=price
    )


@pytest.mark.parametrize(
    ("told", "output"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 30, "total_tokens": 40}, 30),
        # As OpenAI tells them: among the completion's.
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 30,
                "total_tokens": 40,
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            30,
        ),
        # Beside them: the total tells.
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 30,
                "total_tokens": 60,
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            50,
        ),
        ({"prompt_tokens": 10, "completion_tokens": 30, "completion_tokens_details": {"reasoning_tokens": 20}}, 30),
    ],
)
def test_thoughts_are_output_once(told: dict[str, Any], output: int) -> None:
    assert read_usage(told).output_tokens == output


@pytest.mark.parametrize(
    ("cached", "cost"),
    [
        (None, "0.000500"),  # 100 × 4 + 10 × 10 millionths
        ("1", "0.000380"),  # 60 × 4 + 40 × 1 + 100
        ("0", "0.000340"),
        ("9", "0.000500"),  # never more than what others cost
    ],
)
def test_what_was_cached_costs_its_own_price(cached: str | None, cost: str) -> None:
    assert cost_of(Usage(100, 10, 40), target(cached)) == Decimal(cost)


def test_more_cached_than_sent_is_never_a_credit() -> None:
    assert cost_of(Usage(100, 0, 1_000_000), target("1")) == Decimal("0.0001")


def test_what_messages_read_from_the_cache_is_cheaper_and_what_they_write_dearer() -> None:
    told = {"input_tokens": 10, "output_tokens": 0, "cache_read_input_tokens": 80, "cache_creation_input_tokens": 20}

    assert cost_of(read_messages_usage(told), target("1")) == Decimal("0.00022")  # 30 × 4 + 5 × 4 + 80 × 1
