"""/api/approvals: the right person decides once, about exactly what they read."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from agents.models import Agent, User
from runs import approvals, dispatch
from runs.models import Approval, ApprovalState, Run
from tests.api_client import Program


@pytest.fixture
def question(alice: User, atlas: Agent) -> Approval:
    run: Run = dispatch.start(alice, "clean up", agent=atlas).run
    return approvals.request(run.pk, "rm -rf build", "recursive delete")


@pytest.mark.parametrize(("choice", "state"), [("once", "allowed"), ("deny", "denied")])
def test_a_question_is_decided_once(alice: User, question: Approval, choice: str, state: str) -> None:
    program = Program(alice)
    listed = program.get("approvals")["items"][0]
    assert (listed["text"], listed["agent"]["name"]) == ("rm -rf build", "atlas")

    decided = program.post(f"approvals/{question.pk}", {"choice": choice, "subject_hash": listed["subject_hash"]})

    assert decided["state"] == state
    assert program.get("approvals")["items"] == []
    again = program.post(f"approvals/{question.pk}", {"choice": "once"}, 409)
    assert again["error"]["reason"] == "already_decided"
    question.refresh_from_db()
    assert (question.state, question.decided_by) == (state, alice)


def test_another_question_than_the_one_read_is_not_decided(alice: User, question: Approval) -> None:
    Program(alice).post(f"approvals/{question.pk}", {"choice": "once", "subject_hash": "0" * 64}, 409)

    question.refresh_from_db()
    assert question.state == ApprovalState.PENDING


def test_an_expired_question_is_neither_listed_nor_decided(alice: User, question: Approval) -> None:
    Approval.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert Program(alice).get("approvals")["items"] == []
    Program(alice).post(f"approvals/{question.pk}", {"choice": "once"}, 409)


def test_others_neither_see_nor_decide(bob: User, mallory: User, viewer: User, question: Approval) -> None:
    for other in (bob, mallory, viewer):
        assert Program(other).get("approvals")["items"] == []
        Program(other).post(f"approvals/{question.pk}", {"choice": "once"}, 404)
    question.refresh_from_db()
    assert question.state == ApprovalState.PENDING


def test_there_are_two_choices(alice: User, question: Approval) -> None:
    assert Program(alice).post(f"approvals/{question.pk}", {"choice": "always"}, 422)["error"]["field"] == "choice"
