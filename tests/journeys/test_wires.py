"""The real runtime asks in Anthropic's format when its model's provider does; a fallback answers when one fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agents import providers, routes
from agents.models import Agent, ModelRoute, ProviderKind
from sandboxes.models import InferenceCall
from tests.journeys.house import House, until
from tests.journeys.provider import provider_in_thread
from tests.journeys.sound import assert_sound, kinds_of
from tests.sandboxes.inference.messages_upstream import Anthropic, running_anthropic
from tests.sandboxes.inference.upstream import Provider

pytestmark = pytest.mark.runtime


@pytest.fixture(scope="module")
def claude() -> Iterator[Anthropic]:
    with provider_in_thread(running_anthropic) as provider:
        yield provider


@pytest.fixture(scope="module")
def scripted() -> Iterator[Provider]:
    with provider_in_thread() as provider:
        yield provider


def use(logos: House, base_url: str, model: str, kind: str) -> ModelRoute:
    """From the next message on the agent is answered by this model."""
    provider = ModelRoute.objects.filter(provider__name=base_url).first()
    row = provider.provider if provider else providers.create(logos.admin, base_url, base_url, "sk-secret-key", kind)
    route = routes.add_route(row, model, logos.admin)
    Agent.objects.filter(pk=logos.agent_id).update(route=route)
    return route


def test_a_tool_is_used_by_way_of_messages(logos: House, claude: Anthropic) -> None:
    use(logos, claude.base_url, "works", ProviderKind.ANTHROPIC)

    run = logos.ask("What is this machine called?")

    story = assert_sound(run)
    assert run.status == "completed", run.error_message
    assert "It printed: " in run.reply.text
    assert "from-box-" in run.reply.text
    assert {"reasoning.delta", "tool.started", "tool.completed"} <= set(kinds_of(story))
    started = next(event.data for event in story if event.kind == "tool.started")
    assert started["args"] == {"command": "echo from-$(uname -n)"}
    assert (run.model_calls, run.tool_calls) == (2, 1)
    assert (run.input_tokens, run.output_tokens) == (200, 40)
    assert all(headers["x-api-key"] == "sk-secret-key" for headers in claude.headers)
    assert all(headers["anthropic-version"] == "2023-06-01" for headers in claude.headers)


def test_a_failure_is_told_as_from_any_provider(logos: House, claude: Anthropic) -> None:
    for model, code in (("401", "provider_auth"), ("overflow", "context_overflow"), ("billing", "provider_billing")):
        use(logos, claude.base_url, model, ProviderKind.ANTHROPIC)
        run = logos.ask(
            "hello",
        )
        assert_sound(run)
        assert (run.status, run.error_code) == ("failed", code), run.error_message


def test_a_conversation_goes_from_one_format_to_the_other_and_back(
    logos: House, claude: Anthropic, scripted: Provider
) -> None:
    use(logos, claude.base_url, "text", ProviderKind.ANTHROPIC)
    first = logos.ask("hello")
    use(logos, scripted.base_url, "text", ProviderKind.OPENAI_COMPATIBLE)
    second = logos.ask("and now?", talk=first.conversation_id)
    use(logos, claude.base_url, "text", ProviderKind.ANTHROPIC)
    third = logos.ask("and back?", talk=first.conversation_id)

    assert [run.status for run in (first, second, third)] == ["completed"] * 3
    assert "and now?" in str(claude.requests[-1]["messages"]), "what was said meanwhile travels with it"


def test_a_fallback_answers_and_the_record_says_so(logos: House, scripted: Provider) -> None:
    broken = use(logos, scripted.base_url, "503", ProviderKind.OPENAI_COMPATIBLE)
    works = use(logos, scripted.base_url, "text", ProviderKind.OPENAI_COMPATIBLE)
    broken.refresh_from_db()
    routes.change(logos.admin, broken.pk, broken.version, fallback=works)
    use(logos, scripted.base_url, "503", ProviderKind.OPENAI_COMPATIBLE)

    run = logos.ask("hello")

    assert_sound(run)
    assert (run.status, run.reply.text) == ("completed", "Hello wörld.")
    rows = InferenceCall.objects.filter(run_id=run.pk).order_by("id").values_list("route_id", "error_code")
    calls = until(lambda: list(rows.all()), "the calls are booked")
    assert calls == [(broken.pk, "provider_unreachable"), (works.pk, "")]
