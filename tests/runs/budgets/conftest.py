"""A run that spends, and budgets it has to keep to."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from agents.ids import ulid
from agents.models import Agent, User
from runs.budgets.ledger import Answer, Reserve, Settle, post
from runs.budgets.limits import Spender
from runs.models import Budget, Charge

# A dollar buys a million tokens, so that a token is 1,000 billionths.
PRICES = (Decimal(1), Decimal(1))
TOKEN = 1_000
ME = "engine-of-this-test:1:1"


@pytest.fixture
def spender(alice: User, atlas: Agent) -> Spender:
    return Spender("run_1", "conv_1", atlas.pk, alice.pk)


def budget(tokens: int, **fields: Any) -> Budget:
    """Of so many tokens' worth; of this whole Logos unless told otherwise."""
    values = {"scope": "site", "window": "day", "amount": Decimal(tokens) / 1_000_000}
    return Budget.objects.create(**{**values, **fields})


def reserve(spender: Spender, needed: int, *, call: str = "", wanted: int = 0, **more: Any) -> Reserve:
    values: dict[str, Any] = {"route_id": "route_1", "model": "m", "prices": PRICES, "input_tokens": 0}
    return Reserve(call or f"infer_{ulid()}", spender, needed=needed, wanted=max(wanted, needed), **{**values, **more})


def settle(spender: Spender, call: str, tokens: int | None, **more: Any) -> Settle:
    amount = None if tokens is None else tokens * TOKEN
    values: dict[str, Any] = {"input_tokens": 0, "output_tokens": tokens or 0, "cached_tokens": 0, "basis": "usage"}
    return Settle(call, spender, amount, **{**values, **more})


def one(op: Reserve | Settle) -> Answer:
    return post([op], ME)[0]


def spent() -> int:
    """In tokens."""
    return sum(Charge.objects.values_list("amount", flat=True)) // TOKEN
