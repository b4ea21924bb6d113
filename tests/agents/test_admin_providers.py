"""Providers and routes in the console: keys go in and never come out; there is always one default."""

from __future__ import annotations

import pytest

from agents import routes, secrets
from agents.models import Agent, ModelRoute, Provider, Role, User
from tests.conftest import person
from tests.console import Console, complaints

KEY = "key-nobody-may-read-again"


@pytest.fixture
def lab(db: None) -> Provider:
    provider = Provider(name="Lab", kind="openai-compatible", base_url="https://lab.example/v1")
    provider.set_key(KEY)
    provider.save()
    return provider


def test_a_key_goes_in_and_never_comes_out(ada: User, lab: Provider) -> None:
    console = Console(ada)
    for page in (console.open(lab), console.list(Provider), console.open(lab, "history")):
        assert KEY not in page.content.decode()
        assert lab.sealed_key not in page.content.decode()

    console.save(lab, key="another-key")

    lab.refresh_from_db()
    assert secrets.unseal(lab.sealed_key) == "another-key"
    assert "another-key" not in console.open(lab).content.decode()


def test_an_empty_key_keeps_the_stored_one_and_forgetting_is_said(ada: User, lab: Provider) -> None:
    console = Console(ada)

    console.save(lab, name="Laboratory")
    lab.refresh_from_db()
    assert secrets.unseal(lab.sealed_key) == KEY

    console.save(lab, forget_key="on")
    lab.refresh_from_db()
    assert not lab.has_key


def test_a_refused_form_does_not_repeat_the_key(ada: User, lab: Provider) -> None:
    page = Console(ada).save(lab, base_url="", key="typed-a-moment-ago")

    assert "needs an address" in complaints(page)
    assert "typed-a-moment-ago" not in page.content.decode()


def test_an_operator_looks_at_providers_and_changes_none(lab: Provider) -> None:
    console = Console(person("otto", Role.OPERATOR))
    page = console.open(lab).content.decode()

    assert "https://lab.example/v1" in page
    assert 'name="key"' not in page
    assert console.client.post(console.address(Provider, "change", lab.pk), {"name": "Mine"}).status_code == 403
    assert console.client.get(console.address(Provider, "add")).status_code == 403
    assert console.delete(lab).status_code == 403


def test_the_first_route_is_the_default_and_another_can_be_made_it(ada: User, lab: Provider) -> None:
    console = Console(ada)
    for model in ("one", "two"):
        assert console.save(ModelRoute, provider=lab.pk, model=model, visibility="shared").status_code == 302
    one, two = ModelRoute.objects.get(model="one"), ModelRoute.objects.get(model="two")
    assert (one.is_default, two.is_default) == (True, False)

    assert "exactly one" in console.act(ModelRoute, "make_default", one, two)[-1]
    assert "default now" in console.act(ModelRoute, "make_default", two)[-1]

    assert routes.default_route() == two


@pytest.mark.parametrize("which", ["last", "default", "used"])
def test_a_route_that_must_stay_says_why(ada: User, atlas: Agent, route: ModelRoute, lab: Provider, which: str) -> None:
    target, words = route, "last model route"
    if which != "last":
        other = routes.add_route(lab, "m", ada)
        target, words = route, "Make another"
        words = "default route cannot be deleted"
        if which == "used":
            Agent.objects.filter(pk=atlas.pk).update(route=other)
            target, words = other, "used by atlas"
    console = Console(ada)

    assert words in console.open(target, "delete").content.decode()
    console.delete(target)

    assert ModelRoute.objects.filter(pk=target.pk).exists()


def test_a_route_nobody_needs_is_deleted_after_it_was_only_looked_at(
    ada: User, route: ModelRoute, lab: Provider
) -> None:
    other, console = routes.add_route(lab, "m", ada), Console(ada)

    console.open(other, "delete")
    assert ModelRoute.objects.filter(pk=other.pk).exists()
    console.delete(other)

    assert list(ModelRoute.objects.all()) == [route]


def test_all_routes_at_once_are_not_deleted(ada: User, route: ModelRoute, lab: Provider) -> None:
    other, console = routes.add_route(lab, "m", ada), Console(ada)
    chosen = {"action": "delete_selected", "_selected_action": [route.pk, other.pk], "post": "yes"}

    console.client.post(console.address(ModelRoute), chosen)

    assert ModelRoute.objects.count() == 2
