"""A run that was claimed and cannot be read ends or is given back; it is never stuck."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError

from agents.errors import LogosError
from agents.models import Agent, User
from runs import dispatch, engine, events, work
from runs.engine import Engine
from runs.models import Run, Status

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def run(alice: User, atlas: Agent) -> Run:
    return dispatch.start(alice, "Hello", agent=atlas).run


async def test_a_run_whose_key_cannot_be_opened_fails_with_the_sentence(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(run_id: str) -> work.Work:
        raise LogosError("The key cannot be opened.", reason="seal_broken", action="Enter it again.")

    monkeypatch.setattr(work, "load", broken)
    one = Engine()

    await one._claim()

    await run.arefresh_from_db()
    assert (run.status, run.error_message, run.error_action) == (
        Status.FAILED,
        "The key cannot be opened.",
        "Enter it again.",
    )
    assert await sync_to_async(events.verify)(run) == ""
    await one.stop()


async def test_a_run_the_database_cannot_give_is_given_back_and_carried_out_later(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(run_id: str) -> work.Work:
        raise OperationalError("the database is away")

    monkeypatch.setattr(work, "load", away)
    monkeypatch.setattr(engine, "UNREAD_PAUSE_S", 0)
    one = Engine()

    await one._claim()

    await run.arefresh_from_db()
    assert (run.status, run.lease_owner) == (Status.QUEUED, "")
    await one.stop()
