"""Who decides is a row: how many people, of which group, who after a while; frozen into a request when it is asked."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.utils import timezone

from agents import composition, groups, permissions, routes, souls
from agents.editing import Stale
from agents.errors import Conflict, Invalid, LogosError, NotFound
from agents.models import Agent, Policy, Role, SecurityEvent, User
from runs import approvals, dispatch
from runs.approvals import panels
from runs.models import Approval, Panel, Run
from tests.api_client import Program
from tests.conftest import person
from tests.shell import run as shell

Browser = Callable[..., Client]


@pytest.fixture
def team(bob: User) -> Group:
    """Bob and Carol are on call."""
    team = Group.objects.create(name="on call")
    for member in (bob, person("carol"), person("vic", Role.VIEWER)):
        member.groups.add(team)
    return team


@pytest.fixture
def run(alice: User, atlas: Agent) -> Run:
    return dispatch.start(alice, "Hello", agent=atlas).run


def carol() -> User:
    return User.objects.get(username="carol")


def asked_by(run: Run, **more: Any) -> Approval:
    return approvals.ask("command", subject={"command": "make"}, title="builds", run_id=run.pk, **more)


def lapse_of_minutes(asked: Approval) -> None:
    """Its others are to be called now."""
    Approval.objects.filter(pk=asked.pk).update(escalates_at=timezone.now() - timedelta(seconds=1))
    approvals.settle()
    asked.refresh_from_db()


def test_members_of_the_team_decide_and_nobody_else(
    run: Run, alice: User, bob: User, mallory: User, ada: User, team: Group
) -> None:
    panels.create(ada, team=team)
    asked = asked_by(run)

    assert (asked.team, asked.team_name, asked.needed) == (team, "on call", 1)
    assert [list(approvals.open_for(user)) for user in (bob, carol(), alice, ada)] == [[asked], [asked], [], []]
    for outsider, error in ((mallory, NotFound), (User.objects.get(username="vic"), NotFound), (alice, LogosError)):
        with pytest.raises(error):
            approvals.decide(outsider, asked, "once")
    assert approvals.decide(bob, asked, "once").decided_by == bob


def test_whose_run_asks_may_refuse_what_a_team_decides(run: Run, alice: User, ada: User, team: Group) -> None:
    panels.create(ada, team=team)

    assert approvals.decide(alice, asked_by(run), "deny", note="Never mind.").state == "denied"


def test_whose_run_asks_never_fills_it_alone(run: Run, alice: User, bob: User, ada: User, team: Group) -> None:
    alice.groups.add(team)
    panels.create(ada, team=team)
    alone = asked_by(run)
    with pytest.raises(LogosError) as refused:
        approvals.decide(alice, alone, "once")
    assert refused.value.reason == "own_request"
    assert not approvals.open_for(alice).exists()

    panels.create(ada, kind="command", team=team, needed=2)
    two = asked_by(run)
    assert approvals.decide(alice, two, "once").state == "pending"
    with pytest.raises(Conflict):
        approvals.decide(alice, two, "once")
    assert approvals.decide(bob, two, "once").state == "allowed"


def test_whose_run_asks_never_fills_it_alone_when_the_team_is_gone(
    run: Run, alice: User, ada: User, atlas: Agent, team: Group
) -> None:
    User.objects.filter(pk=alice.pk).update(role=Role.OPERATOR)
    alice.refresh_from_db()
    permissions.grant(alice, "manage", atlas)
    panel = panels.create(ada, team=team, escalate_min=3)
    asked = asked_by(run)
    panels.remove(ada, panel.pk)
    team.delete()
    lapse_of_minutes(asked)

    assert not approvals.open_for(alice).exists()
    with pytest.raises(LogosError) as refused:
        approvals.decide(alice, asked, "once")
    assert refused.value.reason == "own_request"
    assert approvals.decide(ada, asked, "once").state == "allowed"


@pytest.mark.parametrize("lost", ["suspended", "left the team", "became a viewer"])
def test_leave_of_who_may_no_more_does_not_count(run: Run, bob: User, ada: User, team: Group, lost: str) -> None:
    dora = person("dora")
    dora.groups.add(team)
    panels.create(ada, team=team, needed=2)
    asked = asked_by(run)
    approvals.decide(bob, asked, "once")
    if lost == "suspended":
        User.objects.filter(pk=bob.pk).update(is_active=False)
    elif lost == "left the team":
        bob.groups.remove(team)
    else:
        User.objects.filter(pk=bob.pk).update(role=Role.VIEWER)

    assert approvals.decide(carol(), asked, "once").state == "pending"
    decided = approvals.decide(dora, asked, "once")

    assert decided.state == "allowed"
    assert {vote["by"] for vote in decided.votes} == {carol().pk, dora.pk}


def test_what_waits_stays_as_it_was_asked(run: Run, bob: User, ada: User, team: Group) -> None:
    panel = panels.create(ada, team=team, needed=2, escalate_min=3)
    asked = asked_by(run)
    panels.change(ada, panel.pk, None, needed=1, team=None, escalate_min=0)

    again = Approval.objects.get(pk=asked.pk)
    assert (again.needed, again.team, again.panel) == (2, team, panel)
    assert again.escalates_at is not None
    assert asked_by(run).needed == 1
    panels.remove(ada, panel.pk)
    assert Approval.objects.get(pk=asked.pk).needed == 2
    assert approvals.decide(bob, asked, "once").state == "pending"


def test_a_team_that_is_gone_leaves_nobody_who_could_allow(run: Run, alice: User, ada: User, team: Group) -> None:
    panel = panels.create(ada, team=team)
    asked = asked_by(run)
    with pytest.raises(Conflict, match="decides what agents ask"):
        groups.delete(ada, team, "on call")
    panels.remove(ada, panel.pk)
    groups.delete(ada, Group.objects.get(name="on call"), "on call")

    for user in (alice, ada):
        with pytest.raises(LogosError):
            approvals.decide(user, Approval.objects.get(pk=asked.pk), "once")
        assert not approvals.open_for(user).exists()
    assert approvals.decide(alice, asked, "deny").state == "denied"


def test_the_most_specific_panel_counts(run: Run, ada: User, atlas: Agent, team: Group) -> None:
    policy = Policy.objects.create(name="Production", owner=ada)
    panels.create(ada, needed=2)
    panels.create(ada, severity="high", needed=3)
    panels.create(ada, kind="command", needed=4)
    of_policy = panels.create(ada, policy=policy, needed=5)

    assert asked_by(run).needed == 4
    assert approvals.ask("tool_call", subject={"tool": "x"}, title="x", run_id=run.pk).needed == 2
    severe = {"subject": {"tool": "x"}, "title": "x", "run_id": run.pk, "severity": "critical"}
    assert approvals.ask("tool_call", **severe).needed == 3
    atlas.policies.add(policy)
    assert asked_by(run).needed == 5
    panels.change(ada, of_policy.pk, None, is_active=False)
    assert asked_by(run).needed == 4
    assert asked_by(run, needed=7).needed == 7, "never by fewer than was asked for"


def test_settings_of_the_site_hold_where_no_panel_does(run: Run, ada: User, settings: Any) -> None:
    settings.LOGOS_APPROVERS, settings.LOGOS_ESCALATE_AFTER_S = 3, 60
    assert asked_by(run, tier="admin").needed == 3
    assert asked_by(run, tier="admin").escalates_at is None
    assert asked_by(run).escalates_at is not None

    panels.create(ada, needed=2, escalate_min=0)

    assert asked_by(run, tier="admin").needed == 2
    assert asked_by(run).escalates_at is None


def test_questions_accounts_and_canaries_are_no_matter_of_panels(
    run: Run, alice: User, ada: User, atlas: Agent, team: Group
) -> None:
    panels.create(ada, team=team, needed=2)

    question = approvals.ask("question", subject={"question": "Why?"}, title="asks", run_id=run.pk)
    assert (question.needed, question.team) == (1, team)
    account = approvals.ask("registration", subject={"name": "x"}, title="x", tier="admin")
    assert (account.needed, account.team) == (1, None)
    canary = approvals.canary(ada, alice, atlas)
    assert (canary.needed, canary.team) == (1, None)


def test_others_are_called_when_nobody_answers(run: Run, alice: User, bob: User, ada: User, team: Group) -> None:
    boss = person("boss")
    bosses = Group.objects.create(name="bosses")
    boss.groups.add(bosses)
    panels.create(ada, team=team, escalate_min=3, escalate_to=bosses)
    asked = asked_by(run)
    with pytest.raises(NotFound):
        approvals.decide(boss, asked, "once")
    assert approvals.settle() == 0
    assert not Approval.objects.get(pk=asked.pk).escalated_at, "not before its time"

    lapse_of_minutes(asked)

    assert asked.escalated_at is not None
    assert [list(approvals.open_for(user)) for user in (boss, bob, alice)] == [[asked], [asked], []]
    assert approvals.decide(boss, asked, "once").decided_by == boss


def test_operators_are_called_where_no_group_is_named(run: Run, ada: User, atlas: Agent, team: Group) -> None:
    otto = person("otto", Role.OPERATOR)
    permissions.grant(otto, "manage", atlas)
    panels.create(ada, team=team, escalate_min=3)
    asked, for_operators = asked_by(run), asked_by(run, tier="admin")
    assert not approvals.open_for(otto).exists(), "a team stands before them"

    for each in (asked, for_operators):
        lapse_of_minutes(each)

    assert set(approvals.open_for(otto)) == {asked, for_operators}
    assert approvals.decide(otto, asked, "once").state == "allowed"


def test_time_that_stood_still_is_given_back_to_those_who_are_called_later(run: Run, ada: User, team: Group) -> None:
    panels.create(ada, team=team, escalate_min=3)
    asked = asked_by(run)
    mine = Approval.objects.filter(pk=asked.pk)
    approvals.freeze(mine)
    mine.update(frozen_at=timezone.now() - timedelta(minutes=10))
    approvals.thaw(mine)

    moved = mine.get().escalates_at - asked.escalates_at
    assert timedelta(minutes=10) <= moved < timedelta(minutes=12)


def test_a_rule_of_one_is_not_the_leave_of_two_nor_of_a_team(
    run: Run, alice: User, bob: User, ada: User, team: Group
) -> None:
    approvals.decide(alice, asked_by(run), "rule")
    assert asked_by(run).state == "allowed"

    panels.create(ada, team=team)
    asked = asked_by(run)
    assert asked.state == "pending"
    approvals.decide(bob, asked, "run")

    assert asked_by(run).state == "allowed", "what a member allowed for the run"
    bob.groups.remove(team)
    assert asked_by(run).state == "pending", "and that ends with the membership"


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_on_the_last_place_one_fills_it() -> None:
    ada, owner = person("ada", Role.ADMIN), person("owner")
    team = Group.objects.create(name="on call")
    members = [person(f"member-{number}") for number in range(3)]
    for member in members:
        member.groups.add(team)
    routes.rehearsal_route()
    agent = composition.create(owner, "atlas", souls.create("Kind", "Be kind.", owner))
    panels.create(ada, team=team, needed=2)
    asked = asked_by(dispatch.start(owner, "Hello", agent=agent).run)
    approvals.decide(members[0], asked, "once")
    start, said = threading.Barrier(2), []

    def allow(member: User) -> None:
        try:
            start.wait(timeout=60)
            said.append(approvals.decide(member, Approval.objects.get(pk=asked.pk), "once").state)
        except Conflict as error:
            said.append(error.reason)
        finally:
            connection.close()

    threads = [threading.Thread(target=allow, args=(member,)) for member in members[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    asked.refresh_from_db()
    assert sorted(said) == ["allowed", "already_decided"]
    assert (asked.state, len(asked.votes)) == ("allowed", 2)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": "registration"}, "kind"),
        ({"severity": "terrible"}, "severity"),
        ({"needed": 0}, "needed"),
        ({"needed": 10}, "needed"),
        ({"kind": "question", "needed": 2}, "needed"),
        ({"kind": "command", "escalate_min": 5}, "escalate_min"),
        ({"escalate_min": -1}, "escalate_min"),
        ({"escalate_to": "team"}, "escalate_min"),
        ({"team": "team", "escalate_to": "team", "escalate_min": 2}, "escalate_to"),
        ({"note": "two\nlines"}, "note"),
        ({"note": "x" * 201}, "note"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_field(
    ada: User, team: Group, fields: dict[str, Any], field: str
) -> None:
    given = {name: team if value == "team" else value for name, value in fields.items()}
    with pytest.raises(Invalid) as refused:
        panels.create(ada, **given)

    assert refused.value.field == field
    assert not Panel.objects.exists()


def test_only_admins_say_who_decides(browser: Browser, alice: User, ada: User, team: Group) -> None:
    panel = panels.create(ada, team=team, note="quiet")
    otto = person("otto", Role.OPERATOR)
    for user in (alice, otto):
        with pytest.raises(LogosError):
            panels.create(user, needed=1)
        for path in ("who/", "who/new/", f"who/{panel.pk}/", f"who/{panel.pk}/delete/"):
            assert browser(user).get(f"/approvals/{path}").status_code in (403, 404)
        assert Program(user).get("approvals/panels")["items"] == []
        Program(user).get(f"approvals/panels/{panel.pk}", 404)
        assert Program(user)("DELETE", f"approvals/panels/{panel.pk}").status_code in (403, 404)
    assert Panel.objects.count() == 1


def test_the_pages_make_change_and_delete_one(browser: Browser, ada: User, team: Group) -> None:
    client = browser(ada)
    assert "No panel yet" in client.get("/approvals/who/").content.decode()
    wrong = client.post(
        "/approvals/who/new/", {"kind": "command", "needed": "2", "escalate_min": "30", "note": "typed"}
    )
    assert wrong.status_code == 400
    assert "is over by then" in wrong.content.decode()
    assert 'value="typed"' in wrong.content.decode()

    given = {"kind": "command", "needed": "2", "team": str(team.pk), "escalate_min": "3", "is_active": "on"}
    assert client.post("/approvals/who/new/", given).status_code == 302
    panel = Panel.objects.get()
    assert "2 people of on call; after 3 min also operators" in client.get("/approvals/who/").content.decode()
    panels.change(ada, panel.pk, None, note="theirs")
    stale = client.post(f"/approvals/who/{panel.pk}/", {**given, "needed": "3", "note": "mine", "version": "1"})
    assert stale.status_code == 409
    assert "theirs" in stale.content.decode()
    assert 'value="mine"' in stale.content.decode()
    assert client.post(f"/approvals/who/{panel.pk}/", {**given, "needed": "3", "version": "2"}).status_code == 302
    assert Panel.objects.get().needed == 3
    assert client.post(f"/approvals/who/{panel.pk}/delete/", {"typed": ""}).status_code == 302
    assert not Panel.objects.exists()


def test_programs_and_the_shell_do_the_same(ada: User, team: Group) -> None:
    program = Program(ada)
    made = program.post("approvals/panels", {"kind": "command", "needed": 2, "team": "on call"}, 201)
    program.post("approvals/panels", {"team": "nobody"}, 400)
    program.post("approvals/panels", {"policy_id": "pol_none"}, 400)
    changed = program("PATCH", f"approvals/panels/{made['id']}", {"version": 1, "team": None, "needed": 3}).json()
    stale = program("PATCH", f"approvals/panels/{made['id']}", {"version": 1, "needed": 1})
    assert (changed["needed"], changed["team"], changed["version"]) == (3, None, 2)
    assert (stale.status_code, stale.json()["error"]["reason"]) == (409, "stale")
    with pytest.raises(Stale):
        panels.change(ada, made["id"], 1, needed=1)

    assert shell("panels", "set", "--severity", "high", "--team", "on call", "--after", "2").code == 0
    listed = shell("panels", "list").out
    assert "one person of on call; after 2 min also operators who manage the agent" in listed
    assert shell("panels", "change", made["id"], "--off").code == 0
    assert shell("panels", "delete", made["id"]).code == 0
    assert shell("panels", "set", "--team", "nobody").code == 1
    kinds = list(SecurityEvent.objects.filter(kind__startswith="panel_").order_by("pk").values_list("kind", flat=True))
    assert kinds == ["panel_made", "panel_changed", "panel_made", "panel_changed", "panel_removed"]


def test_a_card_says_who_decides_and_who_is_called(
    browser: Browser, run: Run, alice: User, bob: User, ada: User, team: Group
) -> None:
    panels.create(ada, team=team, needed=2, escalate_min=3)
    asked = asked_by(run)

    theirs = browser(bob).get("/approvals/").content.decode()
    own = browser(alice).get(f"/approvals/{asked.pk}/").content.decode()

    assert "needs 2 people of on call" in theirs
    assert "put to operators too" in theirs
    assert "2 members of on call" in own
    assert 'data-answer="once"' not in own
    assert 'data-more="deny"' in own
    seen = Program(bob).get(f"approvals/{asked.pk}")
    assert (seen["team"], seen["needed"], seen["escalates_to"]) == ("on call", 2, None)
