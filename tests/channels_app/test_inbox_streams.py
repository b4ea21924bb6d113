"""Open inboxes hear that what waits has changed: each only of what its reader may decide, and no longer than they may."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from agents.models import Agent, User
from channels_app import inbox_streams
from runs import approvals
from runs.models import Approval, ReviewerOpinion
from tests.channels_app.visiting import Visit
from tests.runs.waiting import waiting

pytestmark = pytest.mark.django_db(transaction=True)

Db = Callable[..., Awaitable[Any]]
Header = Callable[[User], str]
PATH = "/stream/approvals"


class InboxVisit(Visit):
    application = staticmethod(inbox_streams.application)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_streams, "LOOK_S", 0.02)
    monkeypatch.setattr(inbox_streams, "CHECK_S", 0.1)


def counts(visit: Visit) -> list[int]:
    return [frame.data["count"] for frame in visit.frames]


async def test_what_comes_and_what_is_decided_is_told(alice: User, atlas: Agent, cookie: Header, db: Db) -> None:
    async with InboxVisit(PATH, cookie=await db(cookie, alice)) as visit:
        await visit.until(lambda seen: counts(seen) == [0])
        asked = await db(waiting, alice, atlas)
        await visit.until(lambda seen: counts(seen)[-1] == 1)
        await db(approvals.decide, alice, asked, "deny")
        await visit.until(lambda seen: counts(seen)[-1] == 0)

    assert visit.headers["cache-control"] == "no-store"


async def test_what_runs_out_of_time_is_told_before_anybody_sweeps(
    alice: User, atlas: Agent, cookie: Header, db: Db
) -> None:
    await db(lambda: waiting(alice, atlas, lifetime_s=1))

    async with InboxVisit(PATH, cookie=await db(cookie, alice)) as visit:
        await visit.until(lambda seen: counts(seen)[-1:] == [0])

    assert await db(lambda: Approval.objects.get().state) == "pending"


async def test_that_work_is_halted_is_told(alice: User, atlas: Agent, cookie: Header, db: Db) -> None:
    await db(waiting, alice, atlas)

    async with InboxVisit(PATH, cookie=await db(cookie, alice)) as visit:
        await visit.until(lambda seen: counts(seen) == [1])
        await db(lambda: approvals.freeze(Approval.objects.all()))
        await visit.until(lambda seen: counts(seen) == [1, 1])


async def test_that_the_reviewer_leaves_it_to_people_is_told(alice: User, atlas: Agent, cookie: Header, db: Db) -> None:
    asked = await db(waiting, alice, atlas)
    await db(lambda: ReviewerOpinion.objects.create(approval=asked))

    async with InboxVisit(PATH, cookie=await db(cookie, alice)) as visit:
        await visit.until(lambda seen: counts(seen) == [1])
        await db(lambda: ReviewerOpinion.objects.update(outcome="left", why="unsure"))
        await visit.until(lambda seen: counts(seen) == [1, 1])


async def test_others_hear_nothing_of_it(alice: User, mallory: User, atlas: Agent, cookie: Header, db: Db) -> None:
    async with InboxVisit(PATH, cookie=await db(cookie, mallory)) as visit:
        await visit.until(lambda seen: seen.frames)
        await db(waiting, alice, atlas)
        await visit.until(lambda seen: b"here" in seen.body)

    assert counts(visit) == [0]


async def test_it_ends_for_who_is_suspended(alice: User, cookie: Header, db: Db) -> None:
    async with InboxVisit(PATH, cookie=await db(cookie, alice)) as visit:
        await visit.until(lambda seen: seen.frames)
        await db(lambda: User.objects.filter(pk=alice.pk).update(is_active=False))
        await visit.until(lambda seen: seen.is_over)


async def test_strangers_and_tokens_are_refused(alice: User, bearer: Header, db: Db) -> None:
    async with InboxVisit(PATH) as stranger:
        await stranger.to_the_end()
    async with InboxVisit(PATH, authorization=await db(bearer, alice)) as program:
        await program.to_the_end()
    async with InboxVisit(PATH, method="POST", cookie=await db(lambda: "")) as posted:
        await posted.to_the_end()

    assert (stranger.status, program.status, posted.status) == (401, 401, 404)


async def test_many_readers_are_one_look_at_what_waits(db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr(inbox_streams, "LOOK_S", 60.0)
    monkeypatch.setattr(inbox_streams, "_mark", lambda: (looks.append(1), ())[1])
    watch = inbox_streams.Watch()

    await asyncio.gather(*(watch.look() for _ in range(50)))

    assert len(looks) == 1
