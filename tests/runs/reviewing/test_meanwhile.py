"""What happens while the reviewer is asked: a person is first, work is halted, a run ends, an engine dies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from agents import halting
from agents.models import Agent, User
from runs import approvals
from runs.models import (
    Approval,
    ReviewedAgent,
    ReviewerOpinion,
    Run,
)
from runs.reviewing import closing, limits
from sandboxes.lifecycle import in_thread
from tests.runs.reviewing.conftest import Court

pytestmark = pytest.mark.django_db(transaction=True)

Make = Callable[..., Awaitable[Court]]


async def test_a_person_who_is_first_decides_and_the_call_is_hung_up(court: Make, alice: User) -> None:
    here = await court()
    here.judge.is_silent = True
    asked = await here.ask()
    await here.judge.arrived.wait()

    await in_thread(lambda: approvals.decide(alice, asked, "deny", note="Keep it."))
    await here.asking.tell(here.record, "run_r", [asked.pk])  # type: ignore[arg-type]
    await here.over()

    asked, row = await here.now(asked.pk)
    assert (asked.state, asked.note, asked.decided_via) == ("denied", "Keep it.", "page")
    assert (row.outcome, row.why) == ("left", "person")
    assert here.record.of("told") == [{"choice": "deny", "reason": "Keep it."}]
    async with asyncio.timeout(60):
        await here.judge.left.wait()


async def test_an_answer_that_comes_second_changes_nothing(court: Make, alice: User) -> None:
    here = await court()
    here.judge.is_silent = True
    asked = await here.ask()
    await in_thread(approvals.decide, alice, asked, "deny")

    said = closing.Said(limits.Answer("allow", Decimal(1), "Fine."))
    await in_thread(closing.close, asked.pk, said)

    asked, row = await here.now(asked.pk)
    assert (asked.state, asked.decided_by_id) == ("denied", alice.pk)
    assert (row.outcome, row.why, row.verdict) == ("left", "person", "allow")


async def test_a_person_who_is_second_is_told_that_the_reviewer_was_first(court: Make, alice: User) -> None:
    here = await court()
    asked = await here.ask()
    await here.over()

    with pytest.raises(Exception, match="already decided by the reviewer"):
        await in_thread(approvals.decide, alice, asked, "deny")


async def test_what_was_closed_is_not_closed_again(court: Make) -> None:
    here = await court()
    asked, row = await here.asked()

    closed = await in_thread(closing.close, asked.pk, closing.Said(limits.Answer("deny", Decimal(1), "No.")))

    assert not closed.is_left
    asked, again = await here.now(asked.pk)
    assert (asked.state, again.outcome, again.answered_at) == ("allowed", "allowed", row.answered_at)


async def test_a_halt_meanwhile_leaves_it_to_the_person(court: Make, ada: User, atlas: Agent) -> None:
    here = await court()
    here.judge.is_silent = True
    asked = await here.ask()
    await in_thread(halting.stop, ada, "agent", atlas.pk, "stop")

    await in_thread(closing.close, asked.pk, closing.Said(limits.Answer("allow", Decimal(1), "Fine.")))

    asked, row = await here.now(asked.pk)
    assert (asked.state, row.outcome, row.why) == ("pending", "left", "halted")


async def test_while_work_is_halted_it_is_not_asked(court: Make, ada: User, atlas: Agent) -> None:
    here = await court()
    await in_thread(halting.stop, ada, "agent", atlas.pk, "stop")

    asked, row = await here.asked()

    assert (asked.state, row.outcome, row.why) == ("pending", "left", "halted")
    assert here.judge.asked == []


async def test_a_run_that_ended_meanwhile_is_past_deciding(court: Make) -> None:
    here = await court()
    here.judge.is_silent = True
    asked = await here.ask()
    await here.judge.arrived.wait()
    await in_thread(approvals.withdraw, here.run)

    await here.reviewer.close()

    asked, row = await here.now(asked.pk)
    assert (asked.state, row.outcome, row.why) == ("withdrawn", "left", "ended")


async def test_a_run_that_is_being_stopped_is_allowed_nothing(court: Make) -> None:
    here = await court()
    here.judge.is_silent = True
    asked = await here.ask()
    await in_thread(lambda: Run.objects.filter(pk=here.run.pk).update(cancel_requested_at=timezone.now()))

    await in_thread(closing.close, asked.pk, closing.Said(limits.Answer("allow", Decimal(1), "Fine.")))

    asked, row = await here.now(asked.pk)
    assert (asked.state, row.why) == ("pending", "ended")


async def test_what_expired_meanwhile_is_past_deciding(court: Make) -> None:
    here = await court()
    here.judge.is_silent = True
    asked = await here.ask()
    past = timezone.now() - timedelta(seconds=1)
    await in_thread(lambda: Approval.objects.filter(pk=asked.pk).update(expires_at=past))

    await in_thread(closing.close, asked.pk, closing.Said(limits.Answer("allow", Decimal(1), "Fine.")))

    asked, row = await here.now(asked.pk)
    assert (asked.state, row.why) == ("pending", "ended")


async def test_switched_off_meanwhile_its_answer_counts_no_more(court: Make, ada: User, atlas: Agent) -> None:
    here = await court()
    here.judge.is_silent = True
    asked = await here.ask()
    await in_thread(lambda: ReviewedAgent.objects.filter(agent=atlas).delete())

    await in_thread(closing.close, asked.pk, closing.Said(limits.Answer("allow", Decimal(1), "Fine.")))

    asked, row = await here.now(asked.pk)
    assert (asked.state, row.why) == ("pending", "off")


async def test_what_an_engine_that_died_was_asking_is_the_persons(court: Make) -> None:
    here = await court()
    here.judge.is_silent = True
    asked = await here.ask()
    here.reviewer.abandon()
    await here.over()
    assert (await here.now(asked.pk))[1].outcome == "asking"

    assert await in_thread(closing.settle, "another-engine") == 1

    asked, row = await here.now(asked.pk)
    assert (asked.state, row.outcome, row.why) == ("pending", "left", "interrupted")
    assert await in_thread(closing.settle, "another-engine") == 0


async def test_what_this_engine_is_asking_is_left_to_it_until_it_is_late(court: Make) -> None:
    here = await court()
    here.judge.is_silent = True
    asked = await here.ask()

    assert await in_thread(closing.settle, here.reviewer.owner) == 0
    long_ago = timezone.now() - timedelta(seconds=60)
    await in_thread(lambda: ReviewerOpinion.objects.filter(pk=asked.pk).update(deadline_at=long_ago))
    assert await in_thread(closing.settle, here.reviewer.owner) == 1
