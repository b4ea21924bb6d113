"""Which model a server's question goes to: the one it was lent, or of those it may choose the one its hints name."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from agents.errors import Invalid, NotFound
from agents.models import ModelRoute, Provider, Role, User, Visibility
from agents.past import comparing
from agents.past.kinds import find
from agents.past.versions import listed
from mcp_gateway import reading, server_forms, servers
from mcp_gateway.declared import writing
from mcp_gateway.models import McpSampling, McpServer
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


@pytest.mark.parametrize(
    ("params", "bounds", "kept"),
    [
        ({}, AMONG, ""),
        (wants("other", "FAST", "large"), AMONG, "FAST"),
        (wants("other", "small"), AMONG, "small"),
        (wants("other", "another"), AMONG, "other"),
        (wants("large", "small"), Sampling("r1"), "large"),
    ],
)
def test_the_hint_that_decided_is_kept_or_the_first(params: Any, bounds: Sampling, kept: str) -> None:
    assert asking.hint(params, bounds) == kept


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
    assert 'There is no model "no-such".' in unescape(refused.content.decode())
    assert server_forms.texts(ada, asker)["sampling_models"] == "large-9-fast"

    declared_in = [line for line in text.splitlines() if "sampling_models" in line or any(each in line for each in ids)]
    assert len(declared_in) == 3


def test_a_server_would_have_liked_only_what_it_was_not_given(
    browser: Browser, ada: User, asker: McpServer, models: list[ModelRoute], capsys: Any
) -> None:
    for tool, hint, model in (
        ("given", "SMALL", "small-1"), ("silent", "", "small-1"), ("other", "large-9", "small-1"), ("none", "huge", ""),
    ):  # fmt: skip
        McpSampling.objects.create(
            server=asker, server_name="asker", tool=tool, outcome="ok", hint=hint, model=model, at=timezone.now()
        )

    page = browser(ada).get(f"/mcp-servers/{asker.pk}/models/").content.decode()
    call_command("mcp", "samplings", "asker")
    printed = capsys.readouterr().out

    for words in (page, printed):
        assert words.count("would have liked") == 1
        assert "would have liked large-9" in words
    found = Program(ada).get(f"mcp-servers/{asker.pk}/samplings")["items"]
    assert {each["tool"]: each["hint"] for each in found}["given"] == "SMALL", "what is kept is kept"


def test_its_page_counts_only_the_others_there_are(
    browser: Browser, ada: User, asker: McpServer, models: list[ModelRoute]
) -> None:
    small, large, fast = models

    def said(reader: User = ada) -> str:
        page = browser(reader).get(f"/mcp-servers/{asker.pk}/models/").content.decode()
        return page.partition("It may ask")[2].partition(": ")[0]

    servers.change(ada, asker.pk, None, sampling_models=[small.pk])
    assert said() == " <strong>small-1</strong>"
    servers.change(ada, asker.pk, None, sampling_models=[small.pk, large.pk])
    assert said() == " <strong>small-1</strong>, or by its hints <strong>large-9</strong>"
    servers.change(ada, asker.pk, None, sampling_models=[small.pk, large.pk, fast.pk])
    assert said().endswith(", or by its hints one of 2 others")
    large.delete()
    assert said().endswith(", or by its hints <strong>large-9-fast</strong>")
    olive = person("olive", Role.OPERATOR)
    McpServer.objects.filter(pk=asker.pk).update(owner=olive)
    assert said(olive).endswith(", or by its hints <strong>a model that you do not see</strong>")


def test_a_model_that_is_none_is_named_in_quotes(ada: User, asker: McpServer) -> None:
    with pytest.raises(Invalid, match=r'There is no model ""\.'):
        servers.change(ada, asker.pk, None, sampling_models=[""])


def test_history_names_them_as_it_names_the_one_that_is_asked_otherwise(
    browser: Browser, ada: User, asker: McpServer, models: list[ModelRoute]
) -> None:
    small, large, fast = models

    def told(reader: User) -> comparing.FieldChange:
        newest, before = listed(find(reader, "server", asker.pk))[0][:2]
        found = comparing.compare(reader, before.record, newest.record)
        return next(each for each in found if each.name == "sampling_models")

    servers.change(ada, asker.pk, None, sampling_models=[large.pk])
    page = browser(ada).get(f"/history/server/{asker.pk}/").content.decode()
    assert str(large) in page
    assert large.pk not in page

    servers.change(ada, asker.pk, None, sampling_models=[fast.pk, small.pk])
    assert (told(ada).added, told(ada).removed) == ([str(fast), str(small)], [str(large)])
    servers.change(ada, asker.pk, None, sampling_models=[small.pk, fast.pk])
    order = told(ada)
    assert (order.before, order.after) == (f"{fast}, {small}", f"{small}, {fast}")

    olive = person("olive", Role.OPERATOR)
    McpServer.objects.filter(pk=asker.pk).update(owner=olive)
    hidden = told(olive)
    assert hidden.after == f"{comparing.HIDDEN}, {comparing.HIDDEN}"
    servers.change(ada, asker.pk, None, sampling_models=[small.pk])
    fast.delete()
    assert told(ada).removed == ["large-9-fast (deleted)"]
