"""The console whole: every page of every model, what addresses may ask, what pages hold and weigh."""

from __future__ import annotations

import re

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from agents.models import Agent, ApiToken, ModelRoute, Provider, Role, Soul, User
from runs.models import Approval, Conversation, Run, RunEvent
from sandboxes.models import InferenceCall, Sandbox
from tests.conftest import person
from tests.console import Console
from tests.world import traces, world

pytestmark = [pytest.mark.django_db, pytest.mark.sweep]

LARGEST = 60 * 1024
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
ODD = ("", "%", "'; --", "a" * 5000, "word " * 2000, "\u202e\u0000x", "ß𝄞", "_", "\\", '"><script>')
PROBES = {
    User: ("password__startswith=md5", "password=x", "groups__permissions__codename=x", "email__contains=a"),
    Provider: ("sealed_key__startswith=gAAAA", "sealed_key__isnull=0"),
    Sandbox: ("sealed_api_key__startswith=g", "driver_state__contains=1", "agent__owner__password__startswith=m"),
    ApiToken: ("digest__startswith=a", "user__password__startswith=md5"),
    Agent: ("owner__password__startswith=md5", "owner__username__startswith=a", "soul__text__contains=a"),
    Run: ("actor__password__startswith=md5", "conversation__title__contains=a", "agent__owner__username=alice"),
    RunEvent: ("data__contains=a", "run__stamp__contains=a"),
    Approval: ("run__actor__username=a", "decided_by__password__startswith=m"),
    InferenceCall: ("sandbox__sealed_api_key__startswith=g",),
}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_every_list_bears_odd_questions_and_stays_small(ada: User, model: type[Model]) -> None:
    world(ada, 1)
    console = Console(ada)

    for word in ODD:
        page = console.client.get(console.address(model), {"q": word})
        assert page.status_code == 200
        assert len(page.content) < LARGEST
        assert "<script>" not in page.content.decode()
    for query in ("p=0", "p=-1", "p=x", "p=99999999", "o=99.-99.x", "o=-", "e=1", "_popup=1", "all=", "_facets=1"):
        assert console.list(model, f"?{query}").status_code in (200, 302), query
    assert console.list(model, "?_to_field=password").status_code == 400
    assert console.list(model, "?no_such_field=1").status_code in (302, 400)


@pytest.mark.parametrize(("model", "query"), [(model, query) for model, queries in PROBES.items() for query in queries])
def test_an_address_cannot_ask_for_hidden_fields(ada: User, model: type[Model], query: str) -> None:
    world(ada, 1)

    assert Console(ada).list(model, f"?{query}").status_code == 400


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_every_page_is_small_and_has_nothing_that_the_policy_forbids(ada: User, model: type[Model]) -> None:
    row = world(ada, 1).get(model)
    console = Console(ada)
    pages = [console.list(model), console.client.get(console.address(model, "add"))]
    if row is not None:
        pages += [console.open(row, page) for page in ("change", "history", "delete")]
        pages += [console.client.get(console.address(model, "change", row.pk) + "?_popup=1")]

    for page in (page for page in pages if page.status_code == 200):
        html = page.content.decode()
        assert len(page.content) < LARGEST
        forbidden = re.search(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=|\son[a-z]+=|javascript:", html)
        assert not forbidden, html[forbidden.start() - 200 : forbidden.end() + 60]
        assert "alpine-csp" in html
        assert "alpine/alpine.js" not in html


def test_the_console_has_the_same_policy_as_every_other_page(ada: User) -> None:
    client = Console(ada).client

    policies = {
        client.get(path)["Content-Security-Policy"] for path in ("/", "/runs/", "/admin/", "/admin/agents/agent/")
    }

    assert len(policies) == 1
    assert "unsafe" not in policies.pop()


def test_filters_find_nothing_by_what_one_may_not_see() -> None:
    foreign, otto = world(person("alice-777"), 777), person("otto", Role.OPERATOR)
    world(otto, 1)
    console = Console(otto)
    asked = {
        Run: ("agent__named=agent-777", f"agent__id__exact={foreign[Agent].pk}", "actor__named=alice-777",
              f"conversation__id__exact={foreign[Conversation].pk}", "q=alice-777", "q=agent-777"),
        Agent: ("soul__named=soul-777", f"soul__id__exact={foreign[Soul].pk}", "q=soul-777"),
        Sandbox: ("agent__named=agent-777", "q=agent-777"),
        RunEvent: (f"run__id__exact={foreign[Run].pk}", f"q={foreign[Run].pk}"),
        Approval: (f"run__id__exact={foreign[Run].pk}",),
        InferenceCall: (f"run_id__exact={foreign[Run].pk}", "sandbox__agent__named=agent-777"),
    }  # fmt: skip

    for model, queries in asked.items():
        for query in queries:
            page = console.list(model, f"?{query}")
            assert page.status_code == 200, query
            assert page.context["cl"].result_count == 0, query
            own = re.sub(r'(value|href|action)="[^"]*"', "", page.content.decode())
            assert not [trace for trace in traces(foreign, 777) if trace in own], query


def test_a_filter_finds_by_name_what_one_may_see(ada: User) -> None:
    rows = world(ada, 1)
    world(ada, 2)
    console = Console(ada)

    for query in (
        "agent__named=AGENT-1",
        f"agent__id__exact={rows[Agent].pk}",
        "actor__named=ada&agent__named=agent-1",
    ):
        assert list(console.list(Run, f"?{query}").context["cl"].result_list) == [rows[Run]]


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.ADMIN])
def test_search_boxes_of_forms_offer_what_one_may_see(ada: User, role: str) -> None:
    foreign, otto = world(person("alice-777"), 777), person("otto", Role.OPERATOR)
    reader = otto if role == Role.OPERATOR else ada
    client = Console(reader).client
    fields = (
        ("agent", "soul"),
        ("agent", "route"),
        ("agent", "policies"),
        ("agent", "owner"),
        ("modelroute", "provider"),
    )

    for model, field in fields:
        answer = client.get(
            reverse("admin:autocomplete"),
            {"app_label": "agents", "model_name": model, "field_name": field, "term": "777"},
        )
        told = answer.content.decode()
        if role == Role.OPERATOR:
            assert answer.status_code in (200, 403)
            assert not [trace for trace in traces(foreign, 777) if trace in told]
        elif field == "soul":
            assert "soul-777" in told


@pytest.mark.parametrize("role", [Role.USER, Role.VIEWER])
def test_only_operators_and_admins_get_in(role: str) -> None:
    client = Console(person("mallory-9", role)).client

    for model in MODELS:
        answer = client.get(Console().address(model))
        assert answer.status_code == 302
        assert answer["Location"].startswith("/admin/login/")


def test_a_list_counts_no_further_than_anybody_would_leaf(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.admin_paging.CAP", 3)
    monkeypatch.setattr("logos_site.templatetags.console.CAP", 3)
    for number in range(5):
        person(f"person-{number}")

    page = Console(ada).list(User).content.decode()

    assert "more than 3" in page


def test_a_list_costs_at_most_ten_queries(ada: User) -> None:
    for number in range(1, 4):
        world(ada, number)
    console = Console(ada)

    for model in MODELS:
        with CaptureQueriesContext(connection) as captured:
            console.list(model)
        assert len(captured) <= 10, model


def test_a_row_leads_to_its_page_and_back(ada: User) -> None:
    rows = world(ada, 1)
    console = Console(ada)

    for model in (Agent, Run, Conversation):
        page = console.open(rows[model]).content.decode()
        site = admin.site._registry[model].get_view_on_site_url(rows[model])
        assert f'href="{site}"' in page
        assert console.client.get(site).status_code == 200
    for model in (Agent, Run):
        site = admin.site._registry[model].get_view_on_site_url(rows[model])
        assert console.address(model, "change", rows[model].pk) in console.client.get(site).content.decode()


def test_people_who_may_not_use_the_console_see_no_way_to_it(alice: User, atlas: Agent) -> None:
    client = Client()
    client.force_login(alice, backend="allauth.account.auth_backends.AuthenticationBackend")

    assert "/admin/" not in client.get(f"/agents/{atlas.pk}/").content.decode()


def test_what_hangs_off_a_row_is_below_it(ada: User) -> None:
    rows = world(ada, 1)
    console = Console(ada)
    agent, run = console.open(rows[Agent]).content.decode(), console.open(rows[Run]).content.decode()

    assert console.address(Run, "change", rows[Run].pk) in agent
    assert f"{console.address(Run)}?agent__id__exact={rows[Agent].pk}" in agent
    assert console.address(Sandbox, "change", rows[Sandbox].pk) in agent
    assert console.address(Approval, "change", rows[Approval].pk) in run
    assert console.address(InferenceCall, "change", rows[InferenceCall].pk) in run
    assert f"{console.address(RunEvent)}?run__id__exact={rows[Run].pk}" in run


def test_below_a_shared_agent_an_operator_sees_only_their_own_runs(ada: User) -> None:
    foreign = world(person("alice-777"), 777)
    Agent.objects.filter(pk=foreign[Agent].pk).update(visibility="shared", name="for all")
    otto = person("otto", Role.OPERATOR)

    page = Console(otto).open(foreign[Agent]).content.decode()

    assert "for all" in page
    for model in (Run, Conversation, Soul, ModelRoute):
        assert str(foreign[model].pk).rpartition("_")[2] not in page


ABSOLUTE = re.compile(r"\b(?:Jan|Feb|March|April|May|June|July|Aug|Sept|Oct|Nov|Dec)[a-z]*\.? \d{1,2}, \d{4}")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_times_are_relative_with_the_exact_one_on_hover(ada: User, model: type[Model]) -> None:
    world(ada, 1)
    console = Console(ada)
    row = model._default_manager.order_by().first()
    pages = [console.list(model)]
    if row is not None:
        pages.append(
            console.client.get(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk]))
        )

    for page in pages:
        assert page.status_code == 200
        assert not ABSOLUTE.search(page.content.decode()), ABSOLUTE.search(page.content.decode())[0]
    assert row is None or not isinstance(row, Agent | ApiToken) or '<time datetime="' in pages[-1].content.decode()
