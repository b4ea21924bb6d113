"""Prices of models from a file: read, and matched with the routes there are. ``agents.pricing`` applies them.

Three shapes are understood: the JSON that LiteLLM publishes (model → ``input_cost_per_token``, ``output_cost_per_token``,
dollars a token), our own (``[{"model", "input", "output", "cached", "currency"}]``, dollars a million tokens), and the same as CSV
or YAML. Nothing is guessed: another currency than USD, a negative price, NaN or a price nobody pays refuse the file.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import yaml

from agents import permissions
from agents.errors import Invalid
from agents.models import ModelRoute, User
from agents.routes import MAX_PRICE

MAX_BYTES = 20 * 1024 * 1024
MAX_ROWS = 50_000
MAX_NAME = 200  # as of a model's route
_MILLION = Decimal(1_000_000)
_STEP = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens of a model cost, in dollars."""

    model: str
    input: Decimal
    output: Decimal
    cached: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What a file would change of one route."""

    route: ModelRoute
    price: Price

    @property
    def before(self) -> tuple[Decimal | None, ...]:
        """Input, output, cached."""
        return self.route.price_input, self.route.price_output, self.route.price_cached

    @property
    def after(self) -> tuple[Decimal | None, ...]:
        return self.price.input, self.price.output, self.price.cached

    @property
    def is_news(self) -> bool:
        return self.before != self.after


def read(data: bytes) -> dict[str, Price]:
    """The prices of a file by model. Raises Invalid, naming the row."""
    if len(data) > MAX_BYTES:
        raise Invalid(f"The file is larger than {MAX_BYTES >> 20} MB.", field="file", reason="too_large")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid("The file is not UTF-8.", field="file") from error
    rows = _rows(text)
    if len(rows) > MAX_ROWS:
        raise Invalid(f"The file names more than {MAX_ROWS:,} models.", field="file", reason="too_large")
    found = {price.model: price for name, row in rows if (price := _price(name, row)) is not None}
    if not found:
        raise Invalid("The file holds no prices.", field="file", action="Give a JSON, CSV or YAML file of prices.")
    return found


def _rows(text: str) -> list[tuple[str, dict[str, Any]]]:
    start = text.lstrip()[:1]
    document: Any
    try:
        if start in ("{", "["):
            document = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
        elif "," in text.partition("\n")[0]:
            document = list(csv.DictReader(io.StringIO(text)))
        else:
            document = yaml.load(text, yaml.BaseLoader)  # noqa: S506 (BaseLoader makes texts, lists and mappings only)
    except (ValueError, RecursionError, yaml.YAMLError, csv.Error) as error:
        raise Invalid("The file is neither JSON nor CSV nor YAML.", field="file") from error
    if isinstance(document, dict) and isinstance(document.get("prices"), list):
        said = [value for key, value in document.items() if _is_currency(key)]  # of every price that names none itself
        document = [
            {"currency": said[0], **row} if said and isinstance(row, dict) else row for row in document["prices"]
        ]
    if isinstance(document, dict):
        return [(name, row) for name, row in document.items() if isinstance(row, dict) and isinstance(name, str)]
    if isinstance(document, list):
        named = [(row.get("model"), row) for row in document if isinstance(row, dict)]
        return [(name, row) for name, row in named if isinstance(name, str)]
    raise Invalid("The file is no list of prices.", field="file")


def _price(name: str, row: dict[str, Any]) -> Price | None:
    """None for what is no model that answers with text: LiteLLM lists pictures, speech and its own specification."""
    if name == "sample_spec" or not name:
        return None
    if len(name) > MAX_NAME or not name.isprintable():
        raise Invalid(f"{name[:40]!r} is no name of a model.", field="file")
    for currency in [value or "USD" for key, value in row.items() if _is_currency(key)]:
        if isinstance(currency, str) and currency.strip().upper() == "USD":
            continue
        word = currency.strip()[:10] if isinstance(currency, str) else "something else"
        raise Invalid(f"{name[:80]}: the price is in {word}, and only USD is known here.", field="file")
    if "input_cost_per_token" in row or "output_cost_per_token" in row:
        parts = [_number(name, row.get(f"{side}_cost_per_token")) for side in ("input", "output")]
        told = [None if part is None else part * _MILLION for part in parts]
        cached = _number(name, row.get("cache_read_input_token_cost"))
        cached = None if cached is None else cached * _MILLION
    else:
        told = [_number(name, row.get(side, row.get(f"price_{side}"))) for side in ("input", "output")]
        cached = _number(name, row.get("cached", row.get("price_cached")))
    if told[0] is None or told[1] is None:
        return None
    if max(told[0], told[1]) > MAX_PRICE:
        raise Invalid(f"{name[:80]}: more than {MAX_PRICE:,} USD a million tokens is no price.", field="file")
    # Nobody charges more for what is read from a cache: a figure that says so is none.
    cached = None if cached is None or cached > told[0] else cached.quantize(_STEP)
    return Price(name, told[0].quantize(_STEP), told[1].quantize(_STEP), cached)


def _is_currency(key: Any) -> bool:
    """However it is written: a currency that is not noticed would be taken for dollars."""
    return isinstance(key, str) and key.strip().casefold() == "currency"


def _number(name: str, value: Any) -> Decimal | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):  # every reader here gives figures as texts; the rest is no figure
        raise Invalid(f"{name[:80]}: that is no price.", field="file")
    try:
        number = Decimal(value.strip())
    except InvalidOperation as error:
        raise Invalid(f"{name[:80]}: {str(value)[:40]} is no price.", field="file") from error
    if not number.is_finite() or number < 0 or number > MAX_PRICE * _MILLION:
        raise Invalid(f"{name[:80]}: {str(value)[:40]} is no price.", field="file")
    return number


def changes(user: User, prices: dict[str, Price]) -> list[Change]:
    """What the file says of the routes this person may edit: by the model's whole name, else by what follows the last
    slash of the file's, where that is one model only."""
    by_end: dict[str, list[Price]] = {}
    for price in prices.values():
        by_end.setdefault(price.model.rpartition("/")[2], []).append(price)
    found = []
    rows = ModelRoute.objects.select_related("provider").order_by("provider__name", "model")
    for route in permissions.visible(user, rows, "route.edit"):
        named = prices.get(route.model)
        ends = by_end.get(route.model.rpartition("/")[2], [])
        if named is None and len({(each.input, each.output, each.cached) for each in ends}) == 1:
            named = ends[0]
        if named is not None and not route.is_rehearsal:
            found.append(Change(route, named))
    return found
