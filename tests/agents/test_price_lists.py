"""Prices from a file: three shapes, nothing guessed, shown before they are applied, kept in the history."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from agents import price_lists, routes
from agents.errors import Invalid
from agents.models import ModelRoute, Provider, User

pytestmark = pytest.mark.django_db

LITELLM = {
    "sample_spec": {"input_cost_per_token": 0, "output_cost_per_token": 0},
    "lab/large": {"input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05, "litellm_provider": "lab"},
    "small": {"input_cost_per_token": "0.00000015", "output_cost_per_token": 6e-07},
    "dall-e": {"output_cost_per_image": 0.04},
}


@pytest.fixture
def large(ada: User) -> ModelRoute:
    provider = Provider.objects.create(name="Lab", kind="openai-compatible", base_url="https://lab.example/v1")
    return routes.add_route(provider, "large", ada)


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(LITELLM).encode(),
        b'[{"model": "lab/large", "input": 3, "output": "15"}, {"model": "small", "input": 0.15, "output": 0.6}]',
        b"model,input,output,currency\nlab/large,3,15,USD\nsmall,0.15,0.6,\n",
        b"\xef\xbb\xbfprices:\n- model: lab/large\n  input: 3\n  output: 15\n- model: small\n  input: 0.15\n  output: 0.6\n",
    ],
)
def test_every_shape_says_the_same(data: bytes) -> None:
    found = price_lists.read(data)

    assert {name: (each.input, each.output) for name, each in found.items()} == {
        "lab/large": (Decimal(3), Decimal(15)),
        "small": (Decimal("0.15"), Decimal("0.6")),
    }


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'[{"model": "a", "input": -1, "output": 1}]', "is no price"),
        (b'[{"model": "a", "input": NaN, "output": 1}]', "is no price"),
        (b'[{"model": "a", "input": Infinity, "output": 1}]', "is no price"),
        (b'[{"model": "a", "input": "one", "output": 1}]', "is no price"),
        (b'[{"model": "a", "input": 1e30, "output": 1}]', "no price"),
        (b'[{"model": "a", "input": 1, "output": 1, "currency": "EUR"}]', "only USD is known"),
        (b"[]", "holds no prices"),
        (b"{", "neither JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 100_000, "neither JSON"),
        (b"a: !!python/object/apply:os.system [id]", "holds no prices"),
    ],
)
def test_what_is_no_price_refuses_the_whole_file(data: bytes, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        price_lists.read(data)


def test_what_differs_is_applied_once_and_kept_in_the_history(ada: User, large: ModelRoute) -> None:
    prices, before = price_lists.read(json.dumps(LITELLM).encode()), large.history.count()

    assert [(each.route, each.is_news) for each in price_lists.changes(ada, prices)] == [(large, True)]
    assert len(price_lists.apply(ada, prices)) == 1
    assert price_lists.apply(ada, prices) == []
    large.refresh_from_db()
    assert (large.price_input, large.price_output) == (3, 15)
    assert large.history.count() == before + 1


def test_a_name_that_ends_alike_at_two_prices_is_not_guessed(ada: User, large: ModelRoute) -> None:
    prices = price_lists.read(b"model,input,output\na/large,1,1\nb/large,2,2\n")

    assert price_lists.changes(ada, prices) == []


def test_nobody_changes_what_they_may_not_edit(alice: User, large: ModelRoute) -> None:
    assert price_lists.apply(alice, price_lists.read(json.dumps(LITELLM).encode())) == []


def test_the_command_shows_first(ada: User, large: ModelRoute, tmp_path: Path, run_command: Callable[..., str]) -> None:
    file = tmp_path / "prices.json"
    file.write_text(json.dumps(LITELLM))

    assert "large" in run_command("prices", "import", str(file))
    large.refresh_from_db()
    assert large.price_input is None
    run_command("prices", "import", str(file), "--apply")
    large.refresh_from_db()
    assert large.price_input == 3
    with pytest.raises(Exception, match="cannot be read"):
        run_command("prices", "import", str(tmp_path / "nothing"))
