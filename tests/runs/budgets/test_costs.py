"""What was spent, by whom it may be known, and what it would have cost with another model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from agents import routes
from agents.errors import Invalid
from agents.models import Agent, ModelRoute, Provider, User
from runs.budgets.costs import costs
from runs.budgets.limits import Spender
from tests.api_client import Program
from tests.runs.budgets.conftest import one, reserve, settle

pytestmark = pytest.mark.django_db


@pytest.fixture
def spending(spender: Spender, bob: User) -> Spender:
    """Alice spent $0.30 and Bob $0.10 with Alice's agent; a call of Bob's has no price."""
    for number, (who, tokens) in enumerate([(spender.person_id, 300_000), (bob.pk, 100_000), (bob.pk, None)]):
        each = replace(spender, person_id=who)
        one(reserve(each, 1, call=f"infer_{number}", **({} if tokens else {"prices": None})))
        one(settle(each, f"infer_{number}", tokens, input_tokens=1_000))
    return spender


@pytest.fixture
def cheap(ada: User) -> ModelRoute:
    provider = Provider.objects.create(name="Lab", kind="openai-compatible", base_url="https://lab.example/v1")
    route = routes.add_route(provider, "cheap", ada)
    route.price_input, route.price_output = Decimal(0), Decimal("0.1")
    route.save()
    return route


def test_sums_are_by_what_one_asks(spending: Spender, ada: User) -> None:
    by_person = costs(ada, "person")

    assert [(line.name, line.amount, line.is_at_least) for line in by_person.lines] == [
        ("alice", Decimal("0.3"), False),
        ("bob", Decimal("0.1"), True),
    ]
    assert (by_person.total.calls, by_person.total.amount, by_person.total.input_tokens) == (3, Decimal("0.4"), 3_000)
    assert [line.name for line in costs(ada, "agent").lines] == ["atlas"]
    assert [line.calls for line in costs(ada, "model").lines] == [3]
    assert len(costs(ada, "day").lines) == 1


def test_the_same_calls_with_another_model(spending: Spender, ada: User, cheap: ModelRoute) -> None:
    found = costs(ada, "person", on=cheap)

    assert [line.instead for line in found.lines] == [Decimal("0.03"), Decimal("0.01")]
    assert found.total.instead == Decimal("0.04")
    cheap.price_input = None
    with pytest.raises(Invalid, match="unknown"):
        costs(ada, "person", on=cheap)


def test_one_knows_ones_own_and_what_ones_agents_cost_but_not_who_asked(
    spending: Spender, alice: User, bob: User, mallory: User
) -> None:
    assert costs(alice, "agent").total.amount == Decimal("0.4")
    assert [line.name for line in costs(alice, "person").lines] == ["alice"]
    assert costs(bob, "agent").total.amount == Decimal("0.1")
    assert costs(mallory, "agent").total.calls == 0


def test_every_door_tells_the_same(
    spending: Spender, ada: User, cheap: ModelRoute, browser: Callable[..., Client], run_command: Callable[..., str]
) -> None:
    told = Program(ada).get(f"costs?by=person&on={cheap.pk}")

    assert (told["total"]["amount"], told["total"]["instead"]) == ("0.4", "0.04")
    page = browser(ada).get("/costs/", {"by": "person", "on": cheap.pk, "days": "7"}).content.decode()
    assert "at least $0.40" in page
    assert "$0.04" in page
    assert "at least $0.40" in run_command("costs", "--by", "person", "--on", "cheap")
    assert browser(ada).get("/costs/", {"by": "nobody", "days": "x", "on": "route_x"}).status_code == 200


@pytest.mark.parametrize("query", ["by=nothing", "days=0", "days=99999", "days=x"])
def test_what_cannot_be_told_is_refused(ada: User, query: str) -> None:
    assert Program(ada)("GET", f"costs?{query}").status_code in (400, 422)


def test_a_page_costs_the_same_however_much_was_spent(
    spender: Spender, ada: User, browser: Callable[..., Client], django_assert_max_num_queries: Any, atlas: Agent
) -> None:
    for number in range(30):
        one(reserve(replace(spender, run_id=f"run_{number}"), 1))
    page = browser(ada)
    page.get("/costs/")
    with django_assert_max_num_queries(12):
        page.get("/costs/")
