"""What a person sees of a run, one thing at a time: text, thinking, tool rows, notes, questions, calls and the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from agents import hosts
from agents.errors import Invalid
from runs import purposes
from runs.results import summary
from runs.reviewing import limits


@dataclass(slots=True)
class Item:
    """One thing on the page. ``id`` is stable, so a live step can replace what it changed."""

    kind: ClassVar[str] = ""
    id: str
    seq: int
    at: datetime

    @property
    def template(self) -> str:
        return f"runs/_item_{self.kind}.html"


@dataclass(slots=True)
class Text(Item):
    """Something the agent said. ``live`` until something else follows."""

    kind: ClassVar[str] = "text"
    text: str = ""
    live: bool = True


@dataclass(slots=True)
class Thinking(Item):
    """What the model thought aloud."""

    kind: ClassVar[str] = "thinking"
    text: str = ""
    live: bool = True
    duration_ms: float = 0.0


@dataclass(slots=True)
class Tool(Item):
    """One tool call. ``state`` is running, ok, failed, cancelled (a person stopped it) or unknown (the run ended first)."""

    kind: ClassVar[str] = "tool"
    call_id: str = ""
    tool: str = ""
    args: dict[str, Any] = field(default_factory=dict)
    state: str = "running"
    duration_ms: float | None = None
    result: str | None = None
    parent: str = ""

    @property
    def icon(self) -> str:
        return purposes.icon(self.tool)

    @property
    def purpose(self) -> str:
        return purposes.purpose(self.tool, self.args)

    @property
    def detail(self) -> str:
        return purposes.detail(self.tool, self.args)

    @property
    def output(self) -> str:
        """The result as text for people: the output of a command rather than its JSON wrapping."""
        return summary(self.result).text if self.result is not None else ""

    @property
    def exit_code(self) -> int | None:
        return summary(self.result).exit_code if self.result is not None else None


@dataclass(slots=True)
class Note(Item):
    """A sentence about the run itself: what is being prepared, what was noticed."""

    kind: ClassVar[str] = "note"
    sentence: str = ""
    live: bool = False


@dataclass(slots=True)
class Notice(Note):
    """A sentence about money, which comes in the middle of what is being said."""


@dataclass(slots=True)
class Question(Item):
    """Something that waits for a person."""

    kind: ClassVar[str] = "question"
    approval_id: str = ""
    asked: str = ""  # the kind of approval
    tier: str = ""
    command: str = ""
    description: str = ""
    subject_hash: str = ""  # sent back with a decision, so that it holds for what was shown and nothing else
    expires_at: str = ""
    reviewed_until: str = ""  # until when the reviewer may answer too; "" once it has left it to a person
    reviewed: dict[str, Any] = field(default_factory=dict)  # what it said when it did
    choice: str = ""
    by: str = ""
    via: str = ""
    rule: str = ""
    note: str = ""
    answer: str = ""
    options: tuple[str, ...] = ()  # the answers an agent offers to its question

    @property
    def review(self) -> str:
        """Why the reviewer left it to a person, in a sentence; "" where it was not asked or decided."""
        return limits.sentence(self.reviewed.get("why", ""))

    @property
    def is_allowed(self) -> bool:
        return self.choice in ("once", "run", "rule")

    @property
    def shown(self) -> str:
        """What is asked; without the answers an agent offers while they stand on buttons below it."""
        offered = "".join(f"\n- {each}" for each in self.options)
        return self.command if self.choice or self.tier == "admin" else self.command.removesuffix(offered)


@dataclass(slots=True)
class Call(Item):
    """One model call, shown on the run page only."""

    kind: ClassVar[str] = "call"
    model: str = ""
    ttft_ms: float | None = None
    duration_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: str | None = None
    error_code: str = ""
    error_message: str = ""
    by: str = ""  # who asked, where that is not the agent
    name: str = ""  # which of those


@dataclass(slots=True)
class Egress(Item):
    """A host that was asked for, once or often by the same program; ``reason`` is that of the last time."""

    kind: ClassVar[str] = "egress"
    host: str = ""
    port: int = 0
    binary: str = ""
    allowed: bool = False
    reason: str = ""
    count: int = 0
    learned: bool = False

    named: bool = False  # a rule decided, so that asking changes nothing

    @property
    def program(self) -> str:
        return self.binary.rpartition("/")[2]

    @property
    def may_be_asked_for(self) -> bool:
        """Refused because no rule names it, and one could: a person may ask for it."""
        if self.allowed or self.named:
            return False
        try:
            return bool(hosts.pattern(self.host))
        except Invalid:
            return False


@dataclass(slots=True)
class End(Item):
    """How it ended: completed, failed, cancelled or interrupted, with the sentence and the way forward."""

    kind: ClassVar[str] = "end"
    outcome: str = ""
    message: str = ""
    action: str = ""
    code: str = ""
    by: str = ""
    text: str = ""
