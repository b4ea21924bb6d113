"""The first-run page: open once, makes everything or nothing, forgets nothing typed, tells no key."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from agents import secrets, souls
from agents.models import Agent, ModelRoute, Provider, Role, Soul, User
from logos_site import first_run
from logos_site.up import first_link
from runs import dispatch
from runs.models import Run
from sandboxes.inference.failures import UNREACHABLE, ProviderError
from sandboxes.inference.listing import ModelInfo

Browser = Callable[..., Client]
HTMX = {"headers": {"HX-Request": "true"}}
PASSWORD = "a long enough password"
KEY = "sk-very-secret-key-of-mine"
WHOLE = {
    "username": "ada",
    "email": "",
    "password1": PASSWORD,
    "password2": PASSWORD,
    "kind": "rehearsal",
    "soul": "Be brief.\r\nBe kind.",
    "name": "Atlas",
    "message": "Hello\nrun: id",
}
OWN = {**WHOLE, "kind": "openai-compatible", "base_url": "http://127.0.0.1:11434/v1", "api_key": KEY, "model": "big"}


@pytest.fixture
def link(db: None) -> Iterator[str]:
    yield f"/start/{first_link.issue()}/"
    first_link.close()


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """A provider with two models that takes KEY only; the list holds what it was asked with."""
    asked: list[tuple[str, str]] = []

    async def list_models(base_url: str, api_key: str = "", **_: Any) -> list[ModelInfo]:
        asked.append((base_url, api_key))
        if api_key != KEY:
            raise ProviderError(UNREACHABLE)
        return [ModelInfo("big", 131_072), ModelInfo("<small>")]

    monkeypatch.setattr(first_run, "list_models", list_models)
    return asked


def text_of(response) -> str:
    return response.content.decode()


def nothing_was_made() -> bool:
    return not any(model.objects.exists() for model in (User, Soul, Provider, ModelRoute, Agent, Run))


def test_home_tells_how_to_begin_while_there_is_no_administrator(browser: Browser) -> None:
    page = text_of(browser().get("/"))

    assert "first-run link" in page
    assert "/start/" not in page


@pytest.mark.parametrize("token", ["wrong", "x" * 500, "é", "%00"])
def test_a_wrong_link_opens_nothing(browser: Browser, link: str, token: str) -> None:
    assert browser().get(f"/start/{token}/").status_code == 404
    assert browser().post(f"/start/{token}/", WHOLE).status_code == 404
    assert nothing_was_made()


def test_the_link_opens_a_page_with_a_soul_to_start_from(browser: Browser, link: str) -> None:
    response = browser().get(link)

    page = text_of(response)
    assert response.status_code == 200
    assert "You are a calm, exact assistant" in page
    assert "Try it with the rehearsal model" in page
    assert "no-store" in response["Cache-Control"]


def test_everything_is_made_and_the_administrator_is_signed_in_to_a_running_chat(browser: Browser, link: str) -> None:
    client = browser()

    response = client.post(link, WHOLE)

    run = Run.objects.select_related("agent__soul", "message").get()
    ada = User.objects.get()
    assert response["Location"] == f"/chat/{run.conversation_id}/"
    assert (ada.role, ada.is_superuser, ada.check_password(PASSWORD)) == (Role.ADMIN, True, True)
    assert (run.actor, run.message.text, run.agent.name) == (ada, "Hello\nrun: id", "Atlas")
    assert (run.agent.soul.text, run.agent.soul.revision) == ("Be brief.\nBe kind.", 1)
    assert run.stamp["model"]["kind"] == "rehearsal"
    assert ModelRoute.objects.get().is_default
    assert client.get(response["Location"]).status_code == 200


def test_the_link_is_dead_afterwards(browser: Browser, link: str) -> None:
    browser().post(link, WHOLE)

    assert browser().get(link).status_code == 404
    assert browser().post(link, {**WHOLE, "username": "eve"}).status_code == 404
    assert User.objects.count() == 1


def test_by_htmx_the_whole_page_goes_to_the_chat(browser: Browser, link: str) -> None:
    response = browser().post(link, WHOLE, **HTMX)

    assert response["HX-Redirect"] == f"/chat/{Run.objects.get().conversation_id}/"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"username": ""}, "This field is required."),
        ({"username": "a b"}, "Enter a valid username"),
        ({"email": "nonsense"}, "Enter a valid email address."),
        ({"password1": "short", "password2": "short"}, "at least 10 characters"),
        ({"password1": "password123", "password2": "password123"}, "too common"),
        ({"username": "adalovelace", "password1": "adalovelace1", "password2": "adalovelace1"}, "too similar"),
        ({"password2": "another long password"}, "The two passwords differ."),
        ({"soul": " \n"}, "A soul cannot be empty."),
        ({"soul": "Be\u202e brief."}, "invisible character"),
        ({"name": " "}, "This field is required."),
        ({"name": "At\u200blas"}, "invisible character"),
        ({"message": ""}, "This field is required."),
        ({"message": "x" * 100_001}, "100,001 characters"),
        ({"kind": "openai-compatible"}, "Enter the provider&#x27;s address"),
        ({"kind": "telepathy"}, "Nothing was made yet."),
    ],
)
def test_what_cannot_be_is_said_where_it_stands_and_the_rest_is_kept(
    browser: Browser, link: str, change: dict[str, str], sentence: str
) -> None:
    data = {**WHOLE, "email": "ada@example.org", **change}

    page, part = browser().post(link, data), browser().post(link, data, **HTMX)

    assert (page.status_code, part.status_code) == (422, 422)
    assert sentence in text_of(page)
    assert sentence in text_of(part)
    for name in ("name", "message"):
        assert data[name].strip().split("\n")[0] in text_of(page)
    assert PASSWORD not in text_of(page)
    assert nothing_was_made()


def test_errors_by_htmx_come_in_pieces_that_leave_the_fields_alone(browser: Browser, link: str) -> None:
    part = text_of(browser().post(link, {**WHOLE, "password2": "other"}, **HTMX))

    assert re.search(r'id="id_password2-errors" hx-swap-oob="true">The two passwords differ\.<', part)
    assert re.search(r'id="id_username-errors" hx-swap-oob="true"><', part)
    assert "<input" not in part
    assert "data-form-errors" in part


def test_a_failure_at_the_last_step_leaves_nothing_behind(
    browser: Browser, link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise souls.Invalid("The disk is full.", action="Free some space.")

    monkeypatch.setattr(dispatch, "start", fail)

    response = browser().post(link, WHOLE)

    assert response.status_code == 422
    assert "The disk is full. Free some space." in text_of(response)
    assert nothing_was_made()
    assert first_link.is_open(link.split("/")[2])


def test_models_are_listed_to_choose_from(browser: Browser, link: str, provider: list) -> None:
    part = text_of(browser().post(link, {**OWN, "model": "", "step": "models"}, **HTMX))

    assert '<option value="big">big · 131.1k tokens of context</option>' in part
    assert '<option value="&lt;small&gt;">' in part
    assert provider == [("http://127.0.0.1:11434/v1", KEY)]
    assert nothing_was_made()


def test_listing_works_without_scripts_and_keeps_what_was_typed(browser: Browser, link: str, provider: list) -> None:
    page = text_of(browser().post(link, {**OWN, "name": "Zoe", "step": "models"}))

    assert '<option value="big" selected>' in page
    assert 'value="Zoe"' in page
    assert "This field is required" not in page


def test_a_provider_that_cannot_be_reached_is_said_so(browser: Browser, link: str, provider: list) -> None:
    data = {**OWN, "api_key": "sk-wrong"}

    listing = text_of(browser().post(link, {**data, "step": "models"}, **HTMX))
    whole = browser().post(link, data, **HTMX)

    assert 'data-models="none"' in listing
    assert UNREACHABLE.sentence.split("'")[0] in listing
    assert whole.status_code == 422
    assert nothing_was_made()


def test_a_model_of_ones_own_becomes_the_default_route_with_a_sealed_key(
    browser: Browser, link: str, provider: list
) -> None:
    browser().post(link, OWN)

    row, route = Provider.objects.get(), ModelRoute.objects.get()
    assert (row.name, row.kind) == ("127.0.0.1:11434", "openai-compatible")
    assert (route.model, route.context_length, route.is_default) == ("big", 131_072, True)
    assert KEY not in row.sealed_key
    assert secrets.unseal(row.sealed_key) == KEY
    assert Run.objects.get().stamp["model"]["model"] == "big"


@pytest.mark.parametrize(
    ("model", "sentence"), [("", "Choose one of the models"), ("other", "does not have this model")]
)
def test_a_model_the_provider_does_not_have_is_refused(
    browser: Browser, link: str, provider: list, model: str, sentence: str
) -> None:
    for extra in ({}, HTMX):
        response = browser().post(link, {**OWN, "model": model}, **extra)

        assert response.status_code == 422
        assert sentence in text_of(response)
        assert '<option value="big"' in text_of(response)
    assert nothing_was_made()


def test_the_key_is_never_written_into_a_page_yet_not_lost(browser: Browser, link: str, provider: list) -> None:
    client = browser()
    first = text_of(client.post(link, {**OWN, "name": ""}))

    second = client.post(link, {**OWN, "api_key": ""})

    assert KEY not in first
    assert "A key is kept for this address" in first
    assert second.status_code == 302
    assert secrets.unseal(Provider.objects.get().sealed_key) == KEY
    assert "first_run_key" not in client.session


def test_a_kept_key_goes_to_the_address_it_was_given_for_and_no_other(
    browser: Browser, link: str, provider: list
) -> None:
    client = browser()
    client.post(link, {**OWN, "step": "models"})

    client.post(link, {**OWN, "api_key": "", "base_url": "http://127.0.0.1:9/v1", "step": "models"})

    assert provider[-1] == ("http://127.0.0.1:9/v1", "")
    assert KEY not in str(dict(client.session))


def test_the_page_posts_only_with_its_own_token(link: str) -> None:
    response = Client(enforce_csrf_checks=True).post(link, WHOLE)

    assert response.status_code == 403
    assert nothing_was_made()


def test_the_link_does_not_leave_with_a_referrer(browser: Browser, link: str) -> None:
    assert browser().get(link)["Referrer-Policy"] == "same-origin"
    assert settings.SECURE_REFERRER_POLICY == "same-origin"
