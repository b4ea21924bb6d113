"""A budget runs out in the middle of an answer: what the real runtime does then, and where the run goes on."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from pytest_django.plugin import DjangoDbBlocker

from agents import routes
from agents.models import Agent, ModelRoute, Provider
from runs.models import Budget, Charge
from tests.journeys.house import House, a_house, until
from tests.journeys.provider import provider_in_thread
from tests.journeys.sound import assert_sound, kinds_of, text_of
from tests.sandboxes.inference import upstream
from tests.sandboxes.inference.upstream import END, TOOLS_END, call, chunk

pytestmark = pytest.mark.runtime

WORDS = 2_000
upstream.STREAMS["long"] = [*(chunk({"content": "word "}) for _ in range(WORDS)), *END]
upstream.STREAMS["long-tool"] = [
    chunk(call(0, "terminal", id="call_a")),
    chunk(call(0, args='{"command": "echo ')),
    *(chunk(call(0, args="word ")) for _ in range(WORDS)),
    chunk(call(0, args='"}')),
    *TOOLS_END,
]
# One giant first event: nothing of the answer passes before the money is gone.
upstream.STREAMS["giant"] = [chunk({"content": "word " * WORDS}), *END]

# A dollar buys a thousand tokens of an answer; prompts cost nothing, so that their length does not matter.
PRICE = Decimal(1_000)
ROOM = Decimal("0.5")


@pytest.fixture(scope="module")
def scripted() -> Iterator[upstream.Provider]:
    with provider_in_thread() as provider:
        yield provider


@pytest.fixture(scope="module")
def house(django_db_blocker: DjangoDbBlocker) -> Iterator[House]:
    with django_db_blocker.unblock(), a_house() as house:
        yield house


@pytest.fixture(autouse=True)
def from_nothing(logos: House) -> None:
    """What a test before this one spent or allowed does not count."""
    Budget.objects.all().delete()
    Charge.objects.all().delete()


def use(logos: House, base_url: str, model: str) -> ModelRoute:
    """From the next message on the agent is answered by this model, which costs something."""
    provider, _ = Provider.objects.get_or_create(name="Lab", kind="openai-compatible", base_url=base_url)
    route = routes.add_route(provider, model, logos.admin)
    route.price_input, route.price_output = Decimal(0), PRICE
    route.save()
    Agent.objects.filter(pk=logos.agent_id).update(route=route)
    return route


def allow(logos: House, **more: Any) -> Budget:
    values = {"scope": "agent", "agent_id": logos.agent_id, "window": "day", "amount": ROOM}
    return Budget.objects.create(**{**values, **more})


def local() -> ModelRoute:
    return ModelRoute.objects.get(provider__kind="rehearsal")


def paid() -> dict[str, Decimal]:
    """What was charged, by model, in dollars."""
    found: dict[str, Decimal] = {}
    for model, amount in Charge.objects.values_list("model", "amount"):
        found[model] = found.get(model, Decimal(0)) + Decimal(amount) / 10**9
    return found


def test_an_answer_that_is_cut_ends_the_run_when_the_budget_says_so(logos: House, scripted: upstream.Provider) -> None:
    use(logos, scripted.base_url, "long")
    allow(logos)
    before = len(scripted.requests)

    run = logos.ask("hello")

    story = assert_sound(run)
    assert (run.status, run.error_code) == ("failed", "budget_exceeded"), run.error_message
    assert "budget of atlas" in run.error_message
    assert "There is room again from" in run.error_action
    assert "budget.cut" in kinds_of(story)
    assert "budget.fallback" not in kinds_of(story)
    assert len(scripted.requests) == before + 1, "the runtime asked again, and nobody was asked for money"
    assert 400 <= text_of(story).count("word") <= 500
    assert Decimal("0.4") < paid()["long"] <= ROOM
    refused = logos.http.post("/api/conversations", json={"agent_id": logos.agent_id, "text": "And now?"})
    assert refused.status_code == 402


@pytest.mark.parametrize("model", ["long", "long-tool", "giant"])
def test_a_run_that_is_cut_goes_on_with_the_local_model_and_says_so(
    logos: House, scripted: upstream.Provider, model: str
) -> None:
    own = use(logos, scripted.base_url, model)
    budget = allow(logos, on_limit="fallback", fallback=local())
    before = len(scripted.requests)

    run = logos.ask("hello")

    story = assert_sound(run)
    assert run.status == "completed", (run.error_code, run.error_message)
    money = [kind for kind in kinds_of(story) if kind in ("budget.cut", "budget.fallback", "budget.back")]
    assert money == ["budget.cut", "budget.fallback"]
    said = next(event.data["text"] for event in story if event.kind == "budget.fallback")
    assert said.startswith("rehearsal-1 answers")
    assert len(scripted.requests) == before + 1
    assert paid()["rehearsal-1"] == 0
    assert paid()[model] <= ROOM
    assert text_of(story).strip()
    if model == "long":
        assert 400 <= text_of(story).count("word") <= 500
        assert "here is the rest" in text_of(story)
    assert not [event for event in story if event.kind == "tool.started" and event.data["tool"] == "terminal"]

    # The next message is the local model's from its beginning where the money is gone, and the own one is back once
    # there is room.
    second = logos.ask("hello again", talk=run.conversation_id)
    assert second.status == "completed"
    assert second.stamp["model"]["model"] == (model if model == "giant" else "rehearsal-1")
    Budget.objects.filter(pk=budget.pk).update(amount=100)
    Agent.objects.filter(pk=logos.agent_id).update(route=own)
    assert logos.ask("and again", talk=run.conversation_id).stamp["model"]["model"] == model
    assert len(scripted.requests) > before + 1


def test_a_run_goes_on_with_its_own_model_as_soon_as_there_is_room(logos: House, scripted: upstream.Provider) -> None:
    use(logos, scripted.base_url, "long")
    allow(logos, on_limit="fallback", fallback=local())
    talk = logos.ask("hello").conversation_id
    Budget.objects.update(amount=100)

    run = logos.ask("hello", talk=talk)

    story = assert_sound(run)
    assert run.status == "completed"
    assert "budget.fallback" not in kinds_of(story)
    assert text_of(story).count("word") >= WORDS


def test_kill_minus_nine_while_the_local_model_stands_in_loses_no_cent(
    logos: House, scripted: upstream.Provider
) -> None:
    use(logos, scripted.base_url, "long")
    allow(logos, on_limit="fallback", fallback=local())
    run_id = logos.send("hello")["id"]
    logos.until_event(run_id, "budget.cut")

    logos.restart()
    run = logos.ended(run_id)

    story = assert_sound(run)
    assert kinds_of(story).count("budget.fallback") <= 1
    until(lambda: not Charge.objects.filter(state="open").exists(), "every call is settled")
    words = text_of(story).count("word")
    assert Decimal(words) / 1_000 <= paid()["long"] <= ROOM
