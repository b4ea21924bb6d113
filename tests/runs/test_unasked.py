"""An agent writes to its person unasked: whom it reaches, how often, what it may say, and how it is read and answered."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from agents import agent_secrets, sharing
from agents.models import Agent, ModelRoute, User
from channels_app import notices, receivers
from channels_app.models import PushDevice
from runs import dispatch, history, unasked
from runs.models import Conversation, Message, Run
from tests.api_client import Program

pytestmark = pytest.mark.django_db

Browser = Callable[..., Client]


@pytest.fixture
def run(alice: User, atlas: Agent, route: ModelRoute) -> Run:
    return dispatch.start(alice, "Look after the backups.", agent=atlas).run


def test_it_goes_to_the_person_of_the_run_into_one_chat_and_to_nobody_else(
    run: Run, alice: User, bob: User, mallory: User, atlas: Agent
) -> None:
    bobs = dispatch.start(bob, "Hello", agent=atlas).run

    first, second = unasked.send(atlas.pk, "The backup is done.", run.pk), unasked.send(atlas.pk, "It is 3 GB.", run.pk)
    other = unasked.send(atlas.pk, "For Bob.", bobs.pk)
    outside = unasked.send(atlas.pk, "From the editor.")

    assert {each.status for each in (first, second, other, outside)} == {"sent"}
    talks = {talk.owner: talk for talk in Conversation.objects.filter(origin="agent")}
    assert set(talks) == {alice, bob}
    assert talks[alice].title == f"Messages from {atlas.name}"
    assert [each.text for each in unasked.of(talks[alice])] == [
        "The backup is done.",
        "It is 3 GB.",
        "From the editor.",
    ]
    assert [each.text for each in unasked.of(talks[bob])] == ["For Bob."]


def test_nobody_who_may_not_speak_with_the_agent_is_written_to(run: Run, alice: User, bob: User, atlas: Agent) -> None:
    bobs = dispatch.start(bob, "Hello", agent=atlas).run
    sharing.revoke(alice, sharing.subject(person="bob"), atlas)

    assert unasked.send(atlas.pk, "For Bob.", bobs.pk).status == "refused"
    assert unasked.send(atlas.pk, "To whom?", "run_unknown").status == "refused"
    assert unasked.send("agent_unknown", "To whom?").status == "refused"
    alice.is_active = False
    alice.save()
    assert unasked.send(atlas.pk, "For Alice.", run.pk).status == "refused"
    assert not Message.objects.filter(idempotency_key__startswith=unasked.MARK).exists()


@pytest.mark.parametrize("text", ["", "  \n ", "x" * (unasked.MOST_CHARS + 1), "hidden\u200b\u202eword"])
def test_what_no_person_could_read_is_refused(run: Run, atlas: Agent, text: str) -> None:
    assert unasked.send(atlas.pk, text, run.pk).status == "refused"


def test_secrets_are_blotted_out_and_the_same_words_are_one_message(run: Run, alice: User, atlas: Agent) -> None:
    agent_secrets.put(alice, atlas, "WEATHER_KEY", "rain-and-sunshine-4711")

    sent = unasked.send(atlas.pk, "The key is rain-and-sunshine-4711, grüße!", run.pk)
    again = unasked.send(atlas.pk, "The key is rain-and-sunshine-4711, grüße!", run.pk)

    text = Message.objects.get(pk=sent.message_id).text
    assert "4711" not in text
    assert "grüße" in text
    assert again.message_id == sent.message_id


def test_an_agent_in_a_loop_is_told_to_wait(run: Run, atlas: Agent) -> None:
    said = [unasked.send(atlas.pk, f"Message {number}", run.pk).status for number in range(5)]
    Message.objects.filter(idempotency_key__startswith=unasked.MARK).update(
        created_at=timezone.now() - timedelta(minutes=2)
    )
    later = unasked.send(atlas.pk, "A minute later", run.pk)

    assert said == ["sent"] * unasked.PER_MINUTE + ["refused"] * 2
    assert later.status == "sent"


def test_the_chat_shows_it_between_what_was_said_and_it_can_be_answered(
    browser: Browser, run: Run, alice: User, bob: User, atlas: Agent
) -> None:
    unasked.send(atlas.pk, "First <b>word</b> of mine.", run.pk)
    talk = Conversation.objects.get(origin="agent")
    dispatch.start(alice, "Thank you.", conversation=talk)
    unasked.send(atlas.pk, "Second word of mine.", run.pk)

    page = browser(alice).get(f"/chat/{talk.pk}/").content.decode()

    places = [page.index(text) for text in ("First ", "Thank you.", "Second word of mine.")]
    assert places == sorted(places)
    assert "<b>word</b>" not in page
    assert page.count("wrote this unasked") == 2
    assert browser(bob).get(f"/chat/{talk.pk}/").status_code == 404


def test_the_runtime_is_told_whose_words_they_were(run: Run, alice: User, atlas: Agent) -> None:
    unasked.send(atlas.pk, "First word.", run.pk)
    unasked.send(atlas.pk, "Second word.", run.pk)
    talk = Conversation.objects.get(origin="agent")

    told = history.turns(talk.messages.select_related("run", "answered_run"))

    assert [(turn.from_person, turn.text) for turn in told] == [
        (True, history.UNASKED), (False, "First word."), (True, history.UNASKED), (False, "Second word."),
    ]  # fmt: skip


def test_the_person_is_told_as_they_chose_and_not_what_it_says(
    run: Run, alice: User, atlas: Agent, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    tasks: list[tuple[Any, ...]] = []
    pushed: list[Any] = []
    monkeypatch.setattr(receivers, "async_task", lambda *words, **more: tasks.append(words))
    monkeypatch.setattr(notices.pushing, "push", lambda person, message, **more: pushed.append((person, message)) or 1)
    PushDevice.objects.create(user=alice, name="Laptop", endpoint="https://push.example/1", digest="0" * 64)

    with django_capture_on_commit_callbacks(execute=True):
        unasked.send(atlas.pk, "The word is harbour.", run.pk)
        unasked.send(atlas.pk, "Another harbour.", run.pk)
    talk = Conversation.objects.get(origin="agent")

    assert [task for task in tasks if task[0].endswith("tell_wrote")] == [("channels_app.tasks.tell_wrote", talk.pk)]
    assert notices.wrote(talk.pk)
    assert [person for person, _ in pushed] == [alice]
    assert pushed[0][1]["url"] == f"/chat/{talk.pk}/"
    assert "harbour" not in str(pushed)
    assert atlas.name not in str(pushed)
    notices.choose(alice, by_push=False, by_mail=False)
    assert not notices.wrote(talk.pk)


def test_a_message_marks_its_chat_as_new_until_its_owner_opens_it(
    browser: Browser, run: Run, alice: User, ada: User, atlas: Agent
) -> None:
    unasked.send(atlas.pk, "The backup is done.", run.pk)
    talk = Conversation.objects.get(origin="agent")
    client = browser(alice)
    badge, mark = '1<span class="visually-hidden"> with new messages</span>', "New: </span>Messages from"

    before, chats = client.get("/runs/").content.decode(), client.get("/chat/list/").content.decode()
    said = Program(alice).get(f"conversations/{talk.pk}")["is_unread"]
    browser(ada).get(f"/chat/{talk.pk}/")
    still = client.get("/runs/").content.decode()
    client.get(f"/chat/{talk.pk}/?before=run_0")
    opened = client.get(f"/chat/{talk.pk}/").content.decode()

    assert badge in before
    assert mark in chats
    assert said is True
    assert badge in still, "somebody else looked"
    assert badge not in opened
    assert mark not in opened
    assert not Program(alice).get(f"conversations/{talk.pk}")["is_unread"]
    unasked.send(atlas.pk, "And the next one.", run.pk)
    assert badge in client.get("/runs/").content.decode()
