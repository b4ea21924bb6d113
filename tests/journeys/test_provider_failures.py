"""A model provider fails: the run says why and what to do, the next message works, and no key is told.

The provider is scripted, on a real socket; the route's model says how it behaves.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django.plugin import DjangoDbBlocker

from agents import routes, souls
from agents.models import Agent, ModelRoute, Provider
from runs.models import Message, RunEvent
from sandboxes.models import InferenceCall
from tests.journeys.house import House, a_house
from tests.journeys.provider import provider_in_thread
from tests.journeys.sound import assert_sound, kinds_of
from tests.ports import free_port
from tests.sandboxes.inference import upstream

pytestmark = pytest.mark.runtime

# As the inference tests' own, but with less to wait for: the runtime obeys Retry-After.
upstream.ERRORS["429-soon"] = (429, {"error": {"message": "slow down"}}, {"Retry-After": "1"})

KEY = "sk-planted-" + "k3y" * 8


@pytest.fixture(scope="module")
def scripted() -> Iterator[upstream.Provider]:
    with provider_in_thread() as provider:
        yield provider


@pytest.fixture(scope="module")
def house(django_db_blocker: DjangoDbBlocker) -> Iterator[House]:
    """One whose patience with providers is short."""
    with (
        django_db_blocker.unblock(),
        a_house(LOGOS_FIRST_BYTE_TIMEOUT_S="1", LOGOS_IDLE_TIMEOUT_S="1") as house,
    ):
        yield house


def use(logos: House, base_url: str, model: str) -> ModelRoute:
    """From the next message on the agent is answered by this model."""
    provider, _ = Provider.objects.get_or_create(
        name=base_url, defaults={"kind": "openai-compatible", "base_url": base_url}
    )
    provider.set_key(KEY)
    provider.save()
    route = routes.add_route(provider, model, logos.admin)
    Agent.objects.filter(pk=logos.agent_id).update(route=route)
    return route


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("401", "provider_auth"),
        ("402", "provider_billing"),
        ("404", "model_not_found"),
        ("429-soon", "provider_rate_limit"),
        ("500", "unknown"),
        ("hang", "provider_timeout"),
        ("idle", "provider_timeout"),
        ("html", "provider_unreachable"),
        ("cut", "provider_unreachable"),
        ("drops", "provider_unreachable"),
        ("overflow", "context_overflow"),
    ],
)
def test_a_failing_provider_ends_the_run_with_a_reason_and_the_next_message_works(
    logos: House, scripted: upstream.Provider, model: str, code: str
) -> None:
    use(logos, scripted.base_url, model)
    run = logos.ask(
        "hello",
    )

    story = assert_sound(run)
    assert (run.status, run.error_code) == ("failed", code), run.error_message
    assert run.error_message.endswith(".") or "It said" in run.error_message
    assert run.error_action
    assert story[-1].data["message"] == run.error_message
    if model in ("idle", "cut"):
        assert "Hello wörld." in run.reply.text, "what was said before it broke off is kept"

    use(logos, scripted.base_url, "text")
    after = logos.ask("and now?", talk=run.conversation_id)
    assert after.status == "completed"
    assert after.reply.text == "Hello wörld."
    assert_sound(after)


def test_nobody_listens_at_the_providers_address(logos: House, scripted: upstream.Provider) -> None:
    use(logos, f"http://127.0.0.1:{free_port()}/v1", "text")

    run = logos.ask("hello")

    assert_sound(run)
    assert (run.status, run.error_code) == ("failed", "provider_unreachable")
    assert run.error_action


def test_a_new_text_of_the_soul_is_what_the_model_is_told_next(logos: House, scripted: upstream.Provider) -> None:
    use(logos, scripted.base_url, "text")
    first = logos.ask("hello")
    souls.revise(logos.soul, "You are a lighthouse keeper called Wilhelmina.", logos.admin)

    second = logos.ask("hello", talk=first.conversation_id)

    before, after = (str(request["messages"][0]) for request in scripted.requests[-2:])
    assert "Wilhelmina" not in before
    assert "Wilhelmina" in after
    assert second.stamp["soul"]["revision"] == first.stamp["soul"]["revision"] + 1


def test_reasoning_and_tokens_of_a_real_provider_are_in_the_record(logos: House, scripted: upstream.Provider) -> None:
    use(logos, scripted.base_url, "reasoning")

    run = logos.ask("hello")

    story = assert_sound(run)
    assert "reasoning.delta" in kinds_of(story)
    assert (run.input_tokens, run.output_tokens) == (100, 20)
    assert run.cost is None
    assert run.cost_is_partial


def test_the_providers_key_reaches_the_provider_and_nobody_else(logos: House, scripted: upstream.Provider) -> None:
    use(logos, scripted.base_url, "text")
    run = logos.ask(f"my key is {KEY}, keep it")
    use(logos, scripted.base_url, "401")
    logos.ask("run: env", talk=run.conversation_id)

    authorizations = {headers.get("authorization") for headers in scripted.headers}
    assert f"Bearer {KEY}" in authorizations
    told = [str(event.data) for event in RunEvent.objects.all()]
    told += InferenceCall.objects.values_list("error_message", flat=True)
    told += Message.objects.filter(speaker="agent").values_list("text", flat=True)
    told.append(logos.log.read_text())
    for secret in (KEY, *logos.secrets):
        assert not [text for text in told if secret in text]
    for path in (logos.home / "agents").rglob("*"):
        if path.is_file() and path.suffix in (".log", ".yaml", ".json", ".md"):
            assert KEY not in path.read_text(errors="replace"), path
