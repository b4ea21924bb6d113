"""What a run is told of its conversation so far (pure): who said what, and honestly how earlier runs ended.

A message that was never answered must not stand alone: the runtime joins neighbouring messages of one speaker,
and the agent would carry out again what the person has stopped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runs.models import Message, Run, Speaker, Status

UNFINISHED: dict[str, str] = {
    Status.CANCELLED: "[The person stopped this run before it was finished.]",
    Status.FAILED: "[This run failed before it was finished.]",
    Status.INTERRUPTED: "[This run was interrupted before it was finished.]",
}

# Before what the agent wrote by itself: two messages of one speaker in a row would be joined.
UNASKED = "[The person said nothing here. You wrote to them by yourself.]"


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier message."""

    from_person: bool
    text: str


def turns(messages: Iterable[Message]) -> tuple[Turn, ...]:
    """The conversation's messages, oldest first, each with its run at hand, as the runtime is told them."""
    told: list[Turn] = []
    for message in messages:
        if message.speaker == Speaker.PERSON:
            told.append(Turn(True, message.text))
            run: Run | None = getattr(message, "run", None)
            if run is not None and not run.reply_id and (note := UNFINISHED.get(run.status)):
                told.append(Turn(False, note))
        else:
            answered: Run | None = getattr(message, "answered_run", None)
            note = UNFINISHED.get(answered.status, "") if answered is not None else ""
            if answered is None and not (told and told[-1].from_person):
                told.append(Turn(True, UNASKED))
            told.append(Turn(False, f"{message.text}\n\n{note}" if note else message.text))
    return tuple(told)
