"""Money as whole numbers: billionths of a dollar, which every database adds without losing any."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

NANO = 1_000_000_000
# Of a price per million tokens, what one token costs in billionths.
_PER_TOKEN = Decimal(1000)

Prices = tuple[Decimal, Decimal]  # of a million input and output tokens


def nano(amount: Decimal) -> int:
    """A sum in dollars, rounded up: a part of a billionth is charged, never lost."""
    return int((amount * NANO).to_integral_value(ROUND_CEILING))


def usd(amount: int) -> Decimal:
    """The same in dollars."""
    return Decimal(amount) / NANO


def cost(input_tokens: int, output_tokens: int, prices: Prices) -> int:
    """What so many tokens cost, rounded up."""
    total = (input_tokens * prices[0] + output_tokens * prices[1]) * _PER_TOKEN
    return int(total.to_integral_value(ROUND_CEILING))
