"""What is to be done with one sandbox so that it becomes what it should be: a pure function of what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from sandboxes.models import Desired, State

# A start that failed is tried again after this long, then twice as long, up to the last.
FIRST_PAUSE = timedelta(seconds=15)
LONGEST_PAUSE = timedelta(minutes=15)
MAX_ATTEMPTS = 6

# A runtime that did not answer this often in a row will not.
MOST_SILENCES = 3

# One that runs this long after it was started again has got over what ended it.
STEADY = timedelta(minutes=2)


class Step(StrEnum):
    """One thing to do; each is one conditional change of the row, harmless when it comes twice."""

    NOTHING = "nothing"
    RELEASE = "release"  # whoever was starting or stopping it has died
    LOST = "lost"  # it has ended and nobody noted it
    STOP = "stop"
    IDLE = "idle"  # nobody uses it: stop it
    REVIVE = "revive"  # its agent runtime does not answer
    RENEW = "renew"  # composed otherwise by now, and nothing goes on in it
    STEADY = "steady"
    START = "start"
    REST = "rest"  # it ended, and nobody has used it for long: let it be
    GIVE_UP = "give up"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one sandbox and its agent at one moment."""

    state: str
    desired: str
    keep_running: bool = False
    is_claimed: bool = False
    is_held: bool = False
    is_alive: bool = True
    is_retired: bool = False
    is_busy: bool = False
    is_silent: bool = False
    is_drifted: bool = False
    is_due: bool = True
    attempts: int = 0
    unused_for: timedelta = timedelta(0)
    ran_for: timedelta = timedelta(0)


def next_step(facts: Facts, idle_after: timedelta | None) -> Step:
    """The one thing to do now. ``idle_after`` None: sandboxes are never stopped for being idle."""
    if facts.is_held:
        return Step.NOTHING
    if facts.is_claimed or facts.state == State.STARTING:
        return Step.RELEASE
    if facts.state == State.RUNNING:
        return _of_running(facts, idle_after)
    if facts.is_retired or facts.desired == Desired.STOPPED:
        return Step.NOTHING
    if _is_idle(facts, idle_after):
        return Step.REST
    if facts.attempts >= MAX_ATTEMPTS and not facts.keep_running:
        return Step.GIVE_UP
    return Step.START if facts.is_due else Step.NOTHING


def _of_running(facts: Facts, idle_after: timedelta | None) -> Step:
    if not facts.is_alive:
        return Step.LOST
    if facts.is_busy:
        return Step.NOTHING
    if facts.is_retired or facts.desired == Desired.STOPPED:
        return Step.STOP
    if _is_idle(facts, idle_after):
        return Step.IDLE
    if facts.is_silent:
        return Step.REVIVE
    if facts.is_drifted:
        return Step.RENEW
    return Step.STEADY if facts.attempts and facts.ran_for >= STEADY else Step.NOTHING


def _is_idle(facts: Facts, idle_after: timedelta | None) -> bool:
    return not facts.keep_running and idle_after is not None and facts.unused_for >= idle_after


def pause_after(attempts: int) -> timedelta:
    """How long to wait after this many attempts in a row before the next one."""
    return min(FIRST_PAUSE * 2 ** min(attempts, 10), LONGEST_PAUSE)
