"""Asking a run to stop, and sending its message again in a new chat."""

from __future__ import annotations

import pytest
from django.test import TestCase

from agents import permissions
from agents.errors import Conflict, LogosError, NotFound
from agents.models import Agent, Role, User
from runs import dispatch
from runs.models import Run, Status

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(alice: User, atlas: Agent) -> Run:
    return dispatch.start(alice, "Hello", agent=atlas).run


def test_a_stop_is_written_down_with_who_asked_and_the_engine_is_woken(
    alice: User, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    monkeypatch.setattr(dispatch, "wake", [heard.append])

    with TestCase.captureOnCommitCallbacks(execute=True):
        stopped = dispatch.cancel(alice, run)

    assert stopped.cancel_requested_at is not None
    assert (stopped.cancelled_by, stopped.status) == (alice, Status.QUEUED)
    assert heard == [run.pk]


def test_asking_twice_is_one_ask_and_the_first_asker_stays(alice: User, ada: User, run: Run) -> None:
    first = dispatch.cancel(alice, run).cancel_requested_at

    again = dispatch.cancel(ada, run)

    assert (again.cancel_requested_at, again.cancelled_by) == (first, alice)


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.INTERRUPTED])
def test_what_has_ended_cannot_be_stopped(alice: User, run: Run, status: str) -> None:
    Run.objects.update(status=status)

    with pytest.raises(Conflict) as refused:
        dispatch.cancel(alice, run)

    assert refused.value.reason == "already_finished"
    run.refresh_from_db()
    assert run.cancel_requested_at is None


def test_strangers_and_those_who_only_chat_with_the_agent_stop_nothing(run: Run, mallory: User, bob: User) -> None:
    for stranger in (mallory, bob):
        with pytest.raises(NotFound):
            dispatch.cancel(stranger, run)


def test_a_clone_sends_the_same_message_in_a_chat_of_ones_own(alice: User, run: Run) -> None:
    clone = dispatch.clone(alice, run).run

    assert clone.conversation != run.conversation
    assert (clone.message.text, clone.agent, clone.conversation.origin) == ("Hello", run.agent, "clone")
    assert clone.fingerprint == run.fingerprint


def test_an_operator_who_manages_the_agent_clones_into_their_own_chat(atlas: Agent, run: Run, mallory: User) -> None:
    mallory.role = Role.OPERATOR
    mallory.save()
    permissions.grant(mallory, "manage", atlas)

    assert dispatch.clone(mallory, run).run.conversation.owner == mallory


def test_strangers_clone_nothing(run: Run, mallory: User, bob: User) -> None:
    for stranger in (mallory, bob):
        with pytest.raises(NotFound):
            dispatch.clone(stranger, run)


def test_a_run_of_a_deleted_agent_cannot_be_cloned(alice: User, atlas: Agent, run: Run) -> None:
    atlas.mark_deleted()

    with pytest.raises(LogosError, match="This agent was deleted"):
        dispatch.clone(alice, Run.objects.get(pk=run.pk))
