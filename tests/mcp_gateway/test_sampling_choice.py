"""Which model a server's question goes to: the one it was lent, or of those it may choose the one its hints name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from agents.errors import Invalid, NotFound
from agents.models import ModelRoute, Provider, Role, User, Visibility
from mcp_gateway import reading, server_forms, servers
from mcp_gateway.declared import writing
from mcp_gateway.models import McpServer
from mcp_gateway.sampling import asking
from mcp_gateway.sampling.answering import Sampler
from mcp_gateway.sampling.bounds import Sampling
from sandboxes.inference.calls import RouteTarget
from tests.api_client import Program
from tests.conftest import person

Browser = Callable[..., Client]
AMONG = Sampling("r1", among=(("r1", "Small-1"), ("r2", "large-9"), ("r3", "large-9-fast")))


def wants(*names: Any) -> dict[str, Any]:
    return {"modelPreferences": {"hints": [{"name": each} for each in names]}}


@pytest.mark.parametrize(
    ("params", "bounds", "route"),
    [
        ({}, AMONG, "r1"),
        (wants("large"), Sampling("r1"), "r1"),
        (wants("large"), AMONG, "r2"),
        (wants("FAST"), AMONG, "r3"),
        (wants("other", "fast", "large"), AMONG, "r3"),
        (wants("small", "large"), AMONG, "r1"),
        (wants("9"), AMONG, "r2"),
        (wants("other"), AMONG, "r1"),
        (wants("", "  ", None, 3), AMONG, "r1"),
        ({"modelPreferences": {"hints": "large"}}, AMONG, "r1"),
        ({"modelPreferences": {"hints": ["large", {"no": "name"}]}}, AMONG, "r1"),
        (wants(*["other"] * asking.MOST_HINTS, "large"), AMONG, "r1"),
        ({"modelPreferences": {"costPriority": 1, "hints": [{"name": "l" * 10_000}]}}, AMONG, "r1"),
    ],
)
def test_hints_choose_among_those_allowed_and_nothing_else(params: Any, bounds: Sampling, route: str) -> None:
    assert asking.chosen(params, bounds) == route


async def test_one_that_is_gone_is_not_chosen() -> None:
    class Lends:
        async def target(self, route_id: str) -> RouteTarget | None:
            return RouteTarget(route_id, "openai", "Small-1") if route_id == "r1" else None

    sampler = Sampler()
    sampler.lends = Lends()  # type: ignore[assignment]

    found = await sampler._target("r2", AMONG)
    assert found is not None
    assert found.route_id == "r1"
    assert await sampler._target("r2", Sampling("r9", among=AMONG.among)) is None


@pytest.fixture
def models(ada: User) -> list[ModelRoute]:
    provider = Provider.objects.create(name="House", kind="openai", base_url="http://models.example")
    made = [
        ModelRoute.objects.create(provider=provider, model=name, owner=ada, visibility=Visibility.PRIVATE)
        for name in ("small-1", "large-9", "large-9-fast")
    ]
    return made


@pytest.fixture
def asker(ada: User, models: list[ModelRoute]) -> McpServer:
    made = servers.create(ada, "asker", "true", enabled=False, sampling=True, sampling_route=models[0].pk)
    return servers.rows().get(pk=made.pk)


def test_models_one_sees_can_be_allowed_and_who_edits_may_only_take_away(
    ada: User, asker: McpServer, models: list[ModelRoute]
) -> None:
    small, large, fast = models
    olive = person("olive", Role.OPERATOR)
    changed = servers.change(ada, asker.pk, None, sampling_models=["large-9", fast.pk, large.pk])
    assert changed.sampling_models == [large.pk, fast.pk]
    for wrong in (["no-such"], ["large-9", 3], [f"m{number}" for number in range(21)], "large-9"):
        with pytest.raises(Invalid) as refused:
            servers.change(ada, asker.pk, None, sampling_models=wrong)
        assert refused.value.field == "sampling_models"
    McpServer.objects.filter(pk=asker.pk).update(owner=olive)
    with pytest.raises(Invalid):
        servers.change(olive, asker.pk, None, sampling_models=[large.pk, fast.pk, small.pk])
    kept = servers.change(olive, asker.pk, None, sampling_models=[fast.pk])
    assert kept.sampling_models == [fast.pk], "one it had stays, though Olive does not see it"
    with pytest.raises(NotFound):
        servers.change(person("mallory-2"), asker.pk, None, sampling_models=[])


def test_the_gateway_knows_them_by_name_and_not_those_that_are_gone(
    ada: User, asker: McpServer, models: list[ModelRoute]
) -> None:
    servers.change(ada, asker.pk, None, sampling_models=[each.pk for each in models[1:]], enabled=True)
    assert _among() == (
        (models[0].pk, "small-1"), (models[1].pk, "large-9"), (models[2].pk, "large-9-fast"),
    )  # fmt: skip
    models[1].delete()
    assert [name for _, name in _among()] == ["small-1", "large-9-fast"]
    servers.change(ada, asker.pk, None, sampling_models=[])
    assert _among() == ()


def _among() -> tuple[tuple[str, str], ...]:
    bounds = reading.book().servers["asker"].sampling
    assert bounds is not None
    return bounds.among


def test_every_door_takes_and_shows_the_list(
    browser: Browser, ada: User, asker: McpServer, models: list[ModelRoute], capsys: Any
) -> None:
    ids = [each.pk for each in models[1:]]
    body = {"version": asker.version, "sampling_models": ["large-9", "large-9-fast"]}
    assert Program(ada)("PATCH", f"mcp-servers/{asker.pk}", body).json()["sampling_models"] == ids
    text = writing.exported(ada)
    call_command("mcp", "edit", "asker", "--sampling-models", "large-9")
    asker.refresh_from_db()
    assert asker.sampling_models == ids[:1]

    client, address = browser(ada), f"/mcp-servers/{asker.pk}/edit/"
    form = client.get(address).context["form"]
    assert form["sampling_models"].value() == "large-9", "by its name"
    given = {each.name: each.value() for each in form}
    posted: dict[str, Any] = {
        name: "on" if value is True else value for name, value in given.items() if value not in (None, False, [], {})
    }
    client.post(address, {**posted, "sampling_models": "large-9-fast\n"})
    asker.refresh_from_db()
    assert asker.sampling_models == ids[1:]
    refused = client.post(address, {**posted, "version": asker.version, "sampling_models": "no-such"})
    assert refused.status_code == 400
    assert "There is no model no-such." in refused.content.decode()
    assert server_forms.texts(ada, asker)["sampling_models"] == "large-9-fast"

    declared_in = [line for line in text.splitlines() if "sampling_models" in line or any(each in line for each in ids)]
    assert len(declared_in) == 3
