"""Configuration as it was: at a moment, and when a run began beside what its STAMP recorded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from html import unescape
from urllib.parse import quote

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from agents import composition, permissions, routes, sharing, souls
from agents.models import Agent, ModelRoute, Policy, Role, Soul, User, Visibility
from agents.past import asof
from tests.api_client import Program
from tests.conftest import person
from tests.rules import rules
from tests.runs.acting import finished

pytestmark = pytest.mark.django_db

Browser = Callable[..., Client]


def text_of(answer: HttpResponse) -> str:
    assert answer.status_code == 200
    return " ".join(unescape(answer.content.decode()).split())


@pytest.fixture
def then(alice: User, atlas: Agent, soul: Soul) -> datetime:
    """A moment; afterwards everything changes."""
    moment = timezone.now()
    composition.change(alice, atlas, name="borealis", description="New", toolsets=["file"])
    souls.change(soul, alice, name="Louder hand", text="Be loud.")
    return moment


def facts_of(user: User, kind: str, model: type, at: datetime) -> dict[str, dict[str, str]]:
    return {each.name: dict(each.facts) for each in asof.facts(user, kind, list(asof.records(user, model, at)), at)}


def test_rows_are_as_they_were_and_so_are_the_names_they_refer_to(alice: User, then: datetime) -> None:
    before, now = facts_of(alice, "agent", Agent, then), facts_of(alice, "agent", Agent, timezone.now())

    assert before["atlas"]["Soul"] == "Steady hand"
    assert before["atlas"]["Toolsets"] == "terminal, file"
    assert now["borealis"] | {"Owner": ""} == {
        "Owner": "", "Visibility": before["atlas"]["Visibility"], "Description": "New", "Soul": "Louder hand",
        "Toolsets": "file", "Runtime": "hermes",
    }  # fmt: skip


def test_before_there_was_anything_there_was_nothing(alice: User, atlas: Agent, browser: Browser) -> None:
    assert not facts_of(alice, "agent", Agent, timezone.now() - timedelta(days=1))
    assert "There was none" in text_of(browser(alice).get("/asof/", {"at": "2001-01-01T00:00:00"}))


def test_what_was_deleted_since_is_there_for_admins_alone(ada: User, alice: User, browser: Browser) -> None:
    policy = Policy.objects.create(name="Old rules", owner=alice, rules=rules("pypi.org"), visibility=Visibility.SHARED)
    then = timezone.now()
    policy.delete()
    operator = person("olive", Role.OPERATOR)

    assert facts_of(ada, "policy", Policy, then)["Old rules"]["Rules"] == "pypi.org"
    for who in (alice, operator):
        assert not facts_of(who, "policy", Policy, then)
    page = text_of(browser(ada).get("/asof/", {"kind": "policy", "at": then.isoformat()}))
    assert "deleted since" in page
    assert not facts_of(ada, "policy", Policy, timezone.now())


def test_the_past_is_open_to_whom_history_is_open(
    alice: User, bob: User, mallory: User, then: datetime, browser: Browser, atlas: Agent
) -> None:
    sharing.set_visibility(alice, atlas, Visibility.SHARED)
    operator = person("olive", Role.OPERATOR)

    assert "atlas" in facts_of(operator, "agent", Agent, then)
    for who in (bob, mallory):
        assert not facts_of(who, "agent", Agent, then)
        page = browser(who).get("/asof/", {"at": then.isoformat()}).content.decode()
        assert "borealis" not in page
        assert "atlas" not in page
    assert facts_of(operator, "agent", Agent, then)["atlas"]["Soul"] == asof.HIDDEN, "the soul is private"
    assert browser().get("/asof/").status_code == 302


def test_moments_in_any_spelling_and_none(alice: User, then: datetime, browser: Browser) -> None:
    client = browser(alice)

    for wrong in (
        "yesterday",
        "2026-13-45T00:00",
        "\x00",
        "9999-12-31T23:59:59+14:00",
        "0001-01-01T00:00:00-14:00",
        "1" * 500,
    ):
        assert client.get("/asof/", {"at": wrong}).status_code == 200, wrong
    assert "That is not a date and time" in text_of(client.get("/asof/", {"at": "yesterday"}))
    assert "changed since" in text_of(client.get("/asof/", {"at": then.isoformat()}))
    assert client.get("/asof/", {"kind": "nothing", "after": "x", "run": "run_none"}).status_code == 404


def test_a_run_beside_what_was_configured(alice: User, atlas: Agent, soul: Soul, browser: Browser) -> None:
    policy = Policy.objects.create(name="Web", owner=alice, rules=rules("pypi.org"))
    alice.role = Role.OPERATOR  # who may edit a policy
    alice.save()
    atlas.policies.add(policy)
    run = finished(alice, atlas)
    composition.change(alice, atlas, name="borealis", toolsets=["file"], policies=[])
    souls.change(soul, alice, text="Be loud.")

    page = text_of(browser(alice).get("/asof/", {"run": run.pk}))
    told = Program(alice).get(f"asof?run={run.pk}")

    assert page.count(">same<") == 5
    assert "Steady hand, revision 1" in page
    by_name = {each["name"]: each for each in told["dimensions"]}
    assert by_name["Permissions"] == {"name": "Permissions", "recorded": "pypi.org", "then": "pypi.org", "same": True}
    assert by_name["Tools"]["then"] == "file, terminal"
    assert told["items"][0]["name"] == "atlas"
    assert f"/asof/?run={run.pk}" in browser(alice).get(f"/runs/{run.pk}/").content.decode()


def test_a_stamp_that_does_not_fit_is_seen(ada: User, alice: User, atlas: Agent) -> None:
    run = finished(alice, atlas)
    run.stamp["soul"]["sha256"] = "0" * 64
    run.stamp["model"]["model"] = "another"
    run.save()

    told = {each["name"]: each["same"] for each in Program(ada).get(f"asof?run={run.pk}")["dimensions"]}

    assert told == {"Soul": False, "Tools": True, "Agent runtime": True, "Model": False, "Permissions": True}


def test_who_sees_the_run_alone_reads_what_it_recorded_and_no_more(
    bob: User, alice: User, atlas: Agent, mallory: User, browser: Browser
) -> None:
    run = finished(bob, atlas)

    page = text_of(browser(bob).get("/asof/", {"run": run.pk}))

    assert page.count(asof.NOT_OPEN) == 5
    assert browser(mallory).get("/asof/", {"run": run.pk}).status_code == 404
    assert Program(mallory).get(f"asof?run={run.pk}", 404)


def test_the_default_route_of_that_time_counts(ada: User, alice: User, atlas: Agent, route: ModelRoute) -> None:
    run = finished(alice, atlas)
    routes.make_default(routes.add_route(route.provider, "another", ada))

    told = {each["name"]: each for each in Program(ada).get(f"asof?run={run.pk}")["dimensions"]}

    assert told["Model"]["same"]
    assert told["Model"]["then"].startswith("rehearsal-1 of")


def test_the_api_pages_by_id(ada: User, alice: User, soul: Soul) -> None:
    made = [composition.create(alice, f"agent-{number}", soul).pk for number in range(5)]
    program, seen, after = Program(ada), [], ""
    at = quote(timezone.now().isoformat())
    while after is not None:
        told = program.get(f"asof?at={at}&limit=2&after={after}")
        seen += [each["id"] for each in told["items"]]
        after = told["next"]

    assert seen == sorted(made)
    assert program.get("asof?at=2026-01-01T00:00:00", 400)["error"]["field"] == "at"
    assert program.get("asof?kind=person", 422)


def test_a_page_costs_the_same_however_many_rows(
    ada: User, alice: User, soul: Soul, browser: Browser, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    policy = Policy.objects.create(name="Web", visibility=Visibility.SHARED)
    for number in range(40):
        composition.create(alice, f"agent-{number:02}", soul, policies=[policy])
    client = browser(ada)

    for kind in asof.SHOWN:
        with django_assert_max_num_queries(12):
            page = client.get("/asof/", {"kind": kind})
        assert len(page.content) < 60_000
    first = text_of(client.get("/asof/"))
    assert "agent-24" in first
    assert "agent-25" not in first
    assert "agent-39" in text_of(client.get("/asof/", {"text": "39"}))


def test_a_grant_to_edit_opens_the_past(alice: User, then: datetime, mallory: User, atlas: Agent) -> None:
    permissions.grant(mallory, "edit", atlas)

    assert set(facts_of(mallory, "agent", Agent, then)) == {"atlas"}
