"""Several must allow, operators are called when a person is slow, and people are measured, with requests that are none."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from agents import composition, permissions, routes, souls
from agents.errors import Conflict, Invalid, LogosError, NotFound
from agents.models import Agent, Role, User
from runs import approvals, dispatch
from runs.approvals import RuleWish
from runs.models import Approval, ApprovalRule, Run, Scope, Tier
from tests.api_client import Program
from tests.conftest import person
from tests.shell import run as shell


@pytest.fixture
def run(alice: User, atlas: Agent) -> Run:
    return dispatch.start(alice, "Hello", agent=atlas).run


@pytest.fixture
def otto(atlas: Agent) -> User:
    otto = person("otto", Role.OPERATOR)
    permissions.grant(otto, "manage", atlas)
    return otto


def ask(run: Run, tier: str = Tier.ADMIN, **more: Any) -> Approval:
    return approvals.ask("command", subject={"command": "make"}, title="builds", run_id=run.pk, tier=tier, **more)


def test_the_last_of_those_who_must_allow_it_decides_for_the_narrowest_choice(
    run: Run, alice: User, ada: User, otto: User
) -> None:
    asked = ask(run, needed=2)

    assert approvals.decide(otto, asked, "rule").state == "pending"
    with pytest.raises(Conflict, match="allowed this already"):
        approvals.decide(otto, asked, "once")
    with pytest.raises(NotFound):
        approvals.decide(alice, asked, "once")
    decided = approvals.decide(ada, asked, "once")

    assert (decided.state, decided.choice, decided.decided_by) == ("allowed", "once", ada)
    assert [vote["by"] for vote in decided.votes] == [otto.pk, ada.pk]
    assert not ApprovalRule.objects.exists()


def test_a_rule_of_several_goes_no_further_than_each_of_them_said(run: Run, ada: User, otto: User) -> None:
    asked = ask(run, needed=2)
    approvals.decide(otto, asked, "rule", rule=RuleWish(Scope.RUN, 600))
    rule = approvals.decide(ada, asked, "rule").rule

    assert rule is not None
    assert (rule.scope, rule.run, rule.made_by) == ("run", run, ada)
    assert rule.expires_at <= timezone.now() + timedelta(seconds=600)


def test_nobody_counts_towards_a_rule_they_may_not_make(run: Run, otto: User) -> None:
    asked = ask(run, needed=2)
    with pytest.raises(Invalid, match="may live"):
        approvals.decide(otto, asked, "rule", rule=RuleWish(Scope.RUN, 10**9))
    asked.refresh_from_db()
    assert asked.votes == []


def test_one_who_denies_denies(run: Run, ada: User, otto: User) -> None:
    asked = ask(run, needed=3)
    approvals.decide(otto, asked, "once")

    assert approvals.decide(ada, asked, "deny").state == "denied"


def test_leave_of_somebody_who_may_not_any_more_does_not_count(run: Run, ada: User, otto: User, atlas: Agent) -> None:
    asked = ask(run, needed=2)
    approvals.decide(otto, asked, "once")
    permissions.revoke(otto, "manage", atlas)

    assert approvals.decide(ada, asked, "once").state == "pending"


def test_a_setting_says_how_many_operators_it_takes(run: Run, ada: User, settings: Any) -> None:
    settings.LOGOS_APPROVERS = 2

    assert (ask(run).needed, ask(run, Tier.USER).needed) == (2, 1)
    assert Program(ada).post(f"approvals/{ask(run).pk}", {"choice": "once"})["allowed_by"] == 1


@pytest.mark.django_db(transaction=True)
def test_two_who_allow_at_once_are_two() -> None:
    admins = [person(f"admin-{number}", Role.ADMIN) for number in range(2)]
    owner = person("owner")
    routes.rehearsal_route()
    agent = composition.create(owner, "atlas", souls.create("Kind", "Be kind.", owner))
    asked = ask(dispatch.start(owner, "Hello", agent=agent).run, needed=2)
    start, failed = threading.Barrier(2), []

    def allow(admin: User) -> None:
        try:
            start.wait(timeout=60)
            approvals.decide(admin, Approval.objects.get(pk=asked.pk), "once")
        except Exception as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=allow, args=(admin,)) for admin in admins]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    asked.refresh_from_db()
    assert (failed, asked.state, len(asked.votes)) == ([], "allowed", 2)


def test_what_a_person_leaves_lying_goes_to_operators_too(
    run: Run, alice: User, otto: User, bob: User, settings: Any
) -> None:
    ask(run, Tier.USER)
    approvals.settle()
    assert not approvals.open_for(otto).exists(), "never, unless the setting says so"
    Approval.objects.all().delete()

    settings.LOGOS_ESCALATE_AFTER_S = 60
    asked = ask(run, Tier.USER)
    assert approvals.settle() == 0
    assert not approvals.open_for(otto).exists(), "not at once"
    Approval.objects.update(escalates_at=timezone.now() - timedelta(seconds=1))
    approvals.settle()

    assert [list(approvals.open_for(user)) for user in (otto, alice, bob)] == [[asked], [asked], []]
    assert approvals.decide(otto, asked, "once").decided_by == otto


def test_figures_tell_how_many_how_fast_and_how_often_a_canary_passed(
    run: Run, alice: User, ada: User, otto: User, mallory: User, atlas: Agent
) -> None:
    for choice in ("once", "deny"):
        asked = ask(run, Tier.USER)
        Approval.objects.filter(pk=asked.pk).update(created_at=timezone.now() - timedelta(seconds=60))
        approvals.decide(alice, asked, choice, via="page")
    lapsed = ask(run, Tier.USER)
    Approval.objects.filter(pk=lapsed.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    approvals.settle()
    none = approvals.canary(ada, alice, atlas)
    shown = Program(alice).get(f"approvals/{none.pk}")
    assert (shown["was_canary"], shown["state"], shown["kind"]) == (False, "pending", "command")

    decided = Program(alice).post(f"approvals/{none.pk}", {"choice": "rule", "rule": {"hours": 1}})

    assert decided["was_canary"] is True
    assert not ApprovalRule.objects.exists(), "it does nothing"
    figure, none_of_hers = approvals.figures(ada)
    assert (none_of_hers.username, none_of_hers.decided, none_of_hers.expired) == ("ada", 0, 1)
    assert (figure.username, figure.decided, figure.allowed, figure.denied) == ("alice", 3, 2, 1)
    assert (figure.hasty, figure.canaries, figure.missed, figure.expired) == (1, 1, 1, 1)
    assert 39 < figure.average_s < 60
    assert Program(ada).get("approvals/figures")[0]["missed"] == 1
    assert approvals.figures(otto)
    assert not approvals.figures(person("orla", Role.OPERATOR))
    with pytest.raises(LogosError):
        approvals.figures(alice)
    with pytest.raises(Invalid):
        approvals.figures(ada, 0)


def test_canaries_are_put_by_who_manages_people_to_who_uses_the_agent(
    alice: User, ada: User, otto: User, mallory: User, atlas: Agent
) -> None:
    with pytest.raises(LogosError):
        approvals.canary(otto, alice, atlas)
    with pytest.raises(Invalid):
        approvals.canary(ada, mallory, atlas)
    body = {"person": "alice", "agent_id": atlas.pk}
    Program(otto).post("approvals/canaries", body, 403)
    put = Program(ada).post("approvals/canaries", body, 201)["id"]
    assert list(approvals.open_for(alice).values_list("pk", flat=True)) == [put]
    assert shell("approvals", "canary", "alice", "atlas").code == 0
    assert "alice" not in shell("approvals", "figures").out
    assert shell("approvals", "decide", put, "deny", "--user", "alice").code == 0
    assert "alice" in shell("approvals", "figures", "--days", "7").out
