"""How people decide: each sees their own, operators those of what they may see, admins what became of canaries."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from agents import permissions
from agents.errors import Invalid, LogosError
from agents.models import Agent, Role, User
from runs import approvals
from runs.models import Approval
from tests.api_client import Program
from tests.conftest import person
from tests.runs.waiting import waiting
from tests.shell import run as shell

Browser = Callable[..., Client]
PATH = "/approvals/figures/"


@pytest.fixture
def otto(atlas: Agent) -> User:
    otto = person("otto", Role.OPERATOR)
    permissions.grant(otto, "manage", atlas)
    return otto


def decided(who: User, asked: Approval, choice: str, after_s: float) -> None:
    approvals.decide(who, asked, choice, via="page")
    now = timezone.now()
    Approval.objects.filter(pk=asked.pk).update(decided_at=now, created_at=now - timedelta(seconds=after_s))


def lapse(asked: Approval) -> None:
    Approval.objects.filter(pk=asked.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    approvals.settle()


def test_the_median_is_not_bent_by_one_who_went_to_lunch(alice: User, atlas: Agent) -> None:
    for seconds in (10, 20, 7200):
        decided(alice, waiting(alice, atlas), "once", seconds)

    figure = approvals.own(alice)

    assert 20 <= figure.median_s < 25
    assert figure.average_s > 2000
    assert (figure.allowed_percent, figure.denied_percent) == (100, 0)


def test_what_lapsed_counts_for_everybody_who_could_have_decided_it(
    alice: User, bob: User, ada: User, otto: User, atlas: Agent
) -> None:
    lapse(waiting(alice, atlas))
    lapse(waiting(alice, atlas, tier="admin"))
    lapse(waiting(bob, atlas))

    assert approvals.own(alice).expired == 1, "what her run asked of operators was not hers to decide"
    assert approvals.own(bob).expired == 1
    assert approvals.own(otto).expired == 1
    told = {figure.username: figure.expired for figure in approvals.figures(ada)}
    assert told == {"alice": 1, "bob": 1, "otto": 1, "ada": 3}
    assert {figure.username for figure in approvals.figures(person("orla", Role.OPERATOR))} == set()


def test_leave_given_as_one_of_several_is_counted_apart(alice: User, ada: User, otto: User, atlas: Agent) -> None:
    asked = waiting(alice, atlas, tier="admin", needed=2)
    approvals.decide(otto, asked, "once")
    assert (approvals.own(otto).decided, approvals.own(otto).votes) == (0, 1)

    approvals.decide(ada, asked, "once", via="page")

    assert (approvals.own(otto).decided, approvals.own(otto).votes) == (0, 1)
    assert (approvals.own(ada).decided, approvals.own(ada).votes) == (1, 0)


def test_only_what_was_asked_within_the_window_counts(alice: User, atlas: Agent) -> None:
    asked = waiting(alice, atlas)
    decided(alice, asked, "once", 5)
    Approval.objects.filter(pk=asked.pk).update(created_at=timezone.now() - timedelta(days=8))

    assert (approvals.own(alice, 7).decided, approvals.own(alice, 30).decided) == (0, 1)
    for days in (0, -1, 367):
        with pytest.raises(Invalid):
            approvals.own(alice, days)


def test_everybody_who_decides_sees_their_own_and_nobody_elses(
    browser: Browser, alice: User, bob: User, viewer: User, atlas: Agent
) -> None:
    decided(alice, waiting(alice, atlas), "deny", 5)
    decided(bob, waiting(bob, atlas), "once", 5)

    shown = browser(alice).get(PATH).content.decode()

    assert len(re.findall(r"<tr><td>", shown)) == 1
    assert "Everybody" not in shown
    assert "Canar" in shown
    assert "Put a canary" not in shown
    assert browser(viewer).get(PATH).status_code in (403, 404)
    assert Program(alice).get("approvals/figures?mine=true")[0]["denied"] == 1
    Program(alice).get("approvals/figures", 403)
    assert "alice" in shell("approvals", "figures", "--mine", "--user", "alice").out
    with pytest.raises(LogosError):
        approvals.own(viewer)


def test_an_operator_sees_the_people_of_the_agents_they_manage(
    browser: Browser, alice: User, otto: User, ada: User, atlas: Agent
) -> None:
    decided(alice, waiting(alice, atlas), "once", 5)

    shown = browser(otto).get(f"{PATH}?days=7").content.decode()
    others = browser(person("orla", Role.OPERATOR)).get(PATH).content.decode()

    assert "<td>alice</td>" in shown
    assert 'value="7" selected' in shown
    assert "Put a canary" not in shown
    assert "alice" not in others


def test_an_admin_puts_a_canary_and_sees_what_became_of_it(
    browser: Browser, alice: User, mallory: User, otto: User, ada: User, atlas: Agent
) -> None:
    client = browser(ada)
    given = {"person": "alice", "agent_id": atlas.pk}
    assert "waits" in client.post(PATH, given, follow=True).content.decode()
    put = Approval.objects.get(is_canary=True)
    approvals.decide(alice, put, "deny")
    client.post(PATH, given)
    missed = Approval.objects.filter(is_canary=True, state="pending").get()
    approvals.decide(alice, missed, "once")
    client.post(PATH, given)
    lapse(Approval.objects.filter(is_canary=True, state="pending").get())

    shown = client.get(PATH).content.decode()

    assert re.findall(r'<span class="state \w+">([\w ]+)</span>\s+<span class="grow">', shown) == [
        "not decided", "missed", "caught"
    ]  # fmt: skip
    results = Program(ada).get("approvals/canaries")["items"]
    assert [each["result"] for each in results] == ["not decided", "missed", "caught"]
    Program(otto).get("approvals/canaries", 403)
    assert "missed" in shell("approvals", "canaries", "--user", "ada").out
    assert browser(otto).post(PATH, given).status_code in (403, 404)
    assert Approval.objects.filter(is_canary=True).count() == 3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"person": "nobody"}, "There is nobody of this name"),
        ({"person": "mallory"}, "does not use that agent"),
        ({"agent_id": "agent_none"}, "Choose an agent"),
        ({"person": "x" * 400}, "There is nobody of this name"),
    ],
)
def test_a_canary_that_cannot_be_put_keeps_what_was_typed(
    browser: Browser, ada: User, alice: User, mallory: User, atlas: Agent, given: dict[str, str], words: str
) -> None:
    answer = browser(ada).post(PATH, {"person": "alice", "agent_id": atlas.pk, **given})

    assert answer.status_code == 400
    assert words in answer.content.decode()
    assert f'value="{given.get("person", "alice")}"' in answer.content.decode()
    assert not Approval.objects.exists()


def test_nobody_is_warned_of_a_canary_that_waits_for_them(browser: Browser, ada: User, atlas: Agent) -> None:
    other = person("arno", Role.ADMIN)
    approvals.canary(ada, other, atlas)

    assert "None was put yet" in browser(other).get(PATH).content.decode()
    assert Program(other).get("approvals/canaries")["items"] == []
    assert len(Program(ada).get("approvals/canaries")["items"]) == 1


def test_more_people_and_decisions_need_no_more_queries(
    browser: Browser, ada: User, alice: User, bob: User, atlas: Agent, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client = browser(ada)
    decided(alice, waiting(alice, atlas), "once", 5)
    approvals.canary(ada, alice, atlas)
    client.get(PATH)
    with CaptureQueriesContext(
        connection,
    ) as before:
        client.get(PATH)
    for who in [bob, *(person(f"operator-{number}", Role.OPERATOR) for number in range(5))]:
        permissions.grant(who, "manage", atlas)
        decided(who, waiting(who, atlas), "deny", 50)
        lapse(waiting(who, atlas))
        approvals.canary(ada, who, atlas)

    with django_assert_num_queries(len(before)):
        page: Any = client.get(PATH)

    assert len(page.content) < 60_000
    assert page.content.decode().count("<tr><td>") >= 8
