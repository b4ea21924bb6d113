"""The history a run is told: every earlier message, and honestly how runs ended that were not finished."""

from __future__ import annotations

import pytest

from runs.history import Turn, turns
from runs.models import Message, Run, Speaker, Status


def asked(text: str, status: str, reply: str = "") -> list[Message]:
    """A person's message, and the agent's when there is one, joined to their run as the database would."""
    message = Message(speaker=Speaker.PERSON, text=text)
    said = Message(speaker=Speaker.AGENT, text=reply) if reply else None
    message.run = Run(message=message, status=status, reply=said)
    if said is None:
        return [message]
    said.answered_run = message.run
    return [message, said]


def test_a_finished_conversation_is_told_as_it_was_said() -> None:
    assert turns(asked("Hello", Status.COMPLETED, "Hi.")) == (Turn(True, "Hello"), Turn(False, "Hi."))


@pytest.mark.parametrize(
    ("status", "word"),
    [(Status.CANCELLED, "stopped"), (Status.FAILED, "failed"), (Status.INTERRUPTED, "interrupted")],
)
def test_a_message_that_was_never_answered_does_not_stand_alone(status: str, word: str) -> None:
    told = turns([*asked("run: rm notes", status), *asked("hello", Status.COMPLETED, "Hi.")])

    assert [turn.from_person for turn in told] == [True, False, True, False]
    assert word in told[1].text


def test_half_a_reply_is_told_with_how_it_ended() -> None:
    told = turns(asked("Tell me a story", Status.CANCELLED, "Once upon"))

    assert told[1].text.startswith("Once upon\n\n[")
    assert "stopped" in told[1].text


def test_nothing_was_said_yet() -> None:
    assert turns([]) == ()
