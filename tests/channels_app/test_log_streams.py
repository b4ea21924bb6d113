"""A sandbox's log as a stream: from where the reader is, whole lines, for whoever may operate it and no longer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from agents import permissions
from agents.models import Agent, User
from channels_app import log_streams
from sandboxes import logs
from sandboxes.models import Sandbox, State
from tests.channels_app.visiting import Visit

pytestmark = pytest.mark.django_db(transaction=True)

Db = Callable[..., Awaitable[Any]]
Header = Callable[[User], str]


class LogVisit(Visit):
    application = staticmethod(log_streams.application)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_streams, "LOOK_S", 0.01)
    monkeypatch.setattr(log_streams, "CHECK_S", 0.05)


@pytest.fixture
def box(atlas: Agent) -> Sandbox:
    return Sandbox.objects.create(agent=atlas, number=1, starts=1, state=State.RUNNING)


def write(box: Sandbox, text: str) -> None:
    path = logs.path_of(box, logs.which("runtime"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text)


def words(visit: Visit) -> str:
    return "".join(frame.data["text"] for frame in visit.frames)


async def test_what_is_written_arrives_and_a_return_has_no_gap(
    box: Sandbox, alice: User, bearer: Header, db: Db
) -> None:
    write(box, "before\n")
    key = await db(bearer, alice)
    async with LogVisit(f"/api/sandboxes/{box.pk}/logs", authorization=key) as visit:
        await visit.until(lambda seen: seen.body)
        write(box, "one\n")
        await visit.until(lambda seen: "one" in words(seen))
    place = str(visit.frames[-1].id)
    write(box, "two\nthree\n")

    async with LogVisit(f"/api/sandboxes/{box.pk}/logs", authorization=key, last_event_id=place) as again:
        await again.until(lambda seen: "three" in words(seen))

    assert words(visit) == "one\n"
    assert words(again) == "two\nthree\n"


async def test_a_log_that_begins_later_is_told_from_its_first_line(
    box: Sandbox, alice: User, cookie: Header, db: Db
) -> None:
    path = f"/stream/sandboxes/{box.pk}/logs"
    async with LogVisit(path, "log=runtime&after=", cookie=await db(cookie, alice)) as visit:
        await visit.until(lambda seen: b": here" in seen.body)
        write(box, "the first\n")
        await visit.until(lambda seen: "the first" in words(seen))


@pytest.mark.parametrize(("who", "status"), [("stranger", 401), ("mallory", 404), ("viewer of the agent", 404)])
async def test_who_may_not_operate_it_gets_nothing(
    box: Sandbox, atlas: Agent, mallory: User, bob: User, bearer: Header, db: Db, who: str, status: int
) -> None:
    write(box, "what somebody said\n")
    headers = {}
    if who == "mallory":
        headers = {"authorization": await db(bearer, mallory)}
    elif who != "stranger":
        await db(permissions.grant, bob, "view", atlas)
        headers = {"authorization": await db(bearer, bob)}

    async with LogVisit(f"/api/sandboxes/{box.pk}/logs", "after=0-0", **headers) as visit:
        await visit.to_the_end()

    assert visit.status == status
    assert b"somebody" not in visit.body


async def test_who_may_no_longer_is_put_out(box: Sandbox, alice: User, bearer: Header, db: Db) -> None:
    async with LogVisit(f"/api/sandboxes/{box.pk}/logs", authorization=await db(bearer, alice)) as visit:
        await visit.until(lambda seen: seen.body)
        await db(User.objects.filter(pk=alice.pk).update, is_active=False)
        await visit.to_the_end()


async def test_an_unknown_log_is_not_there(box: Sandbox, alice: User, bearer: Header, db: Db) -> None:
    key = await db(bearer, alice)
    async with LogVisit(f"/api/sandboxes/{box.pk}/logs", "log=..%2Fx", authorization=key) as visit:
        await visit.to_the_end()

    assert visit.status == 404
