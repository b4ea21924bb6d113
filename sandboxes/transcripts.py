"""The terminals that people had open in a sandbox, and what each showed: read from the audit and from what was kept.

The audit is the list: a terminal without a kept text is still told of. What a text holds came from the sandbox, so it is
shown without its escape sequences, and without the agent's secrets as they are now.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from agents import permissions
from agents.agent_secrets import known_values
from agents.audit import word_for
from agents.errors import NotFound
from agents.models import Agent, SecurityEvent, User
from sandboxes import lifecycle, logs
from sandboxes.models import Sandbox
from sandboxes.shell_records import MOST_BYTES

DOORS = {"page": "the page", "command": "the command", "api": "the API"}
_NAME = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9A-Za-z]{20,40}\.txt")
# Operating system commands and their kin with all they carry, then control sequences, then single escapes. None of them
# looks back: what is read was written by whoever was in the sandbox.
_ESCAPES = re.compile(
    r"\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]|[\x00-\x07\x0b\x0c\x0e-\x1f\x7f]"
)
_LINE_ENDS = re.compile(r"\r*\n\r*|\r+")


@dataclass(frozen=True, slots=True)
class Session:
    """One terminal. ``seconds`` is None while it is open, or when nobody was left to write down its end; ``name`` is "" when
    what it showed is not kept any more."""

    id: str
    person: User | None
    door: str
    opened_at: datetime
    seconds: float | None
    bytes: int
    code: int | None
    why: str
    name: str

    @property
    def lasted_ms(self) -> float | None:
        return None if self.seconds is None else self.seconds * 1000

    @property
    def how(self) -> str:
        """How it ended, for people."""
        if self.seconds is None:
            return "still open, or cut off with Logos"
        if self.why and self.code is None:
            return self.why
        return "the page was left" if self.code is None else f"ended with exit code {self.code}"


def sessions(user: User, row: Sandbox, after: str = "", most: int = 25) -> tuple[list[Session], str]:
    """The terminals of this sandbox, the newest first, behind the id ``after``; and where the next page begins, "" on the
    last. Two queries."""
    permissions.require(user, "sandbox.shell", row.agent)
    events = SecurityEvent.objects.filter(object_kind=word_for(Agent), object_id=row.agent_id)
    opened = events.filter(kind="shell_opened").select_related("actor").order_by("-id")
    found = list((opened.filter(pk__lt=after) if after else opened)[: most + 1])
    page = found[:most]
    names = [_name(each) for each in page]
    # Newer than what they close: the index on the object and its time keeps this short.
    since = min((each.at for each in page), default=None)
    closed = events.filter(kind="shell_closed", at__gte=since, detail__transcript__in=names) if page else ()
    ends = {_name(each): each for each in closed}
    kept = _kept(row)
    items = [_session(each, ends.get(_name(each)), kept) for each in page]
    return items, page[-1].pk if len(found) > most else ""


def session(user: User, row: Sandbox, name: str) -> Session:
    """The terminal whose text is called so. NotFound when there is none of this sandbox."""
    permissions.require(user, "sandbox.shell", row.agent)
    events = SecurityEvent.objects.filter(object_kind=word_for(Agent), object_id=row.agent_id, detail__transcript=name)
    found = {each.kind: each for each in events.select_related("actor")} if _NAME.fullmatch(name) else {}
    if "shell_opened" not in found or name not in _kept(row):
        raise NotFound("This transcript")
    return _session(found["shell_opened"], found.get("shell_closed"), [name])


def text(row: Sandbox, name: str) -> str:
    """What it showed, as plain lines. The caller asked ``session`` first. NotFound when it has just been forgotten."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(lifecycle.root_of(row.pk) / "engine/shells" / name, flags), "rb") as file:
            shown = file.read(2 * MOST_BYTES).decode(errors="replace")
    except OSError as error:
        raise NotFound("This transcript") from error
    return plain(shown, known_values(row.agent))


def plain(shown: str, known: Iterable[str] = ()) -> str:
    """What a terminal showed, without what moved its cursor; masked again, for what colours had kept apart."""
    lines = _LINE_ENDS.sub("\n", _ESCAPES.sub("", shown))
    return logs.clean(_typed_over(lines), known)


def _typed_over(text: str) -> str:
    """What is left when each backspace has taken the character before it, on its line."""
    left: list[str] = []
    for char in text:
        if char != "\x08":
            left.append(char)
        elif left and left[-1] != "\n":
            left.pop()
    return "".join(left)


def _kept(row: Sandbox) -> Sequence[str]:
    try:
        return os.listdir(lifecycle.root_of(row.pk) / "engine/shells")
    except OSError:
        return ()


def _name(event: SecurityEvent) -> str:
    return str(event.detail.get("transcript", ""))


def _session(opened: SecurityEvent, closed: SecurityEvent | None, kept: Sequence[str]) -> Session:
    detail = closed.detail if closed is not None else {}
    return Session(
        id=opened.pk,
        person=opened.actor,
        door=DOORS.get(opened.via, opened.via),
        opened_at=opened.at,
        seconds=detail.get("seconds"),
        bytes=int(detail.get("bytes", 0)),
        code=detail.get("code"),
        why=str(detail.get("why", "")),
        name=_name(opened) if _name(opened) in kept else "",
    )
