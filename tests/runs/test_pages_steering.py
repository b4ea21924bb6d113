"""Stopping, deciding and cloning from a page."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from agents.models import Agent, User
from runs import approvals
from runs.models import Approval, ApprovalState, Run, Status
from tests.runs.acting import ONE_COMMAND, ask, finished, play

Browser = Callable[..., Client]
HTMX = {"headers": {"HX-Request": "true"}}


@pytest.fixture
def live(alice: User, atlas: Agent) -> Run:
    return play(ask(alice, atlas), ONE_COMMAND[:4])


@pytest.fixture
def question(live: Run) -> Approval:
    asked = approvals.request(live.pk, "rm -rf <x>", "Deletes files")
    play(live, [("approval.requested", approvals.shown(asked))], Status.WAITING)
    return asked


def test_stop_asks_the_run_to_stop_and_says_stopping(browser: Browser, alice: User, live: Run) -> None:
    response = browser(alice).post(f"/runs/{live.pk}/cancel/", **HTMX)

    live.refresh_from_db()
    assert live.cancel_requested_at is not None
    assert live.cancelled_by == alice
    assert b"Stopping" in response.content


def test_stop_works_without_scripts(browser: Browser, alice: User, live: Run) -> None:
    response = browser(alice).post(f"/runs/{live.pk}/cancel/")

    assert response["Location"] == f"/chat/{live.conversation_id}/"


def test_a_run_that_has_ended_cannot_be_stopped(browser: Browser, alice: User, atlas: Agent) -> None:
    response = browser(alice).post(f"/runs/{finished(alice, atlas).pk}/cancel/", **HTMX)

    assert response.status_code == 409
    assert b"already ended" in response.content


@pytest.mark.parametrize(
    ("choice", "state", "words"),
    [("once", "allowed", b"allowed once by alice"), ("deny", "denied", b"refused by alice")],
)
def test_a_decision_is_kept_and_shown(
    browser: Browser, alice: User, question: Approval, choice: str, state: str, words: bytes
) -> None:
    data = {"choice": choice, "subject": question.subject_hash, "view": "chat"}

    response = browser(alice).post(f"/approvals/{question.pk}/decide/", data, **HTMX)

    question.refresh_from_db()
    assert (question.state, question.decided_by) == (state, alice)
    assert words in response.content
    assert f'id="{question.run_id}-question-{question.pk}"'.encode() in response.content
    assert b"<x>" not in response.content


def test_a_decision_works_without_scripts(browser: Browser, alice: User, question: Approval) -> None:
    response = browser(alice).post(f"/approvals/{question.pk}/decide/", {"choice": "once", "view": "chat"})

    assert response["Location"] == f"/chat/{question.run.conversation_id}/"


def test_a_question_that_changed_meanwhile_is_not_decided(browser: Browser, alice: User, question: Approval) -> None:
    response = browser(alice).post(f"/approvals/{question.pk}/decide/", {"choice": "once", "subject": "0" * 64}, **HTMX)

    question.refresh_from_db()
    assert response.status_code == 409
    assert question.state == ApprovalState.PENDING


def test_the_second_of_two_decisions_is_told_so(browser: Browser, alice: User, question: Approval) -> None:
    client = browser(alice)
    client.post(f"/approvals/{question.pk}/decide/", {"choice": "deny"})

    late = client.post(f"/approvals/{question.pk}/decide/", {"choice": "once"}, **HTMX)

    question.refresh_from_db()
    assert late.status_code == 409
    assert question.state == ApprovalState.DENIED


def test_a_choice_that_is_none_decides_nothing(browser: Browser, alice: User, question: Approval) -> None:
    response = browser(alice).post(f"/approvals/{question.pk}/decide/", {"choice": "always"}, **HTMX)

    question.refresh_from_db()
    assert response.status_code == 400
    assert question.state == ApprovalState.PENDING


def test_clone_sends_the_message_again_in_a_new_chat(browser: Browser, alice: User, atlas: Agent) -> None:
    run = finished(alice, atlas, "Say it again")

    response = browser(alice).post(f"/runs/{run.pk}/clone/")

    copy = Run.objects.exclude(pk=run.pk).get()
    assert response["Location"] == f"/chat/{copy.conversation_id}/"
    assert copy.message.text == "Say it again"
    assert copy.conversation_id != run.conversation_id


@pytest.mark.parametrize("who", ["mallory", "bob", "viewer"])
def test_nobody_else_steers(request: pytest.FixtureRequest, browser: Browser, question: Approval, who: str) -> None:
    client, run = browser(request.getfixturevalue(who)), question.run

    answers = [
        client.post(f"/runs/{run.pk}/cancel/"),
        client.post(f"/runs/{run.pk}/clone/"),
        client.post(f"/approvals/{question.pk}/decide/", {"choice": "once"}),
    ]

    run.refresh_from_db()
    question.refresh_from_db()
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert run.cancel_requested_at is None
    assert question.state == ApprovalState.PENDING
    assert Run.objects.count() == 1


@pytest.mark.parametrize("path", ["cancel", "clone"])
def test_looking_at_the_address_changes_nothing(browser: Browser, alice: User, live: Run, path: str) -> None:
    assert browser(alice).get(f"/runs/{live.pk}/{path}/").status_code == 405


def test_a_post_from_another_site_is_refused(alice: User, live: Run) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice, backend="allauth.account.auth_backends.AuthenticationBackend")

    response = client.post(f"/runs/{live.pk}/cancel/")

    live.refresh_from_db()
    assert response.status_code == 403
    assert b"out of date" in response.content
    assert live.cancel_requested_at is None


def test_the_page_sends_back_what_the_decision_is_about(
    browser: Callable[..., Client], alice: User, live: Run, question: Approval
) -> None:
    page = browser(alice).get(f"/runs/{live.pk}/").content.decode()

    assert f'name="subject" value="{question.subject_hash}"' in page
