"""Database functions run whole on a few threads of our own, with the caller's log ids, and leave no connection."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from django.db import connection

from agents.logcontext import ContextFilter, about
from agents.models import User
from runs.threads import DatabaseThreads

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def threads() -> AsyncIterator[DatabaseThreads]:
    made = DatabaseThreads(2, "test-db")
    yield made
    await asyncio.to_thread(made.close)


async def test_a_function_runs_on_a_thread_of_ours_and_gives_its_result(threads: DatabaseThreads) -> None:
    name, count = await threads.run(lambda: (threading.current_thread().name, User.objects.count()))

    assert name.startswith("test-db")
    assert count == 0


async def test_no_more_threads_than_were_asked_for_however_much_is_wanted(threads: DatabaseThreads) -> None:
    names = await asyncio.gather(*(threads.run(lambda: threading.current_thread().name) for _ in range(50)))

    assert len(set(names)) <= 2


async def test_what_a_function_raises_is_raised_here(threads: DatabaseThreads) -> None:
    def fail() -> None:
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await threads.run(fail)


async def test_log_ids_go_along(threads: DatabaseThreads) -> None:
    import logging

    def ids() -> dict[str, str]:
        record = logging.makeLogRecord({})
        ContextFilter().filter(record)
        return record.ids  # type: ignore[attr-defined]

    with about(run="run_1"):
        assert await threads.run(ids) == {"run": "run_1"}
    assert await threads.run(ids) == {}


async def test_a_thread_keeps_its_connection_and_closes_it_in_the_end() -> None:
    threads = DatabaseThreads(1, "test-db")

    def used() -> object:
        User.objects.count()
        return connection.connection

    first, second = await threads.run(used), await threads.run(used)
    assert first is second
    await asyncio.to_thread(threads.close)

    with pytest.raises(Exception, match="closed"):
        first.execute("SELECT 1")  # type: ignore[attr-defined]


async def test_closing_waits_for_what_runs() -> None:
    threads, release, done = DatabaseThreads(1, "test-db"), threading.Event(), []

    def slow() -> None:
        release.wait(120)
        done.append(True)

    working = asyncio.create_task(threads.run(slow))
    await asyncio.sleep(0)
    closing = asyncio.create_task(asyncio.to_thread(threads.close))
    release.set()
    await closing

    assert done == [True]
    await working
