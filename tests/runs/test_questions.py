"""An agent asks a person in words: the answer comes back to it, and nobody answering is an outcome of its own."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from agents import agent_secrets, composition, routes, souls
from agents.errors import Conflict, Invalid, NotFound
from agents.models import Agent, Role, User
from runs import approvals, dispatch, questions
from runs.events import Event
from runs.items import Question as Shown
from runs.models import Approval, ApprovalRule, Run
from runs.timeline import Timeline
from tests.api_client import Program
from tests.conftest import person
from tests.runs.acting import ONE_COMMAND, ask, play
from tests.shell import run as shell

Browser = Callable[..., Client]
HTMX = {"HX-Request": "true"}


@pytest.fixture
def run(alice: User, atlas: Agent) -> Run:
    return play(ask(alice, atlas, "Paint the shed."), ONE_COMMAND[:3])


def put(run: Run, question: str = "Which colour?", choices: tuple[str, ...] = ("Red", "Blue")) -> Approval:
    said = questions.ask(run.agent_id, question, choices, run.pk)
    assert said.status == "pending"
    return Approval.objects.get(pk=said.request_id)


def answer(client: Client, asked: Approval, **given: str) -> Any:
    data = {"choice": "answer", "subject": asked.subject_hash, "view": "inbox", **given}
    return client.post(f"/approvals/{asked.pk}/decide/", data, headers=HTMX)


def test_what_a_person_says_returns_to_the_agent(run: Run, alice: User) -> None:
    asked = put(run)
    assert list(approvals.open_for(alice)) == [asked]

    approvals.decide(alice, asked, "answer", answer="  Green, like the\nhouse ", via="page")

    said = questions.look(run.agent_id, asked.pk)
    assert (said.status, said.answer, said.request_id) == ("answered", "Green, like the\nhouse", asked.pk)
    assert "alice" in said.sentence
    assert not ApprovalRule.objects.exists()


def test_nobody_answering_is_not_a_refusal(run: Run, alice: User, browser: Browser) -> None:
    lapsed, declined = put(run), put(run, "May I guess?")
    Approval.objects.filter(pk=lapsed.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert questions.look(run.agent_id, lapsed.pk).status == "unanswered", "at once, before anything notices"
    approvals.settle()
    approvals.decide(alice, declined, "deny", note="Ask Bob.")

    assert questions.look(run.agent_id, lapsed.pk).status == "unanswered"
    said = questions.look(run.agent_id, declined.pk)
    assert (said.status, "Ask Bob." in said.sentence) == ("declined", True)
    listed = browser(alice).get("/approvals/decided/").content.decode()
    assert "nobody answered" in listed
    assert "not answered" in listed
    with pytest.raises(Conflict):
        approvals.decide(alice, lapsed, "answer", answer="Too late")
    assert questions.ask(run.agent_id, "Which colour?", ("Red", "Blue"), run.pk).status == "pending", "it may ask again"
    assert questions.ask(run.agent_id, "May I guess?", ("Red", "Blue"), run.pk).status == "declined", "but not nag"


@pytest.mark.parametrize(
    ("choice", "more", "field"),
    [
        ("answer", {}, "answer"),
        ("answer", {"answer": " \n "}, "answer"),
        ("answer", {"answer": "x" * 4001}, "answer"),
        ("answer", {"answer": "a\x00b"}, "answer"),
        ("answer", {"answer": "it is ghp_0123456789abcdefghijABCDEFGHIJ456789"}, "answer"),
        ("once", {}, "choice"),
        ("run", {}, "choice"),
        ("rule", {}, "choice"),
        ("deny", {"answer": "words"}, "answer"),
    ],
)
def test_what_is_no_answer_is_refused(run: Run, alice: User, choice: str, more: dict[str, str], field: str) -> None:
    asked = put(run)
    with pytest.raises(Invalid) as refused:
        approvals.decide(alice, asked, choice, **more)

    assert refused.value.field == field
    asked.refresh_from_db()
    assert asked.state == "pending"


def test_nothing_else_is_answered_in_words(run: Run, alice: User) -> None:
    asked = approvals.request(run.pk, "rm -rf build", "delete")
    for choice in ("once", "answer"):
        with pytest.raises(Invalid):
            approvals.decide(alice, asked, choice, answer="Sure")


@pytest.mark.parametrize(
    ("question", "choices"),
    [
        ("", ()),
        ("x" * 2001, ()),
        ("What \u202enow?", ()),
        ("What?", ("a", "a")),
        ("What?", tuple("abcdefg")),
        ("What?", ("",)),
        ("What?", ("x" * 121,)),
        ("What?", ("a\u200bb",)),
    ],
)
def test_a_question_that_a_person_could_not_read_is_refused(run: Run, question: str, choices: tuple[str, ...]) -> None:
    said = questions.ask(run.agent_id, question, choices, run.pk)

    assert said.status == "refused"
    assert not Approval.objects.exists()


def test_the_same_question_is_one_and_an_agent_has_few_open(run: Run) -> None:
    first = put(run)
    assert questions.ask(run.agent_id, "Which colour?", ("Red", "Blue"), run.pk).request_id == first.pk
    for number in range(questions.MAX_OPEN - 1):
        put(run, f"Number {number}?")

    assert questions.ask(run.agent_id, "One more?", (), run.pk).status == "refused"
    assert Approval.objects.count() == questions.MAX_OPEN


def test_whom_it_is_put_to_and_who_reads_of_it(
    run: Run, alice: User, bob: User, mallory: User, atlas: Agent, browser: Browser
) -> None:
    asked = put(run, "Which secret colour?")
    own = Approval.objects.get(pk=questions.ask(atlas.pk, "Outside of a run?").request_id)
    bobs = play(ask(bob, atlas), ONE_COMMAND[:3])
    his = put(bobs, "Which of yours?")

    assert set(approvals.open_for(alice)) == {asked, own}
    assert list(approvals.open_for(bob)) == [his]
    for other in (bob, mallory):
        with pytest.raises(NotFound):
            approvals.decide(other, asked, "answer", answer="Mine")
        assert "secret colour" not in browser(other).get("/approvals/").content.decode()
        assert answer(browser(other), asked, answer="Mine").status_code == 404
    assert questions.look("agent_other", asked.pk).status == "refused", "another agent's question"
    assert questions.ask("agent_none", "Hello?").status == "refused"
    assert questions.ask(atlas.pk, "Of a run of others?", (), "run_none").status == "pending"


def test_secrets_of_the_agent_are_not_shown_in_its_question(run: Run, alice: User, atlas: Agent) -> None:
    agent_secrets.put(alice, atlas, "DOOR", "open-sesame-4711")
    asked = put(run, "Is open-sesame-4711 still right?", ())

    assert "sesame" not in asked.exact
    assert asked.title.startswith(approvals.HIDDEN)


def test_the_card_offers_the_answers_and_a_field(run: Run, alice: User, browser: Browser) -> None:
    asked, client = put(run, "Which <b>colour</b>?", ("Red & white", "Blue")), browser(alice)

    shown = client.get("/approvals/").content.decode()

    assert "Which &lt;b&gt;colour&lt;/b&gt;?" in shown
    assert re.findall(r'name="option" value="([^"]+)"', shown) == ["Red &amp; white", "Blue"]
    assert "data-own" in shown
    assert "Allow" not in re.sub(r"<dl>.*?</dl>", "", shown[shown.index('id="queue"') :], flags=re.S)
    done = answer(client, asked, option="Blue", answer="").content.decode()
    assert "answered" in done
    assert "Blue" in done
    assert "data-approval" not in done
    asked.refresh_from_db()
    assert (asked.answer, asked.choice, asked.state, asked.decided_via) == ("Blue", "answer", "allowed", "page")


def test_an_empty_answer_is_refused_with_a_sentence(run: Run, alice: User, browser: Browser) -> None:
    refused = answer(browser(alice), put(run), answer="")

    assert refused.status_code == 400
    assert "Write an answer, or choose one" in refused.content.decode()


def test_the_chat_and_the_run_carry_the_same_card(run: Run, alice: User, browser: Browser) -> None:
    asked, client = put(run), browser(alice)
    timeline = Timeline()
    timeline.apply(Event(run.pk, 1, "approval.requested", approvals.shown(asked), timezone.now()))
    (item,) = [each for each in timeline.items if isinstance(each, Shown)]
    assert (item.asked, item.options) == ("question", ("Red", "Blue"))
    page = client.get(f"/approvals/{asked.pk}/").content.decode()
    assert 'name="option" value="Red"' in page
    part = answer(client, asked, answer="Green", view="chat").content.decode()
    assert "answered by alice" in part
    assert "Green" in part
    asked.refresh_from_db()
    timeline.apply(Event(run.pk, 2, "approval.decided", approvals.outcome(asked), timezone.now()))
    assert (item.choice, item.answer) == ("answer", "Green")


def test_the_choices_stand_on_their_buttons_and_not_once_more_above_them(
    run: Run, alice: User, browser: Browser
) -> None:
    asked, client = put(run), browser(alice)
    timeline = Timeline()
    timeline.apply(Event(run.pk, 1, "approval.requested", approvals.shown(asked), timezone.now()))
    (item,) = [each for each in timeline.items if isinstance(each, Shown)]
    page, inbox = (client.get(f"/approvals/{path}").content.decode() for path in (f"{asked.pk}/", ""))

    assert item.shown == "Which colour?"
    assert "- Red" not in page
    assert "- Red" not in inbox
    assert page.count('value="Red"') == inbox.count('value="Red"') == 1
    assert client.get(f"/approvals/{asked.pk}/exact/").content.decode() == "Which colour?\n- Red\n- Blue"
    answer(client, asked, answer="Green")
    timeline.apply(Event(run.pk, 2, "approval.decided", {"id": asked.pk, "choice": "answer"}, timezone.now()))
    assert "- Red" in client.get(f"/approvals/{asked.pk}/").content.decode()
    assert "- Red" in item.shown


def test_a_program_and_a_shell_answer(run: Run, alice: User) -> None:
    first, second = put(run), put(run, "And the door?")
    seen = Program(alice).get(f"approvals/{first.pk}")
    assert (seen["choices"], seen["subject"]["choices"]) == (["answer", "deny"], ["Red", "Blue"])
    Program(alice).post(f"approvals/{first.pk}", {"choice": "answer"}, 400)
    assert Program(alice).post(f"approvals/{first.pk}", {"choice": "answer", "answer": "Red"})["answer"] == "Red"
    done = shell("approvals", "decide", second.pk, "answer", "--answer", "Blue", "--user", "alice")
    assert done.code == 0
    assert "answer: Blue" in shell("approvals", "show", second.pk, "--user", "alice").out


@pytest.mark.django_db(transaction=True)
def test_of_two_who_answer_at_once_one_is_heard() -> None:
    owner = person("owner", Role.ADMIN)
    other = person("other", Role.ADMIN)
    routes.rehearsal_route()
    agent = composition.create(owner, "atlas", souls.create("Kind", "Be kind.", owner))
    run = dispatch.start(owner, "Hello", agent=agent).run
    asked = put(run)
    start, said = threading.Barrier(2), []

    def speak(who: User) -> None:
        try:
            start.wait(timeout=60)
            approvals.decide(who, Approval.objects.get(pk=asked.pk), "answer", answer=who.username)
            said.append(who.username)
        except Conflict:
            said.append("")
        finally:
            connection.close()

    threads = [threading.Thread(target=speak, args=(who,)) for who in (owner, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    asked.refresh_from_db()
    assert sorted(said) == sorted(["", asked.answer])
