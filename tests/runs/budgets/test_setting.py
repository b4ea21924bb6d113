"""Budgets are set by those who may, say only what makes sense, and are read with what is used of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from agents import permissions
from agents.errors import Invalid, LogosError, NotFound
from agents.models import Agent, ModelRoute, User
from runs.budgets import setting
from runs.budgets.limits import Spender
from runs.models import Budget
from tests.api_client import Program
from tests.conftest import person
from tests.runs.budgets.conftest import budget, one, reserve, settle

pytestmark = pytest.mark.django_db

Browser = Callable[..., Client]

FIELDS = {
    "scope": "agent",
    "window": "day",
    "zone": "UTC",
    "amount": "2",
    "unknown_price": "refuse",
    "on_limit": "refuse",
}


@pytest.fixture
def oscar(atlas: Agent) -> User:
    """An operator who looks after Atlas."""
    oscar = person("oscar", "operator")
    permissions.grant(oscar, "manage", atlas)
    return oscar


def wish(**fields: Any) -> dict[str, Any]:
    return {"scope": "site", "window": "day", "amount": Decimal(2), **fields}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"amount": Decimal(-1)}, "amount"),
        ({"amount": Decimal("NaN")}, "amount"),
        ({"amount": Decimal("Infinity")}, "amount"),
        ({"amount": Decimal("0.0000001")}, "amount"),
        ({"amount": Decimal("1e9")}, "amount"),
        ({"amount": 2.0}, "amount"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"zone": "../../etc/passwd"}, "zone"),
        ({"window": "life"}, "window"),
        ({"window": "year"}, "window"),
        ({"scope": "everything"}, "scope"),
        ({"unknown_price": "assume"}, "assumed_input"),
        ({"unknown_price": "assume", "assumed_input": Decimal("NaN"), "assumed_output": Decimal(1)}, "assumed_input"),
        ({"on_limit": "fallback"}, "fallback"),
        ({"subject": "run_1"}, "subject"),
        ({"scope": "run", "subject": "run_unknown"}, "subject"),
        ({"name": "x" * 81}, "name"),
        ({"name": "a\x07b"}, "name"),
    ],
)
def test_what_makes_no_sense_is_refused_beside_its_field(ada: User, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        setting.create(ada, **wish(**fields))

    assert refusal.value.field == field
    assert not Budget.objects.exists()


def test_a_model_that_costs_something_cannot_stand_in(ada: User, route: ModelRoute) -> None:
    assert setting.create(ada, **wish(on_limit="fallback", fallback=route)).fallback == route
    route.price_output = Decimal(1)
    route.save()

    with pytest.raises(Invalid, match="costs something"):
        setting.create(ada, **wish(on_limit="fallback", fallback=route))


def test_a_run_has_no_other_window_than_its_life(ada: User) -> None:
    assert setting.create(ada, **wish(scope="run")).window == "life"


def test_who_looks_after_an_agent_limits_it_and_nobody_else(oscar: User, alice: User, bob: User, atlas: Agent) -> None:
    row = setting.create(oscar, **wish(scope="agent", agent=atlas))

    for other in (alice, bob):  # the owner is a user: their own budget is not theirs to raise
        with pytest.raises(NotFound):
            setting.change(other, row.pk, 1, amount=Decimal(9))
        with pytest.raises(NotFound):
            setting.remove(other, row.pk)
    for scope in ("site", "person"):
        with pytest.raises(LogosError):
            setting.create(oscar, **wish(scope=scope))
    with pytest.raises(NotFound):
        setting.change(oscar, row.pk, 1, scope="site", agent=None)
    assert setting.change(oscar, row.pk, 1, amount=Decimal(3)).version == 2
    with pytest.raises(LogosError, match="Somebody saved this first"):
        setting.change(oscar, row.pk, 1, amount=Decimal(4))
    assert [str(each.amount) for each in row.history.order_by("history_id")] == ["2.000000", "3.000000"]


def test_one_sees_ones_own_and_everybodys_and_nobody_elses(ada: User, alice: User, mallory: User, atlas: Agent) -> None:
    rows = {
        "site": budget(1),
        "alice": budget(1, scope="person", person=alice),
        "atlas": budget(1, scope="agent", agent=atlas),
        "each": budget(1, scope="person"),
    }

    def seen(user: User) -> set[str]:
        ids = set(setting.seen_by(user).values_list("pk", flat=True))
        return {name for name, row in rows.items() if row.pk in ids}

    assert seen(ada) == set(rows)
    assert seen(alice) == {"alice", "atlas", "each"}
    assert seen(mallory) == {"each"}


def test_pages_set_change_show_and_delete(browser: Browser, oscar: User, atlas: Agent, alice: User) -> None:
    page = browser(oscar)
    answer = page.post("/budgets/new/", {**FIELDS, "agent": atlas.pk, "is_active": "on"}, follow=True)
    row = Budget.objects.get()
    assert (answer.status_code, row.amount, row.agent, row.made_by) == (200, 2, atlas, oscar)
    who = Spender("run_0", "conv_0", atlas.pk, alice.pk)
    one(reserve(who, 500_000, call="infer_0"))
    one(settle(who, "infer_0", 420_000))

    listed = page.get("/budgets/").content.decode()
    assert "$0.42 of $2.00 in the last 24 hours" in listed
    assert 'value="21"' in listed
    saved = page.post(
        f"/budgets/{row.pk}/", {**FIELDS, "agent": atlas.pk, "amount": "5", "version": 1, "is_active": "on"}
    )
    assert saved.status_code == 302
    stale = page.post(f"/budgets/{row.pk}/", {**FIELDS, "agent": atlas.pk, "amount": "7", "version": 1})
    assert stale.status_code == 409
    assert "Somebody saved this first" in stale.content.decode()
    wrong = page.post(f"/budgets/{row.pk}/", {**FIELDS, "agent": atlas.pk, "amount": "NaN", "version": 2})
    assert wrong.status_code == 400
    assert page.get(f"/budgets/{row.pk}/delete/").status_code == 200
    assert page.post(f"/budgets/{row.pk}/delete/").status_code == 302
    assert not Budget.objects.exists()


def test_pages_offer_a_user_nothing_they_may_not_do(browser: Browser, alice: User, mallory: User, atlas: Agent) -> None:
    row = budget(1, scope="agent", agent=atlas)
    page = browser(alice)

    assert "New budget" not in page.get("/budgets/").content.decode()
    assert b"<form" not in page.get(f"/budgets/{row.pk}/").content.split(b"<main")[-1].split(b"</main")[0]
    assert page.get("/budgets/new/").status_code == 403
    assert page.post(f"/budgets/{row.pk}/", {**FIELDS, "version": 1}).status_code in (400, 404)
    assert browser(mallory).get(f"/budgets/{row.pk}/").status_code == 404
    row.refresh_from_db()
    assert row.version == 1


def test_a_list_costs_the_same_however_long(
    browser: Browser, ada: User, alice: User, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        budget(number + 1, scope="person", person=person(f"p{number}"))
    page = browser(ada)
    page.get("/budgets/")
    with django_assert_max_num_queries(12):
        answer = page.get("/budgets/")
    assert len(answer.content) < 60_000
    assert answer.content.count(b"<progress") == 20


def test_programs_set_change_and_delete(oscar: User, alice: User, atlas: Agent) -> None:
    program = Program(oscar)
    made = program.post("budgets", {"scope": "agent", "agent_id": atlas.pk, "amount": "2.00"}, 201)

    assert (made["amount"], made["used"], made["agent"]["name"]) == ("2.000000", "0", "atlas")
    changed = json.loads(program("PATCH", f"budgets/{made['id']}", {"version": 1, "amount": "5"}).content)
    assert (changed["amount"], changed["version"]) == ("5.000000", 2)
    assert program("PATCH", f"budgets/{made['id']}", {"version": 1, "amount": "6"}).status_code == 409
    for amount in ("-1", "NaN", "1e400", "x", None):
        assert program("PATCH", f"budgets/{made['id']}", {"version": 2, "amount": amount}).status_code in (400, 422)
    assert program("POST", "budgets", {"scope": "person", "person": "alice", "amount": "1"}).status_code in (403, 404)
    assert [each["id"] for each in program.get("budgets")["items"]] == [made["id"]]
    assert Program(alice)("DELETE", f"budgets/{made['id']}").status_code == 404
    assert program("DELETE", f"budgets/{made['id']}").status_code == 204


def test_the_command_lists_sets_and_deletes(
    ada: User, alice: User, atlas: Agent, run_command: Callable[..., str]
) -> None:
    budget_id = run_command("budget", "set", "2.50", "--scope", "agent", "--agent", "atlas").strip()
    run_command("budget", "set", "1", "--scope", "person", "--person", "alice", "--window", "month")

    listed = run_command("budget", "list")
    assert "$0.00 of $2.50 in the last 24 hours" in listed
    assert "alice" in listed
    run_command("budget", "change", budget_id, "--off")
    assert json.loads(run_command("budget", "show", budget_id, "--json"))["is_active"] is False
    run_command("budget", "delete", budget_id)
    assert Budget.objects.count() == 1
    with pytest.raises(Exception, match="no amount of money"):
        run_command("budget", "set", "two")
