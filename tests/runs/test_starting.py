"""A message is accepted whole or not at all: its conversation, message, run, stamp and first event."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import TestCase

from agents import permissions
from agents.errors import Conflict, Invalid, LogosError, NotFound
from agents.models import Agent, ModelRoute, User
from runs import dispatch, events
from runs.models import Conversation, Message, Run, RunEvent, Status

pytestmark = pytest.mark.django_db


def counted() -> tuple[int, int, int, int]:
    return (
        Conversation.objects.count(),
        Message.objects.count(),
        Run.objects.count(),
        RunEvent.objects.count(),
    )


def test_the_first_message_opens_a_conversation(alice: User, atlas: Agent) -> None:
    started = dispatch.start(alice, " Hello there\nand more ", agent=atlas, origin="api")

    run, talk = started.run, started.run.conversation
    assert (started.repeated, run.status, run.actor, run.agent) == (False, Status.QUEUED, alice, atlas)
    assert (talk.owner, talk.title, talk.origin) == (alice, "Hello there", "api")
    assert (run.message.text, run.message.speaker) == ("Hello there\nand more", "person")
    assert run.stamp["soul"]["revision"] == 1
    assert len(run.fingerprint) == 64
    assert [event.kind for event in events.replay(run.pk)] == ["run.queued"]
    assert events.verify(run) == ""


def test_the_next_message_goes_to_the_same_conversation(alice: User, atlas: Agent) -> None:
    first = dispatch.start(alice, "One", agent=atlas).run
    Run.objects.update(status=Status.COMPLETED)

    second = dispatch.start(alice, "Two", conversation=first.conversation).run

    assert second.conversation == first.conversation
    assert Conversation.objects.get().last_at > first.conversation.last_at


def test_a_long_first_line_makes_a_title_that_fits(alice: User, atlas: Agent) -> None:
    assert dispatch.start(alice, "ä" * 500, agent=atlas).run.conversation.title == "ä" * 117


@pytest.mark.parametrize(
    ("text", "reason", "sentence"),
    [
        ("", "invalid", "Write something first"),
        (" \r\n\t ", "invalid", "Write something first"),
        ("a\x00b", "invalid", "NUL"),
        ("\x00", "invalid", "NUL"),
        ("half \ud800 pair", "invalid", "not valid Unicode"),
        ("x" * 100_001, "too_large", "100,001 characters; at most 100,000"),
        ("x" * 1_000_000, "too_large", "1,000,000 characters"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_a_sentence_and_nothing_is_stored(
    alice: User, atlas: Agent, text: str, reason: str, sentence: str
) -> None:
    with pytest.raises(Invalid) as refused:
        dispatch.start(alice, text, agent=atlas)

    assert (refused.value.reason, refused.value.field) == (reason, "text")
    assert sentence in refused.value.message
    assert counted() == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a\r\nb\rc", "a\nb\nc"),
        ("\n  x \n", "x"),
        ("x" * 100_000, "x" * 100_000),
        ("👩🏽\u200d💻\u200b", "👩🏽\u200d💻\u200b"),
        ("run: echo 'it''s' && id\t# now", "run: echo 'it''s' && id\t# now"),
    ],
)
def test_a_message_is_kept_as_it_was_but_for_its_line_ends(text: str, kept: str) -> None:
    assert dispatch.clean_text(text) == kept


def test_a_conversation_that_still_answers_takes_no_second_message(alice: User, atlas: Agent) -> None:
    talk = dispatch.start(alice, "One", agent=atlas).run.conversation

    with pytest.raises(Conflict) as busy:
        dispatch.start(alice, "Two", conversation=talk)

    assert busy.value.reason == "conversation_busy"
    assert "your message is kept here" in busy.value.action
    assert counted() == (1, 1, 1, 1)


def test_somebody_elses_conversation_is_not_there(alice: User, atlas: Agent, bob: User, mallory: User) -> None:
    talk = dispatch.start(alice, "One", agent=atlas).run.conversation

    for stranger in (bob, mallory):
        with pytest.raises(NotFound):
            dispatch.start(stranger, "Two", conversation=talk)


def test_nobody_chats_with_an_agent_that_is_not_for_them(atlas: Agent, mallory: User) -> None:
    with pytest.raises(NotFound, match=r"Agent was not found\."):
        dispatch.start(mallory, "Hello", agent=atlas)
    with pytest.raises(NotFound):
        dispatch.start(mallory, "Hello")


def test_a_grant_taken_back_ends_the_talk_and_keeps_it_readable(atlas: Agent, bob: User) -> None:
    talk = dispatch.start(bob, "One", agent=atlas).run.conversation
    Run.objects.update(status=Status.COMPLETED)
    permissions.revoke(bob, "chat", atlas)

    with pytest.raises(NotFound):
        dispatch.start(bob, "Two", conversation=talk)

    assert permissions.allows(bob, "conversation.view", talk)


@pytest.mark.parametrize("copy", ["fresh", "stale"])
def test_a_deleted_agent_takes_no_messages(alice: User, atlas: Agent, copy: str) -> None:
    stale = Agent.objects.get(pk=atlas.pk)
    atlas.mark_deleted()

    with pytest.raises(LogosError, match="This agent was deleted") as refused:
        dispatch.start(alice, "Hello", agent=atlas if copy == "fresh" else stale)

    assert refused.value.reason == "conflict"
    assert counted() == (0, 0, 0, 0)


def test_without_a_model_the_message_is_refused(alice: User, atlas: Agent) -> None:
    ModelRoute.objects.all().delete()

    with pytest.raises(Invalid) as refused:
        dispatch.start(alice, "Hello", agent=atlas)

    assert refused.value.reason == "no_route"
    assert counted() == (0, 0, 0, 0)


def test_when_the_last_row_cannot_be_written_none_is(
    alice: User, atlas: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(dispatch.events, "store", full)

    with pytest.raises(OSError, match="disk full"):
        dispatch.start(alice, "Hello", agent=atlas)

    assert counted() == (0, 0, 0, 0)


def test_the_engine_is_woken_after_commit_and_not_when_nothing_was_kept(
    alice: User, atlas: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    monkeypatch.setattr(dispatch, "wake", [heard.append])

    with TestCase.captureOnCommitCallbacks(execute=True):
        run = dispatch.start(alice, "Hello", agent=atlas).run
        with pytest.raises(Conflict):
            dispatch.start(alice, "Again", conversation=run.conversation)
        assert heard == []

    assert heard == [run.pk]
