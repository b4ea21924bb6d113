"""There is one default model route once there is any, and no route goes while somebody needs it."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from agents import composition, routes
from agents.errors import Conflict, Invalid
from agents.models import Agent, ModelRoute, Provider, Soul, User, Visibility

pytestmark = pytest.mark.django_db


@pytest.fixture
def provider() -> Provider:
    return Provider.objects.create(name="House", kind="openai-compatible", base_url="http://localhost:1/v1")


def defaults() -> list[str]:
    return list(ModelRoute.objects.filter(is_default=True).values_list("model", flat=True))


def test_without_a_route_there_is_no_default_and_an_agent_says_what_to_do(alice: User, soul: Soul) -> None:
    agent = composition.create(alice, "atlas", soul)

    assert routes.default_route() is None
    with pytest.raises(Invalid) as refused:
        routes.route_of(agent)
    assert (refused.value.reason, refused.value.action) == (
        "no_route",
        "Add a provider and a model route in the console.",
    )


def test_the_first_route_becomes_the_default_and_the_next_does_not(provider: Provider, ada: User) -> None:
    first = routes.add_route(provider, " small ", ada, context_length=8192)
    routes.add_route(provider, "large", ada)

    assert defaults() == ["small"]
    assert (first.model, first.owner, first.visibility, first.context_length) == ("small", ada, "shared", 8192)


def test_adding_a_route_again_changes_nothing(provider: Provider, ada: User, alice: User) -> None:
    first = routes.add_route(provider, "small", ada)
    ModelRoute.objects.update(visibility=Visibility.PRIVATE)

    again = routes.add_route(provider, "small", alice, context_length=1)

    assert (again.pk, again.owner, again.visibility, again.context_length) == (first.pk, ada, "private", None)


@pytest.mark.parametrize("model", ["", "  ", "x" * 201, "a\x00b", "a\nb"])
def test_a_route_needs_a_models_name(provider: Provider, model: str) -> None:
    with pytest.raises(Invalid) as refused:
        routes.add_route(provider, model, None)

    assert refused.value.field == "model"


def test_making_another_the_default_leaves_exactly_one(provider: Provider) -> None:
    made = [routes.add_route(provider, model, None) for model in ("a", "b", "c")]

    for route in (made[2], made[2], made[1]):
        routes.make_default(route)
        assert defaults() == [route.model]
        assert route.is_default


def test_an_agent_keeps_its_own_route_when_the_default_changes(alice: User, soul: Soul, provider: Provider) -> None:
    own, other = routes.add_route(provider, "a", None), routes.add_route(provider, "b", None)
    fixed, following = composition.create(alice, "fixed", soul, route=own), composition.create(alice, "other", soul)

    routes.make_default(other)

    assert routes.route_of(fixed) == own
    assert routes.route_of(following) == other


def test_the_last_route_and_the_default_stay(provider: Provider) -> None:
    only = routes.add_route(provider, "a", None)
    with pytest.raises(Conflict, match="last model route"):
        routes.remove_route(only)

    routes.add_route(provider, "b", None)
    with pytest.raises(Conflict, match="default route"):
        routes.remove_route(only)


def test_an_old_copy_of_a_route_that_became_the_default_does_not_delete_it(provider: Provider) -> None:
    routes.add_route(provider, "a", None)
    old = routes.add_route(provider, "b", None)
    routes.make_default(ModelRoute.objects.get(pk=old.pk))

    with pytest.raises(Conflict, match="default route"):
        routes.remove_route(old)

    assert defaults() == ["b"]


def test_a_route_in_use_says_by_whom(alice: User, soul: Soul, provider: Provider) -> None:
    routes.add_route(provider, "a", None)
    used = routes.add_route(provider, "b", None)
    composition.create(alice, "atlas", soul, route=used)
    composition.create(alice, "bert", soul, route=used)

    with pytest.raises(Conflict, match="This route is used by atlas, bert") as refused:
        routes.remove_route(used)

    assert refused.value.action == "Give those agents another model first."


def test_a_deleted_agent_does_not_hold_its_route(alice: User, soul: Soul, provider: Provider) -> None:
    routes.add_route(provider, "a", None)
    used = routes.add_route(provider, "b", None)
    agent = composition.create(alice, "atlas", soul, route=used)
    agent.mark_deleted()

    routes.remove_route(used)

    assert Agent.objects.get().route is None
    assert defaults() == ["a"]


def test_the_rehearsal_route_is_made_once_and_costs_nothing() -> None:
    first = routes.rehearsal_route()

    assert routes.rehearsal_route() == first
    assert (first.is_rehearsal, first.is_default, first.price_input, first.price_output) == (True, True, 0, 0)


def test_two_rehearsal_providers_are_no_trouble() -> None:
    first = routes.rehearsal_route()
    Provider.objects.create(name="Another", kind="rehearsal")

    assert routes.rehearsal_route() == first


@pytest.mark.django_db(transaction=True)
def test_defaults_chosen_at_the_same_time_leave_exactly_one() -> None:
    provider = Provider.objects.create(name="House", kind="openai-compatible")
    made = [routes.add_route(provider, model, None) for model in "abcd"]
    start, troubles = threading.Barrier(len(made)), []

    def choose(route: ModelRoute) -> None:
        try:
            start.wait(timeout=120)
            routes.make_default(route)
        except Exception as error:
            troubles.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=choose, args=(route,)) for route in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert troubles == []
    assert len(defaults()) == 1
