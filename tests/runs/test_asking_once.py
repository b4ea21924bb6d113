"""A question is shown once, before its decision, whoever asked it and whenever it was decided."""

from __future__ import annotations

from typing import Any, cast

import pytest

from agents.models import Agent, User
from runs import approvals, dispatch
from runs.asking import Asking
from runs.models import Run
from runs.recorder import Recorder
from sandboxes.hermes.client import HermesClient
from sandboxes.lifecycle import in_thread

pytestmark = pytest.mark.django_db(transaction=True)


class Notes:
    """A recorder that only remembers, and a runtime that takes every answer."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def emit(self, kind: str, data: dict[str, Any]) -> None:
        self.kinds.append(kind)

    async def approve(self, run_id: str, choice: str, reason: str = "") -> None:
        self.kinds.append(f"told {choice}{f': {reason}' if reason else ''}")


@pytest.fixture
def run(alice: User, atlas: Agent) -> Run:
    return dispatch.start(alice, "Hello", agent=atlas).run


async def test_what_was_decided_before_the_next_engine_came_is_shown_before_its_decision(alice: User, run: Run) -> None:
    asked = await in_thread(approvals.request, run.pk, "rm -rf x", "deletes files")
    await in_thread(approvals.decide, alice, asked, "once")
    notes = Notes()
    asking = Asking(run.pk, cast(Recorder, notes), in_thread, [])

    await asking.take_over()
    await asking.tell(cast(HermesClient, notes), "run_r", [asked.pk])

    assert notes.kinds == ["approval.requested", "approval.decided", "told once"]


async def test_what_is_still_open_is_shown_once(alice: User, run: Run) -> None:
    asked = await in_thread(approvals.request, run.pk, "rm -rf x", "deletes files")
    notes = Notes()
    asking = Asking(run.pk, cast(Recorder, notes), in_thread, [])

    await asking.take_over()
    await asking.take_over()
    await in_thread(approvals.decide, alice, asked, "deny")
    await asking.tell(cast(HermesClient, notes), "run_r", [asked.pk])

    assert notes.kinds == ["approval.requested", "approval.decided", "told deny"]
