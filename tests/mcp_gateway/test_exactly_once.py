"""Held calls, counted by the server itself: whatever people and callers do, a call is made once or not at all."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from agents.errors import LogosError
from mcp_gateway.gateway import Gateway
from runs import approvals
from runs.models import Approval
from tests.mcp_gateway.gate import PATIENCE_S
from tests.mcp_gateway.test_gateway import House, call, house, rows, started
from tests.mcp_gateway.test_held_calls import decide, made, one_of, question, rule, text

__all__ = ["house", "started"]

pytestmark = pytest.mark.django_db(transaction=True)

db = sync_to_async


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_gateway.patience.LOOK_S", 0.02)


async def leave(house: House, **arguments: Any) -> Approval:
    """Make a call, wait until somebody is asked, and go away."""
    before = await db(Approval.objects.count)()
    calling = asyncio.create_task(call(house.secret, "echo", **arguments))
    asked = await question(before + 1)
    calling.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await calling
    return asked


async def test_two_people_who_allow_it_at_once_make_it_once(house: House, started: Gateway) -> None:
    await rule(house, started, "ask")
    both = [asyncio.create_task(call(house.secret, "echo", text="one")) for _ in range(2)]
    asked = await question()

    def allow() -> bool:
        try:
            approvals.decide(house.alice, Approval.objects.get(pk=asked.pk), "once", subject_hash=asked.subject_hash)
        except LogosError:
            return False
        return True

    said = [await db(allow)(), *(await asyncio.gather(*(db(allow)() for _ in range(3))))]
    await one_of(both, "one")

    assert said == [True, False, False, False]
    assert await made(house) == 1
    for each in both:
        each.cancel()


async def test_what_nobody_decides_in_time_is_not_made(house: House, started: Gateway) -> None:
    await rule(house, started, "ask")
    calling = asyncio.create_task(call(house.secret, "echo", text="one"))
    asked = await question()
    past = timezone.now() - timedelta(seconds=1)
    await db(lambda: Approval.objects.filter(pk=asked.pk).update(expires_at=past))()

    assert "Nobody decided in time." in text(await asyncio.wait_for(calling, PATIENCE_S))
    with pytest.raises(LogosError):
        await decide(house, asked)
    assert await made(house) == 0


async def test_an_approval_is_for_these_arguments(
    house: House, started: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rule(house, started, "ask")
    await decide(house, await leave(house, text="one", n=1))
    monkeypatch.setattr("mcp_gateway.patience.HOLD_S", 0.1)

    for other in ({"text": "two", "n": 1}, {"text": "one", "n": 2}, {"text": "one"}, {"text": "one", "n": "1"}):
        assert "A person was asked" in text(await call(house.secret, "echo", **other))
    assert await made(house) == 0
    assert text(await call(house.secret, "echo", n=1, text="one")) == "one"
    assert await made(house) == 1
    assert "A person was asked" in text(await call(house.secret, "echo", n=1, text="one"))
    assert await made(house) == 1


async def test_what_was_allowed_before_a_restart_is_made_once_after_it(house: House, started: Gateway) -> None:
    await rule(house, started, "ask")
    await decide(house, await leave(house, text="one"))
    await started.stop()

    another = Gateway()
    await another.start()
    try:
        both = [asyncio.create_task(call(house.secret, "echo", text="one")) for _ in range(2)]
        await one_of(both, "one")
        # The other has asked anew or was refused, and in no case was it made on the same approval.
        await asyncio.wait(both, timeout=1.0)
        assert await made(house) == 1
        for each in both:
            each.cancel()
    finally:
        await another.stop()


async def test_what_was_denied_while_its_caller_was_away_stays_denied(house: House, started: Gateway) -> None:
    await rule(house, started, "ask")
    asked = await leave(house, text="one")
    await decide(house, asked, "deny", note="No.")

    assert "It was denied. No." in text(await call(house.secret, "echo", text="one"))
    assert "denied a moment ago" in text(await call(house.secret, "echo", text="one"))
    assert await made(house) == 0
    assert await rows(lambda: Approval.objects.count() == 1)
