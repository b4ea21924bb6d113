"""The pages of providers: asked before they are stored, keys that go in and never come out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from agents import routes, secrets
from agents.errors import Code
from agents.models import ModelRoute, Provider, Role, User
from sandboxes import provider_models
from sandboxes.inference.failures import Failure, ProviderError
from sandboxes.inference.listing import ModelInfo
from tests.conftest import person

Browser = Callable[..., Client]
KEY = "sk-very-secret-indeed"
REFUSED = ProviderError(Failure(Code.PROVIDER_AUTH, "The model provider refused the key.", "Replace the key.", 401))


class House:
    """Stands where a provider would: remembers what it was asked with."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.error: ProviderError | None = None

    def __call__(self, base_url: str, key: str, kind: str) -> list[ModelInfo]:
        self.asked.append((base_url, key))
        if self.error is not None:
            raise self.error
        return [ModelInfo("coder-1", 8_000), ModelInfo("writer-1")]


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    house = House()
    monkeypatch.setattr(provider_models, "check", house)
    return house


@pytest.fixture
def lab(route: ModelRoute) -> Provider:
    lab = Provider(name="Lab", kind="openai-compatible", base_url="https://lab.example/v1")
    lab.set_key(KEY)
    lab.save()
    return lab


@pytest.fixture
def olga(db: None) -> User:
    return person("olga", Role.OPERATOR)


def text(answer) -> str:
    return answer.content.decode()


def test_a_provider_is_asked_before_it_is_stored(browser: Browser, ada: User, house: House) -> None:
    answer = browser(ada).post(
        "/providers/new/", {"name": "Lab", "kind": "openai-compatible", "base_url": "lab.example/v1", "key": f" {KEY} "}
    )

    provider = Provider.objects.get()
    assert house.asked == [("https://lab.example/v1", KEY)]
    assert secrets.unseal(provider.sealed_key) == KEY
    assert answer["Location"] == f"/providers/{provider.pk}/models/"


def test_one_that_refuses_the_key_is_not_stored_unless_one_insists(browser: Browser, ada: User, house: House) -> None:
    house.error = REFUSED
    data = {"name": "Lab", "kind": "openai-compatible", "base_url": "https://lab.example/v1", "key": KEY}
    client = browser(ada)

    answer = client.post("/providers/new/", data)

    assert answer.status_code == 400
    assert "refused the key" in text(answer)
    assert 'value="Lab"' in text(answer)
    assert KEY not in text(answer)
    assert not Provider.objects.exists()
    assert client.post("/providers/new/", {**data, "unchecked": "on"}).status_code == 302


@pytest.mark.parametrize("path", ["/providers/", "/providers/new/"])
def test_providers_are_not_for_people_without_the_role(browser: Browser, alice: User, viewer: User, path: str) -> None:
    for who in (alice, viewer):
        assert browser(who).get(path).status_code == 403


def test_an_operator_looks_and_changes_nothing(browser: Browser, olga: User, lab: Provider, house: House) -> None:
    client = browser(olga)

    assert "Lab" in text(client.get("/providers/"))
    page = text(client.get(f"/providers/{lab.pk}/"))
    assert "stored, never shown" in page
    assert 'name="key"' not in page
    for path in (f"/providers/{lab.pk}/", f"/providers/{lab.pk}/delete/"):
        assert client.post(path, {"name": "Mine", "version": 1}).status_code == 404
    assert client.post("/providers/new/", {"name": "Mine", "base_url": "https://x.example"}).status_code == 403
    assert Provider.objects.get(pk=lab.pk).name == "Lab"


def test_no_page_shows_the_key(browser: Browser, ada: User, lab: Provider, house: House) -> None:
    client = browser(ada)
    for path in (
        "/providers/",
        f"/providers/{lab.pk}/",
        f"/providers/{lab.pk}/models/",
        f"/providers/{lab.pk}/delete/",
    ):
        page = text(client.get(path))
        assert KEY not in page
        assert lab.sealed_key not in page


def test_an_empty_key_keeps_the_stored_one(browser: Browser, ada: User, lab: Provider, house: House) -> None:
    data = {"name": "Laboratory", "base_url": lab.base_url, "key": "", "version": lab.version}

    assert browser(ada).post(f"/providers/{lab.pk}/", data).status_code == 302

    lab.refresh_from_db()
    assert (lab.name, secrets.unseal(lab.sealed_key), house.asked) == ("Laboratory", KEY, [])


def test_a_new_key_is_tried_first(browser: Browser, ada: User, lab: Provider, house: House) -> None:
    house.error = REFUSED
    data = {"name": "Lab", "base_url": lab.base_url, "key": "sk-new-and-wrong", "version": lab.version}

    answer = browser(ada).post(f"/providers/{lab.pk}/", data)

    assert answer.status_code == 400
    assert "sk-new-and-wrong" not in text(answer)
    lab.refresh_from_db()
    assert secrets.unseal(lab.sealed_key) == KEY


def test_the_stored_key_never_goes_to_a_new_address(browser: Browser, ada: User, lab: Provider, house: House) -> None:
    data = {"name": "Lab", "base_url": "https://elsewhere.example/v1", "version": lab.version}

    answer = browser(ada).post(f"/providers/{lab.pk}/", data)

    assert answer.status_code == 400
    assert "needs the key again" in text(answer)
    lab.refresh_from_db()
    assert lab.base_url == "https://lab.example/v1"
    assert house.asked == []


def test_who_saves_second_is_told_and_types_the_key_again(
    browser: Browser, ada: User, lab: Provider, house: House
) -> None:
    read, client = lab.version, browser(ada)
    client.post(f"/providers/{lab.pk}/", {"name": "First", "base_url": lab.base_url, "version": read})

    answer = client.post(
        f"/providers/{lab.pk}/", {"name": "Second", "base_url": lab.base_url, "key": KEY, "version": read}
    )

    assert answer.status_code == 409
    assert "You, in another window" in text(answer)
    assert 'value="Second"' in text(answer)
    assert KEY not in text(answer)
    assert Provider.objects.get(pk=lab.pk).name == "First"


def test_models_are_chosen_from_what_the_provider_has(
    browser: Browser, olga: User, ada: User, lab: Provider, house: House
) -> None:
    routes.add_route(lab, "writer-1", ada)
    client = browser(olga)
    page = text(client.get(f"/providers/{lab.pk}/models/"))
    assert "coder-1" in page

    client.post(f"/providers/{lab.pk}/models/", {"model": ["coder-1", "writer-1", "not-theirs"]})

    made = ModelRoute.objects.get(provider=lab, model="coder-1")
    assert (made.owner, made.context_length) == (olga, 8_000)
    assert not ModelRoute.objects.filter(model="not-theirs").exists()
    assert house.asked[0] == (lab.base_url, KEY)


def test_a_provider_that_does_not_answer_says_why(browser: Browser, ada: User, lab: Provider, house: House) -> None:
    house.error = REFUSED

    answer = browser(ada).get(f"/providers/{lab.pk}/models/")

    assert answer.status_code == 502
    assert "refused the key" in text(answer)


def test_one_with_models_stays(browser: Browser, ada: User, lab: Provider) -> None:
    routes.add_route(lab, "coder-1", ada)
    client = browser(ada)

    assert "still has models" in text(client.post(f"/providers/{lab.pk}/delete/"))
    ModelRoute.objects.filter(provider=lab).delete()
    assert client.post(f"/providers/{lab.pk}/delete/").status_code == 302
    assert not Provider.objects.filter(pk=lab.pk).exists()
