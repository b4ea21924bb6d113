"""The pages of models: prices and use as one may see them, saved by version, never without a default."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from agents import composition, permissions, routes
from agents.models import Agent, ModelRoute, Provider, Role, User
from tests.conftest import person

Browser = Callable[..., Client]


@pytest.fixture
def lab(route: ModelRoute) -> Provider:
    return Provider.objects.create(name="Lab", kind="openai-compatible", base_url="https://lab.example/v1")


@pytest.fixture
def coder(lab: Provider, ada: User) -> ModelRoute:
    return routes.add_route(lab, "coder-1", ada, context_length=8_000)


def text(answer) -> str:
    return answer.content.decode()


def test_the_list_has_prices_and_who_uses_what(browser: Browser, alice: User, atlas: Agent, coder: ModelRoute) -> None:
    page = text(browser(alice).get("/models/"))

    assert "coder-1" in page
    assert "unknown" in page
    assert page.index("0 agents") < page.index("1 agent<")  # atlas uses the default, which comes last


def test_agents_one_may_not_see_are_not_counted(browser: Browser, mallory: User, atlas: Agent) -> None:
    assert "0 agents" in text(browser(mallory).get("/models/"))
    assert "1 agent" not in text(browser(mallory).get("/models/"))


def test_a_private_model_is_not_there_for_others(browser: Browser, mallory: User, bob: User, coder: ModelRoute) -> None:
    ModelRoute.objects.filter(pk=coder.pk).update(visibility="private")
    permissions.grant(bob, "view", coder)

    for who, status in ((mallory, 404), (bob, 200)):
        assert browser(who).get(f"/models/{coder.pk}/").status_code == status
        assert ("coder-1" in text(browser(who).get("/models/"))) == (status == 200)


def test_who_may_not_change_sees_facts_and_no_form(browser: Browser, alice: User, coder: ModelRoute) -> None:
    client = browser(alice)
    page = text(client.get(f"/models/{coder.pk}/"))

    assert 'name="price_input"' not in page
    assert "/delete/" not in page
    assert client.post(f"/models/{coder.pk}/", {"version": 1, "price_input": "1"}).status_code == 404
    assert client.post(f"/models/{coder.pk}/default/").status_code == 404
    assert client.post(f"/models/{coder.pk}/delete/").status_code == 404
    assert client.get("/models/new/").status_code == 403


def test_prices_are_saved(browser: Browser, ada: User, coder: ModelRoute) -> None:
    data = {"version": coder.version, "context_length": "16000", "price_input": "0.25", "price_output": ""}

    answer = browser(ada).post(f"/models/{coder.pk}/", data, follow=True)

    coder.refresh_from_db()
    assert (coder.context_length, str(coder.price_input), coder.price_output) == (16_000, "0.250000", None)
    assert 'value="0.25"' in text(answer)


@pytest.mark.parametrize(
    "figures", [{"price_input": "-1"}, {"price_input": "abc"}, {"price_input": "NaN"}, {"price_output": "1e9"},
                {"price_input": "0.1234567"}, {"context_length": "0"}, {"context_length": "9" * 30}],
)  # fmt: skip
def test_a_figure_that_is_none_is_refused_and_kept(
    browser: Browser, ada: User, coder: ModelRoute, figures: dict[str, str]
) -> None:
    answer = browser(ada).post(f"/models/{coder.pk}/", {"version": coder.version, **figures})

    assert answer.status_code == 400
    assert f'value="{next(iter(figures.values()))}"' in text(answer)
    assert ModelRoute.objects.get(pk=coder.pk).version == coder.version


def test_who_saves_second_sees_what_the_first_did(browser: Browser, ada: User, coder: ModelRoute) -> None:
    olga = person("olga", Role.OPERATOR)
    permissions.grant(olga, "edit", coder)
    read = coder.version
    browser(olga).post(f"/models/{coder.pk}/", {"version": read, "context_length": "8000", "price_input": "3"})

    answer = browser(ada).post(f"/models/{coder.pk}/", {"version": read, "context_length": "9000", "price_input": ""})
    page = text(answer)

    assert answer.status_code == 409
    assert "olga saved" in page
    assert 'value="9000"' in page  # mine
    assert 'value="3"' in page  # theirs, which I had not touched
    again = {"version": read + 1, "context_length": "9000", "price_input": "3"}
    assert browser(ada).post(f"/models/{coder.pk}/", again).status_code == 302
    coder.refresh_from_db()
    assert (coder.context_length, coder.price_input) == (9_000, 3)


def test_another_default_is_made_with_one_button(browser: Browser, ada: User, coder: ModelRoute) -> None:
    browser(ada).post(f"/models/{coder.pk}/default/")

    assert list(ModelRoute.objects.filter(is_default=True)) == [coder]


def test_a_model_in_use_stays_and_names_only_agents_one_may_see(
    browser: Browser, alice: User, bob: User, atlas: Agent, coder: ModelRoute
) -> None:
    olga = person("olga", Role.OPERATOR)
    for who in (olga,):
        permissions.grant(who, "manage", coder)
    composition.create(alice, "Secret plan", atlas.soul, route=coder)

    answer = browser(olga).post(f"/models/{coder.pk}/delete/")

    assert answer.status_code == 409
    assert "used by agents you may not see" in text(answer)
    assert "Secret plan" not in text(answer)
    mine = composition.create(olga, "Mine", _soul_of(olga), route=coder)
    assert "used by Mine and others" in text(browser(olga).post(f"/models/{coder.pk}/delete/"))
    assert mine.route_id == coder.pk


def _soul_of(user: User):
    from agents import souls

    return souls.create("Own", "Text.", user)


def test_a_model_nobody_uses_is_deleted_after_a_question(browser: Browser, ada: User, coder: ModelRoute) -> None:
    client = browser(ada)

    assert "Delete model coder-1?" in text(client.get(f"/models/{coder.pk}/delete/"))
    assert client.post(f"/models/{coder.pk}/delete/").status_code == 302
    assert not ModelRoute.objects.filter(pk=coder.pk).exists()


def test_a_model_is_added_once(browser: Browser, ada: User, lab: Provider) -> None:
    data = {"provider": lab.pk, "model": "writer-1", "price_input": "1"}
    client = browser(ada)

    assert client.post("/models/new/", data).status_code == 302
    again = client.post("/models/new/", data)

    assert again.status_code == 400
    assert "there already" in text(again)
    assert ModelRoute.objects.filter(model="writer-1").count() == 1


def test_the_list_takes_few_queries_however_long(
    browser: Browser, ada: User, lab: Provider, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(40):
        routes.add_route(lab, f"model-{number:02}", ada)
    client = browser(ada)
    client.get("/models/")

    with django_assert_max_num_queries(5):
        page = text(client.get("/models/"))
    assert len(page) < 60_000
    assert 'rel="next"' in page
