"""The reviewer is asked once, within its bounds, and what it says counts only as far as it may."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from agents.models import Agent, SecurityEvent, User
from runs import approvals
from runs.asking import reason_of
from runs.models import (
    Approval,
    Budget,
    Conversation,
    ReviewerOpinion,
    ReviewerSettings,
    Run,
)
from runs.reviewing import limits, opening, reversing
from sandboxes.lifecycle import in_thread
from tests.runs.reviewing.conftest import MILD, Court
from tests.runs.reviewing.judge import opinion

pytestmark = pytest.mark.django_db(transaction=True)

Make = Callable[..., Awaitable[Court]]


async def test_what_it_allows_is_allowed_once_and_the_runtime_is_told(court: Make) -> None:
    here = await court()

    asked, row = await here.asked()

    assert (asked.state, asked.choice, asked.decided_via, asked.decided_by_id) == ("allowed", "once", "reviewer", None)
    assert asked.note == "It is build output."
    assert (row.outcome, row.verdict, row.confidence, row.why) == ("allowed", "allow", Decimal("0.9"), "")
    assert row.asked_at
    assert row.answered_at
    assert row.latency_ms
    await here.asking.tell(here.record, "run_r", [asked.pk])  # type: ignore[arg-type]
    assert here.record.of("told") == [{"choice": "once", "reason": ""}]
    assert here.record.of("approval.decided")[0]["via"] == "reviewer"


async def test_its_leave_is_for_once_and_the_like_is_asked_again(court: Make) -> None:
    here = await court()
    first, _ = await here.asked()

    second, _ = await here.asked()

    assert first.pk != second.pk
    assert first.key == second.key
    assert len(here.judge.asked) == 2
    assert second.rule_id is None


async def test_what_it_denies_is_denied_and_the_agent_reads_why(court: Make) -> None:
    here = await court()
    here.judge.says = opinion("deny", 0.99, "It empties the only copy.")

    asked, row = await here.asked()

    assert (asked.state, asked.choice, asked.decided_via) == ("denied", "deny", "reviewer")
    assert reason_of(asked) == "It empties the only copy."
    assert row.outcome == "denied"


CONFIDENCES = {
    "0.75": "allowed", "1": "allowed", "0.7499": "pending", "0.74999999999999999999": "pending", "0": "pending",
}  # fmt: skip


async def test_only_an_answer_of_enough_confidence_counts(court: Make) -> None:
    here = await court()
    for confidence, state in CONFIDENCES.items():
        here.judge.says = f'{{"verdict": "allow", "confidence": {confidence}, "reason": "So."}}'

        asked, row = await here.asked()

        assert (asked.state, row.why) == (state, "" if state == "allowed" else "confidence"), confidence
        assert row.confidence is not None
        assert row.confidence <= Decimal(confidence)


async def test_a_denial_without_confidence_is_left_to_the_person_with_its_reason(court: Make) -> None:
    here = await court()
    here.judge.says = opinion("deny", 0.5, "I would rather not.")

    asked, row = await here.asked()

    assert asked.state == "pending"
    assert (row.outcome, row.why, row.reason) == ("left", "confidence", "I would rather not.")
    told = here.record.of("approval.reviewed")[0]
    assert (told["verdict"], told["reason"]) == ("deny", "I would rather not.")


async def test_when_it_is_unsure_a_person_decides_and_reads_why(court: Make, alice: User) -> None:
    here = await court()
    here.judge.says = opinion("unsure", 1, "Is there a copy?")

    asked, row = await here.asked()

    assert (row.outcome, row.why, row.reason) == ("left", "unsure", "Is there a copy?")
    decided = await in_thread(approvals.decide, alice, asked, "once")
    assert (decided.state, decided.decided_via) == ("allowed", "page")


async def test_a_provider_that_fails_leaves_it_to_a_person_and_does_not_fail_the_run(court: Make) -> None:
    here = await court()
    for status in (400, 401, 404, 429, 500, 503):
        here.judge.status = status

        asked, row = await here.asked()

        assert (asked.state, row.outcome, row.why) == ("pending", "left", "error"), status
        assert row.reason
    assert here.sink.last_error is None


async def test_an_answer_of_another_form_is_none(court: Make) -> None:
    here = await court()
    call = {
        "message": {"content": opinion(), "tool_calls": [{"id": "c", "function": {"name": "x", "arguments": "{}"}}]}
    }
    for says in ("allow", f"```json\n{opinion()}\n```", opinion(confidence="0.9"), opinion() + "x", "", {"choices": [call]},
                 {"choices": []}, b"not JSON", b"{" + b" " * 300_000 + b"}"):  # fmt: skip
        here.judge.says = says

        asked, row = await here.asked()

        assert (asked.state, row.outcome) == ("pending", "left"), says
        assert row.why in ("malformed", "error"), says


async def test_nothing_at_its_address_leaves_it_to_a_person(court: Make) -> None:
    here = await court()
    await in_thread(
        lambda: ReviewerSettings.objects.get().route.provider.__class__.objects.update(base_url="http://127.0.0.1:9/v1")
    )

    asked, row = await here.asked()

    assert (asked.state, row.why) == ("pending", "error")


async def test_too_slow_an_answer_is_none_and_the_call_is_hung_up(court: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "DEADLINE_S", 3.0)
    here = await court()
    here.judge.is_silent = True

    asked, row = await here.asked()

    assert (asked.state, row.outcome, row.why) == ("pending", "left", "timeout")
    async with asyncio.timeout(60):
        await here.judge.left.wait()


async def test_what_waits_behind_others_until_its_time_is_over_is_a_persons(
    court: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "DEADLINE_S", 0.4)
    here = await court()
    here.tools.reviews = asyncio.Semaphore(0)

    asked, row = await here.asked()

    assert (asked.state, row.why) == ("pending", "busy")
    assert here.judge.asked == []


async def test_what_is_too_severe_or_not_judged_never_reaches_it(court: Make) -> None:
    here = await court()
    for command, why in (
        ("rm -rf build", "severity"), ("rm -rf ~", "severity"), ("sudo rm -rf build", "severity"), ("ls", "unjudged"), ("$TOOL now", "unjudged"),
        ("echo 'no end", "unjudged"),
    ):  # fmt: skip
        asked, row = await here.asked(command)

        assert (asked.state, row.outcome, row.why, row.asked_at) == ("pending", "left", why, None)
        assert here.record.of("approval.reviewed")[-1] == {"id": asked.pk, "why": why}
    assert here.judge.asked == []


async def test_up_to_low_means_that_medium_is_not_asked(court: Make) -> None:
    here = await court(most="low")

    _, row = await here.asked()

    assert (row.why, here.judge.asked) == ("severity", [])


async def test_what_nobody_may_approve_never_reaches_it(court: Make) -> None:
    here = await court()
    for command in ("rm -rf /", ":(){ :|:& };:", "dd of=/dev/sda"):
        asked = await here.ask(command)

        assert (asked.state, asked.decided_via) == ("denied", "gate")
    assert here.judge.asked == []
    assert not await in_thread(ReviewerOpinion.objects.exists)


async def test_where_nobody_is_there_it_allows_nothing(court: Make) -> None:
    here = await court()
    for origin in ("schedule", "cron", "webhook", ""):
        await in_thread(lambda origin=origin: Conversation.objects.update(origin=origin))

        asked, row = await here.asked()

        assert (asked.state, row.outcome, row.why) == ("pending", "left", "unattended")
    assert here.judge.asked == []


@pytest.mark.parametrize("change", [
    {"kind": "tool_call"}, {"kind": "egress"}, {"by_runtime": False}, {"tier": "admin"}, {"needed": 2}, {"is_canary": True},
])  # fmt: skip
def test_other_kinds_and_other_peoples_decisions_are_not_its(change: dict[str, Any]) -> None:
    asked = Approval(kind="command", tier="user", severity="low", by_runtime=True)
    assert limits.outside(asked, "web", "medium") == ""

    for name, value in change.items():
        setattr(asked, name, value)

    assert limits.outside(asked, "web", "medium") in ("unsupported", "operators")


def test_what_a_rule_of_operators_asks_for_is_a_persons() -> None:
    asked = Approval(kind="command", tier="user", severity="low", by_runtime=True, findings=[{"rule": "own:no-pushes"}])

    assert limits.outside(asked, "web", "medium") == "own_rule"


def test_no_setting_takes_it_above_medium() -> None:
    for severity in ("high", "critical"):
        asked = Approval(kind="command", tier="user", severity=severity, by_runtime=True)
        assert limits.outside(asked, "web", "critical") == "severity"


async def test_it_is_not_asked_for_an_agent_or_a_run_it_does_not_belong_to(
    court: Make, ada: User, atlas: Agent
) -> None:
    here = await court()
    stamp = {**here.run.stamp, "permissions": {**here.run.stamp["permissions"], "approvals": "manual"}}
    await in_thread(lambda: Run.objects.filter(pk=here.run.pk).update(stamp=stamp))

    asked = await here.ask()

    assert asked.state == "pending"
    assert not await in_thread(ReviewerOpinion.objects.exists)
    assert here.judge.asked == []


async def test_without_budget_it_is_not_asked(court: Make) -> None:
    await in_thread(lambda: Budget.objects.create(scope="site", window="day", amount=Decimal("0.0001")))
    here = await court()

    asked, row = await here.asked()

    assert (asked.state, row.outcome, row.why) == ("pending", "left", "budget")
    assert here.judge.asked == []
    assert "budget" in row.reason.lower() or row.reason


async def test_a_request_is_put_to_it_once(court: Make) -> None:
    here = await court()
    here.judge.says = opinion("unsure")
    _asked, _ = await here.asked()

    await here.asking.take_over()
    await here.over()

    assert len(here.judge.asked) == 1
    assert await in_thread(ReviewerOpinion.objects.count) == 1


async def test_the_person_sees_it_at_once_and_until_when_the_reviewer_looks(court: Make, alice: User) -> None:
    here = await court()
    here.judge.is_silent = True

    asked = await here.ask()

    shown = here.record.of("approval.requested")[0]
    row = (await here.now(asked.pk))[1]
    assert row.deadline_at is not None
    assert shown["reviewed_until"] == row.deadline_at.isoformat()
    assert await in_thread(lambda: approvals.open_for(alice).filter(pk=asked.pk).exists())


async def test_its_decisions_are_in_the_audit(court: Make, alice: User) -> None:
    here = await court()
    await here.asked()
    here.judge.says = opinion("deny")
    await here.asked("truncate -s 0 other.log")

    kinds = await in_thread(
        lambda: list(
            SecurityEvent.objects.filter(kind__startswith="reviewer_", person=alice).values_list("kind", flat=True)
        )
    )
    assert sorted(kinds) == ["reviewer_allowed", "reviewer_denied"]


async def test_after_a_reversal_the_like_is_asked_of_people_only(court: Make, ada: User, alice: User) -> None:
    here = await court()
    asked, _ = await here.asked()

    made = await in_thread(reversing.reverse, alice, asked.pk, "It was the only copy.")
    again, row = await here.asked(f"{MILD}  ")

    assert (again.state, row.why, row.asked_at) == ("pending", "reversed", None)
    assert len(here.judge.asked) == 1
    other, _ = await here.asked("truncate -s 0 other.log")
    assert other.state == "allowed"
    await in_thread(reversing.undo, ada, made.pk)
    assert (await here.asked())[0].state == "allowed"


async def test_what_goes_wrong_beside_a_request_leaves_the_request(
    court: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(limits, "outside", broken)
    here = await court()

    asked = await here.ask()

    assert asked.state == "pending"
    assert not await in_thread(ReviewerOpinion.objects.exists)
