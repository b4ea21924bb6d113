"""Whom it concerns is told that much of a budget is used: once for each threshold, and never how much it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core import mail
from pytest_django import Settings

from agents import permissions
from agents.models import Agent, Role, User
from channels_app import budget_notices, confirming
from channels_app.models import Notices
from runs.budgets.limits import Spender
from runs.models import Budget, BudgetWarning
from tests.channels_app.push_service import PushService, told
from tests.channels_app.test_notices import mails, service, switch_on
from tests.conftest import person
from tests.runs.budgets.conftest import budget, one, reserve, settle

__all__ = ["mails", "service"]  # fixtures

pytestmark = pytest.mark.django_db


def warned(row: Budget, bucket: str, threshold: int = 80) -> BudgetWarning:
    values: dict[str, Any] = {"used": 12_345_000_000, "at": "2026-11-20T10:00:00Z"}
    return BudgetWarning.objects.create(budget=row, bucket=bucket, threshold=threshold, **values)


def paths(service: PushService) -> list[str]:
    return sorted(sent.path.removeprefix("/push/") for sent in service.sent)


def test_who_spends_is_told_by_itself_once_for_each_threshold(
    alice: User, atlas: Agent, service: PushService, django_capture_on_commit_callbacks: Any
) -> None:
    keys = switch_on(alice, service)
    row = budget(1_000, scope="person", person=alice)
    spender = Spender("run_1", "conv_1", atlas.pk, alice.pk)

    with django_capture_on_commit_callbacks(execute=True):
        for number, tokens in enumerate((300, 250, 100, 200)):
            one(reserve(spender, tokens, call=f"infer_{number}"))
            one(settle(spender, f"infer_{number}", tokens))

    said = [told(keys, sent) for sent in service.sent]
    assert [each["title"] for each in said] == ["50 % of a budget is used", "80 % of a budget is used"]
    assert {each["url"] for each in said} == {f"/budgets/{row.pk}/"}
    assert "$" not in json.dumps(said)
    assert "alice" not in json.dumps(said)


def test_a_task_that_runs_twice_tells_once(alice: User, service: PushService) -> None:
    switch_on(alice, service)
    warning = warned(budget(1, scope="person", person=alice), f"person_id:{alice.pk}", 100)

    assert budget_notices.reached(warning.pk) == 1
    assert budget_notices.reached(warning.pk) == 0
    assert budget_notices.reached(0) == 0


def test_of_an_agent_the_owner_is_told_and_who_may_set_its_budget(
    alice: User, bob: User, ada: User, atlas: Agent, service: PushService
) -> None:
    olga, otto = person("olga", Role.OPERATOR), person("otto", Role.OPERATOR)
    permissions.grant(olga, "manage", atlas)
    for who in (alice, bob, ada, olga, otto):
        switch_on(who, service, who.username)

    budget_notices.reached(warned(budget(1, scope="agent", agent=atlas), f"agent_id:{atlas.pk}").pk)

    assert paths(service) == ["ada", "alice", "olga"]


def test_of_one_that_holds_for_each_only_the_one_it_is_about_is_told(
    alice: User, bob: User, ada: User, atlas: Agent, service: PushService
) -> None:
    for who in (alice, bob, ada):
        switch_on(who, service, who.username)

    budget_notices.reached(warned(budget(1, scope="person"), f"person_id:{bob.pk}").pk)

    assert paths(service) == ["bob"]


def test_of_the_whole_house_admins_are_told(alice: User, ada: User, service: PushService) -> None:
    for who in (alice, ada):
        switch_on(who, service, who.username)

    budget_notices.reached(warned(budget(1), ":site", 100).pk)

    assert paths(service) == ["ada"]


def test_by_mail_stands_a_percentage_and_no_amount(alice: User, mails: list[mail.EmailMessage]) -> None:
    row = budget(1, scope="person", person=alice)
    Notices.objects.create(user=alice, by_mail=True)

    assert confirming.is_confirmed(alice)
    assert budget_notices.reached(warned(row, f"person_id:{alice.pk}").pk) == 1
    assert mails[0].subject == "80 % of a budget is used"
    assert f"https://logos.example.org/budgets/{row.pk}/" in mails[0].body
    assert "$" not in mails[0].body
    assert "12.3" not in mails[0].body


def test_who_wants_no_notices_gets_none(alice: User, service: PushService, settings: Settings) -> None:
    switch_on(alice, service)
    Notices.objects.update_or_create(user=alice, defaults={"by_push": False})

    assert budget_notices.reached(warned(budget(1, scope="person", person=alice), f"person_id:{alice.pk}").pk) == 0
    assert service.sent == []
