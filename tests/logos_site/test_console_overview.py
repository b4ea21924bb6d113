"""The console's front page: numbers of what one may see, each leading to its rows."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import Task

from agents.models import Role, User
from logos_site.console.overview import overview
from runs.models import Approval, Run
from sandboxes.models import InferenceCall, Sandbox
from tests.conftest import person
from tests.console import Console
from tests.world import world

pytestmark = pytest.mark.django_db


def figures(user: User) -> dict[str, str]:
    """What the page says, name by name; the first of several spans counts."""
    found: dict[str, str] = {}
    for section in overview(user):
        every = [*section.get("figures", ())]
        for span in section.get("spans", ()):
            every += [span["total"], span["cost"], *span["figures"]]
        for figure in every:
            found.setdefault(figure.name, str(figure.text))
    return found


def test_it_counts_what_ran_and_what_it_cost(ada: User) -> None:
    for number in (1, 2, 3):
        world(ada, number)
    ids = list(Run.objects.values_list("pk", flat=True))
    Run.objects.filter(pk=ids[0]).update(cost=Decimal("0.25"))
    Run.objects.filter(pk=ids[1]).update(cost=Decimal("0.50"), status="failed")
    Run.objects.filter(pk=ids[2]).update(
        created_at=timezone.now() - timedelta(days=3), cost=Decimal(1), status="failed"
    )

    said = figures(ada)

    assert (said["runs"], said["done"], said["failed"], said["cost"]) == ("2", "1", "1", "$0.75")
    week = overview(ada)[0]["spans"][1]
    assert (week["total"].text, week["cost"].text) == ("3", "$1.75")

    Run.objects.filter(pk=ids[0]).update(cost=None, model_calls=2)
    assert figures(ada)["cost"] == "at least $0.50"


def test_it_says_what_waits_and_what_is_unhealthy(ada: User) -> None:
    rows = world(ada, 1)
    assert figures(ada)["waiting for an answer"] == "0"
    later = timezone.now() + timedelta(minutes=5)
    Approval.objects.update(state="pending", expires_at=later)
    Run.objects.update(status="queued", created_at=timezone.now() - timedelta(minutes=10), finished_at=None)
    Sandbox.objects.update(state="failed")
    InferenceCall.objects.update(status=500, model=rows[InferenceCall].model)
    Task.objects.create(id="t" * 32, name="x", func="f", started=timezone.now(), stopped=timezone.now(), success=False)

    said = figures(ada)

    assert said["waiting for an answer"] == "1"
    assert said["queued for more than two minutes"] == "1"
    assert said["sandbox failed"] == "1"
    assert said["calls of model-1 failed in the last hour"] == "1 of 1"
    assert said["background task failed in 24 hours"] == "1"
    assert said["background work"] == "not well"


def test_every_number_leads_to_as_many_rows(ada: User) -> None:
    for number in (1, 2):
        world(ada, number)
    Approval.objects.update(state="pending", expires_at=timezone.now() + timedelta(minutes=5))
    Sandbox.objects.update(state="failed")
    InferenceCall.objects.update(status=502)
    console = Console(ada)
    page = console.client.get("/admin/").content.decode()

    links = re.findall(r'<a href="(/admin/[^"]*\?[^"]*)"><b[^>]*>([\d,]+)(?: of \d+)?</b>', page)

    assert len(links) > 8
    for address, number in links:
        answer = console.client.get(unescape(address))
        assert answer.status_code == 200, address
        assert answer.context["cl"].result_count == int(number), address


def test_an_operators_overview_counts_their_own(ada: User) -> None:
    world(person("alice-7772026"), 777)
    Sandbox.objects.update(state="failed")
    InferenceCall.objects.update(status=500)
    otto = person("otto", Role.OPERATOR)

    said, page = figures(otto), Console(otto).client.get("/admin/").content.decode()

    assert said["runs"] == "0"
    assert "sandbox failed" not in said
    assert "7772026" not in page


@pytest.mark.parametrize("role", [Role.ADMIN, Role.OPERATOR])
def test_it_costs_the_same_however_much_there_is(role: str) -> None:
    reader = person("reader", role)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert len(Console(reader).client.get("/admin/").content) < 60 * 1024
        return len([query for query in captured if not query["sql"].startswith(("SAVEPOINT", "RELEASE"))])

    world(reader, 1)
    few = queries()
    for number in range(2, 8):
        world(reader, number)

    assert queries() == few
    client = Console(reader).client
    with CaptureQueriesContext(connection) as captured:
        client.get("/admin/")
    assert len(captured) <= 12
