"""The doors of the reviewer: who sets it, who sees what it said, who says that it was wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents import permissions
from agents.errors import Conflict, Invalid, LogosError, NotFound
from agents.models import Agent, ModelRoute, Role, SecurityEvent, User
from runs import approvals, composing, erasing
from runs.models import Approval, ReviewedAgent, ReviewerOpinion, ReviewerReversal, ReviewerSettings
from runs.reviewing import lists, reversing, setting
from tests.api_client import Program
from tests.conftest import person
from tests.runs.reviewing.conftest import reviewed
from tests.runs.waiting import waiting

pytestmark = pytest.mark.django_db

Browser = Callable[..., Client]
MILD = "truncate -s 0 app.log"


def said(who: User, agent: Agent, command: str = MILD, outcome: str = "allowed", **more: Any) -> ReviewerOpinion:
    """A request that the reviewer has answered, or left to people."""
    asked = waiting(who, agent, command, by_runtime=True, severity="medium")
    given: dict[str, Any] = {"verdict": "allow", "confidence": Decimal("0.92"), "reason": "It is a log."}
    if outcome in ("allowed", "denied"):
        choice = "once" if outcome == "allowed" else "deny"
        assert approvals.decide_for_reviewer(asked, choice, "It is a log.")
        given["verdict"] = "allow" if outcome == "allowed" else "deny"
    moments = {"asked_at": timezone.now(), "answered_at": timezone.now()} if outcome != "asking" else {}
    return ReviewerOpinion.objects.create(approval=asked, outcome=outcome, **{**given, **moments, **more})


def changed(program: Program, path: str, body: dict[str, Any], status: int = 200) -> Any:
    """The JSON of a PATCH that must answer with ``status``."""
    answer = program("PATCH", path, body)
    assert answer.status_code == status, answer.content
    return answer.json()


@pytest.fixture
def otto(atlas: Agent) -> User:
    """An operator who manages atlas."""
    otto = person("otto", Role.OPERATOR)
    permissions.grant(otto, "manage", atlas)
    return otto


# the switches -----------------------------------------------------------------------------------


def test_it_is_off_until_an_admin_and_an_operator_switch_it_on(ada: User, otto: User, atlas: Agent) -> None:
    assert composing.compose(atlas)["permissions"]["approvals"] == "manual"
    setting.switch(otto, atlas, True)
    assert composing.compose(atlas)["permissions"]["approvals"] == "manual"

    route = reviewed(ada, atlas)

    stamp = composing.compose(atlas)
    assert stamp["permissions"]["approvals"] == f"reviewer {route.pk} up to medium"
    setting.switch(otto, atlas, False)
    assert composing.fingerprint(composing.compose(atlas)) != composing.fingerprint(stamp)


def test_only_admins_say_which_model_reviews(otto: User, alice: User, atlas: Agent) -> None:
    for who in (otto, alice, person("vera", Role.VIEWER)):
        with pytest.raises(LogosError, match="Your role"):
            setting.change(who, None, is_on=False)


def test_only_operators_who_manage_the_agent_switch_it(alice: User, ada: User, atlas: Agent) -> None:
    for who in (alice, person("olga", Role.OPERATOR), person("vera", Role.VIEWER)):
        with pytest.raises(NotFound):
            setting.switch(who, atlas, True)
    assert setting.switch(ada, atlas, True).is_on


def test_what_the_settings_refuse(ada: User, atlas: Agent, route: ModelRoute) -> None:
    for fields, field in (
        ({"most": "high"}, "most"), ({"is_on": True, "route": None}, "route"), ({"route": route}, "route"), ({"x": 1}, "x"),
    ):  # fmt: skip
        with pytest.raises(Invalid) as refused:
            setting.change(ada, None, **fields)
        assert refused.value.field == field
    assert not ReviewerSettings.objects.filter(is_on=True).exists()


def test_every_change_has_a_history_and_a_line_in_the_audit(ada: User, atlas: Agent) -> None:
    reviewed(ada, atlas)
    setting.change(ada, None, most="low")
    setting.switch(ada, atlas, False)

    assert [row.most for row in ReviewerSettings.objects.get().history.all()][:1] == ["low"]
    assert [row.is_on for row in ReviewedAgent.objects.get().history.all()] == [False, True]
    kinds = list(SecurityEvent.objects.filter(kind__startswith="reviewer_").values_list("kind", flat=True))
    assert sorted(kinds) == ["reviewer_agent_off", "reviewer_agent_on", "reviewer_set", "reviewer_set"]


def test_the_api_sets_and_switches_and_notices_who_saved_first(ada: User, otto: User, atlas: Agent) -> None:
    route = reviewed(ada, atlas)
    admin, operator = Program(ada), Program(otto)
    version = admin.get("reviewer")["version"]

    made = changed(admin, "reviewer", {"version": version, "most": "low"})

    assert (made["most"], made["route_id"], made["is_on"]) == ("low", route.pk, True)
    changed(admin, "reviewer", {"version": version, "most": "medium"}, 409)
    changed(operator, "reviewer", {"version": made["version"], "most": "medium"}, 403)
    changed(admin, "reviewer", {"version": made["version"], "most": "high"}, 422)
    switch = operator.get(f"agents/{atlas.pk}/reviewer")
    assert switch["answers"]
    off = changed(operator, f"agents/{atlas.pk}/reviewer", {"version": switch["version"], "is_on": False})
    assert (off["is_on"], off["answers"]) == (False, False)


def test_the_pages_set_and_switch(ada: User, otto: User, alice: User, atlas: Agent, browser: Browser) -> None:
    route = reviewed(ada, atlas)
    setting.switch(ada, atlas, False)
    admin, operator = browser(ada), browser(otto)
    version = setting.site().version
    form = {"is_on": "on", "route": route.pk, "most": "low", "version": version}

    assert admin.post("/approvals/reviewer/settings/", form).status_code == 302
    assert setting.site().most == "low"
    late = admin.post("/approvals/reviewer/settings/", {**form, "most": "medium"})
    assert (late.status_code, b"Somebody saved this first" in late.content) == (409, True)
    assert admin.post("/approvals/reviewer/settings/", {**form, "route": "", "version": version + 1}).status_code == 400
    assert operator.get("/approvals/reviewer/settings/").status_code == 403

    page = operator.get(f"/agents/{atlas.pk}/").content.decode()
    assert "Let the reviewer look first" in page
    operator.post(f"/agents/{atlas.pk}/reviewer/", {"reviewer": "on"})
    assert ReviewedAgent.objects.get().is_on
    page = browser(alice).get(f"/agents/{atlas.pk}/").content.decode()
    assert "A model looks first" in page
    assert "Ask people alone" not in page
    assert browser(alice).post(f"/agents/{atlas.pk}/reviewer/", {"reviewer": "off"}).status_code == 404


# what it said -----------------------------------------------------------------------------------


def test_a_request_shows_what_the_reviewer_said(alice: User, atlas: Agent, browser: Browser) -> None:
    row = said(alice, atlas, outcome="left", why="confidence", confidence=Decimal("0.7499"), verdict="deny")

    for address in ("/approvals/", f"/approvals/{row.pk}/"):
        page = browser(alice).get(address).content.decode()
        assert "not confident enough" in page
        assert "0.74 sure" in page
        assert "It is a log." in page
    shown = Program(alice).get(f"approvals/{row.pk}")["reviewer"]
    assert (shown["outcome"], shown["why"], shown["verdict"]) == ("left", "confidence", "deny")


def test_while_it_looks_the_person_reads_until_when_and_may_decide(alice: User, atlas: Agent, browser: Browser) -> None:
    row = said(alice, atlas, outcome="asking", deadline_at=timezone.now() + timedelta(seconds=30))

    page = browser(alice).get("/approvals/").content.decode()

    assert f"until {row.deadline_at:%H:%M:%S} UTC" in page
    assert 'value="once"' in page
    ReviewerOpinion.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    assert "The reviewer looks at it" not in browser(alice).get("/approvals/").content.decode()


def test_what_it_decided_is_among_the_decided(alice: User, atlas: Agent, browser: Browser) -> None:
    row = said(alice, atlas)

    page = browser(alice).get("/approvals/decided/").content.decode()

    assert "by the reviewer" in page
    detail = browser(alice).get(f"/approvals/{row.pk}/").content.decode()
    assert "allow, 0.92 sure" in detail
    assert "This was wrong" in detail


def test_to_others_it_has_said_nothing(alice: User, atlas: Agent, mallory: User, browser: Browser) -> None:
    row = said(alice, atlas)

    page = browser(mallory).get("/approvals/reviewer/").content.decode()

    assert MILD not in page
    assert "It is a log" not in page
    assert "atlas" not in page
    assert Program(mallory).get("reviewer/opinions")["items"] == []
    assert Program(mallory).get("reviewer/figures")["agents"] == []
    for answer in (
        browser(mallory).post(f"/approvals/{row.pk}/reviewer/"),
        browser(mallory).get(f"/approvals/{row.pk}/"),
    ):
        assert answer.status_code == 404
    Program(mallory).post(f"reviewer/opinions/{row.pk}/reverse", {}, 404)


def test_figures_count_by_agent_with_reasons_cost_and_whether_people_agreed(
    ada: User, alice: User, atlas: Agent
) -> None:
    said(alice, atlas, cost=Decimal("0.002"), call_id="infer_1", latency_ms=1000)
    said(alice, atlas, "truncate -s 0 b.log", "denied", cost=None, call_id="infer_2", latency_ms=3000)
    unsure = said(alice, atlas, "truncate -s 0 c.log", "left", why="confidence", verdict="allow")
    said(alice, atlas, "rm -rf build", "left", why="severity", verdict="", confidence=None, asked_at=None)
    old = said(alice, atlas, "truncate -s 0 d.log")
    ReviewerOpinion.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=40))
    approvals.decide(alice, unsure.approval, "once")
    for command, choice in ((MILD, "deny"), ("truncate -s 0 b.log", "deny")):
        approvals.decide(alice, waiting(alice, atlas, command, by_runtime=True), choice, via="page")

    total, (one,) = lists.figures(ada, 30)

    assert (one.requests, one.asked, one.allowed, one.denied, one.left) == (4, 3, 1, 1, 2)
    assert (one.agreed, one.differed) == (2, 1)
    assert (one.cost, one.unpriced) == (Decimal("0.002"), 1)
    assert {reason.why: reason.count for reason in one.reasons} == {"confidence": 1, "severity": 1}
    assert (total.requests, total.left) == (4, 2)
    assert lists.figures(ada, 90)[0].requests == 5
    for days in (0, 367):
        with pytest.raises(Invalid):
            lists.figures(ada, days)


def test_the_page_costs_the_same_however_long(ada: User, alice: User, atlas: Agent, browser: Browser) -> None:
    client = browser(ada)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            page = client.get("/approvals/reviewer/")
        assert len(page.content) <= 60_000
        return len(captured)

    for number in range(2):
        reversing.reverse(ada, said(alice, atlas, f"truncate -s 0 {number}.log").pk)
    few = queries()
    for number in range(2, 24):
        row = said(alice, atlas, f"truncate -s 0 {number}.log")
        if number < 12:
            reversing.reverse(ada, row.pk)
    assert queries() == few


def test_the_inbox_costs_no_query_more_for_what_it_said(alice: User, atlas: Agent, browser: Browser) -> None:
    client = browser(alice)
    waiting(alice, atlas, "truncate -s 0 a.log", by_runtime=True)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            client.get("/approvals/")
        return len(captured)

    few = queries()
    for number in range(3):
        said(alice, atlas, f"truncate -s 0 {number}.log", "left", why="unsure")
    assert queries() == few


# calling it wrong ---------------------------------------------------------------------------------


def test_an_operator_or_the_person_says_that_it_was_wrong_and_undoes_that(
    otto: User, alice: User, atlas: Agent, browser: Browser
) -> None:
    row = said(alice, atlas)

    assert browser(alice).post(f"/approvals/{row.pk}/reviewer/", {"note": "The only copy."}).status_code == 302

    made = ReviewerReversal.objects.get()
    row.refresh_from_db()
    assert (made.key, made.note, made.made_by, row.reversed_by) == (row.approval.key, "The only copy.", alice, alice)
    assert reversing.covers(row.approval)
    page = browser(otto).get("/approvals/reviewer/").content.decode()
    assert "The only copy." in page
    assert browser(otto).post(f"/approvals/reviewer/reversals/{made.pk}/undo/").status_code == 302
    row.refresh_from_db()
    assert row.reversed_at is None
    assert not reversing.covers(row.approval)
    assert {each.kind for each in SecurityEvent.objects.filter(kind__contains="revers")} == {
        "reviewer_reversed",
        "reviewer_reversal_undone",
    }


def test_twice_is_once(ada: User, alice: User, atlas: Agent) -> None:
    first, second = said(alice, atlas), said(alice, atlas)
    made = reversing.reverse(ada, first.pk)

    for pk in (first.pk, second.pk):
        with pytest.raises(Conflict, match="already"):
            reversing.reverse(ada, pk)
    reversing.undo(ada, made.pk)
    with pytest.raises(Conflict):
        reversing.undo(ada, made.pk)
    reversing.reverse(ada, second.pk)
    assert ReviewerReversal.objects.count() == 2


def test_what_it_did_not_decide_cannot_be_reversed(ada: User, alice: User, atlas: Agent) -> None:
    row = said(alice, atlas, outcome="left", why="unsure")

    with pytest.raises(Conflict, match="decided nothing"):
        reversing.reverse(ada, row.pk)
    for note in ("x" * 501, "\x00"):
        with pytest.raises(Invalid):
            reversing.reverse(ada, said(alice, atlas, f"truncate -s 0 {len(note)}.log").pk, note)


def test_another_person_of_a_shared_agent_sees_nothing_of_it(alice: User, bob: User, atlas: Agent) -> None:
    row = said(alice, atlas)

    with pytest.raises(NotFound):
        reversing.reverse(bob, row.pk)
    made = reversing.reverse(alice, row.pk)
    with pytest.raises(NotFound):
        reversing.undo(bob, made.pk)
    assert not reversing.seen_by(bob).exists()


def test_a_reversal_outlives_the_request(ada: User, alice: User, atlas: Agent) -> None:
    row = said(alice, atlas)
    reversing.reverse(ada, row.pk)
    again = waiting(alice, atlas, MILD, by_runtime=True)
    Approval.objects.filter(pk=row.pk).delete()

    assert reversing.covers(again)
    assert reversing.undo(ada, ReviewerReversal.objects.get().pk).undone_by == ada


def test_the_api_and_the_commands_do_the_same(
    ada: User, alice: User, atlas: Agent, run_command: Callable[..., str]
) -> None:
    reviewed(ada, atlas)
    row = said(alice, atlas)
    program = Program(alice)

    made = program.post(f"reviewer/opinions/{row.pk}/reverse", {"note": "No."}, 201)
    program.post(f"reviewer/opinions/{row.pk}/reverse", {"note": "No."}, 409)

    assert [each["id"] for each in program.get("reviewer/reversals")["items"]] == [made["id"]]
    assert "app.log" in run_command("reviewer", "reversals", "--user", "alice")
    run_command("reviewer", "undo", str(made["id"]), "--user", "alice")
    assert program.get("reviewer/reversals")["items"] == []
    run_command("reviewer", "reverse", row.pk, "--user", "ada", "--note", "No.")
    assert [each["note"] for each in program.get("reviewer/reversals?undone=true")["items"]] == ["No."]
    assert program.get("reviewer/opinions?outcome=allowed")["items"][0]["approval_id"] == row.pk
    assert "It is a log." in run_command("reviewer", "opinions", "--user", "ada")
    assert "atlas" in run_command("reviewer", "figures", "--user", "ada")
    assert "on: judge-1, up to medium" in run_command("reviewer", "show", "--user", "ada")
    run_command("reviewer", "set", "--off", "--user", "ada")
    run_command("reviewer", "agent", "atlas", "off", "--user", "ada")
    assert not ReviewerSettings.objects.get().is_on
    assert not ReviewedAgent.objects.get().is_on
    assert "the reviewer" in run_command("approvals", "show", row.pk, "--user", "alice")


def test_what_it_said_is_forgotten_with_the_person(ada: User, alice: User, atlas: Agent) -> None:
    row = said(alice, atlas)
    reversing.reverse(alice, row.pk, "My secret diary.")

    erasing.erase(alice)

    row.refresh_from_db()
    assert (row.reason, ReviewerReversal.objects.get().note) == ("", "")
    assert MILD not in ReviewerReversal.objects.get().words
