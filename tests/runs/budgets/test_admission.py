"""Over budget is said before work starts: what, by how much, until when; and a local model may stand in."""

from __future__ import annotations

from decimal import Decimal

import pytest

from agents import routes
from agents.errors import LogosError
from agents.models import Agent, ModelRoute, Provider, User
from runs import dispatch, events
from runs.models import Budget, Charge, Conversation, Message, Run
from runs.timeline import Timeline
from tests.api_client import Program
from tests.runs.budgets.conftest import budget, one, reserve, settle

pytestmark = pytest.mark.django_db


@pytest.fixture
def priced(atlas: Agent) -> ModelRoute:
    provider = Provider.objects.create(name="Lab", kind="openai-compatible", base_url="https://lab.example/v1")
    route = routes.add_route(provider, "large", None)
    route.price_input = route.price_output = Decimal(1)
    route.save()
    atlas.route = route
    atlas.save()
    return route


def spend(agent: Agent, person: User, tokens: int) -> None:
    from runs.budgets.limits import Spender

    who = Spender("run_0", "conv_0", agent.pk, person.pk)
    one(reserve(who, tokens, call="infer_0"))
    one(settle(who, "infer_0", tokens))


def test_a_message_over_budget_is_refused_before_anything_is_written(
    alice: User, atlas: Agent, priced: ModelRoute
) -> None:
    spend(atlas, alice, 2_000_000)
    budget(2_000_000, scope="agent", agent=atlas)

    with pytest.raises(LogosError) as refusal:
        dispatch.start(alice, "Hello", agent=atlas)

    assert refusal.value.reason == "budget_exceeded"
    assert refusal.value.message == "The budget of atlas is used up: $2.00 of $2.00 in the last 24 hours."
    assert "There is room again from" in refusal.value.action
    assert (Run.objects.count(), Message.objects.count(), Conversation.objects.count()) == (0, 0, 0)


def test_a_program_is_told_with_a_status_of_its_own(alice: User, atlas: Agent, priced: ModelRoute) -> None:
    spend(atlas, alice, 100)
    budget(100, scope="person", person=alice, window="month")
    answer = Program(alice).post("conversations", {"agent_id": atlas.pk, "text": "Hello"}, 402)

    assert answer["error"]["reason"] == "budget_exceeded"
    assert "this month" in answer["error"]["message"]


def test_a_model_that_costs_nothing_answers_whatever_was_spent(alice: User, atlas: Agent) -> None:
    budget(0)

    assert dispatch.start(alice, "Hello", agent=atlas).run.pk


def test_a_model_without_a_price_is_refused_where_prices_must_be_known(
    alice: User, atlas: Agent, priced: ModelRoute
) -> None:
    priced.price_output = None
    priced.save()
    atlas.refresh_from_db()
    row = budget(1_000_000)

    with pytest.raises(LogosError, match="The price of large is unknown"):
        dispatch.start(alice, "Hello", agent=atlas)
    Budget.objects.filter(pk=row.pk).update(unknown_price="at_least")
    assert dispatch.start(alice, "Hello", agent=atlas).run.pk


def test_a_local_model_stands_in_and_the_chat_says_so(
    alice: User, atlas: Agent, priced: ModelRoute, route: ModelRoute
) -> None:
    spend(atlas, alice, 100)
    budget(100, scope="agent", agent=atlas, on_limit="fallback", fallback=route)

    run = dispatch.start(alice, "Hello", agent=atlas).run

    assert run.stamp["model"]["route_id"] == route.pk
    said = [item.sentence for item in Timeline(events.replay(run.pk)).items]  # type: ignore[attr-defined]
    assert len(said) == 1
    assert "The budget of atlas is used up" in said[0]
    assert "rehearsal-1 answers until" in said[0]
    assert events.verify(run) == ""


def test_the_agents_own_model_is_back_by_itself(
    alice: User, atlas: Agent, priced: ModelRoute, route: ModelRoute
) -> None:
    spend(atlas, alice, 100)
    budget(100, scope="agent", agent=atlas, on_limit="fallback", fallback=route)
    Charge.objects.update(opened_at="2026-01-01T00:00:00Z")
    Budget.objects.update(amount=1)

    assert dispatch.start(alice, "Hello", agent=atlas).run.stamp["model"]["route_id"] == priced.pk


def test_only_what_costs_nothing_may_stand_in(alice: User, atlas: Agent, priced: ModelRoute) -> None:
    spend(atlas, alice, 100)
    other = routes.add_route(priced.provider, "small", None)
    ModelRoute.objects.filter(pk=other.pk).update(price_input=Decimal("0.1"), price_output=Decimal(0))
    budget(100, scope="agent", agent=atlas, on_limit="fallback", fallback=other)

    with pytest.raises(LogosError, match="used up"):
        dispatch.start(alice, "Hello", agent=atlas)
