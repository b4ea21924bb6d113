"""The rehearsal model: a deterministic, scripted stand-in for a language model, built into Logos.

It answers from the conversation alone, without chance and without a clock, so demos, tests and drills need no
provider and repeat exactly. It never pretends: its replies say what it is. Lines of the last user message
direct it (case does not matter):

    run: COMMAND           one terminal call; all ``run:``, ``write:``, ``read:`` and ``call:`` lines go out in one turn
    then run: COMMAND      starts the next turn, after the results of the turn before
    write: PATH = TEXT     one write_file call (also ``then write:``)
    read: PATH             one read_file call (also ``then read:``)
    call: TOOL {"a": 1}    one call of any tool there is, with these arguments (also ``then call:``)
    think: TEXT            streams TEXT as reasoning first; the words "think aloud" do so with a text of its own
    slow: 80ms             waits so long before each word (at most 5 s)
    words: 500             a reply of so many words
    fail: 401|402|404|429|500|html    fails as a provider would, at every repetition of the message
    hang                   accepts the request and never answers
    disconnect             breaks off in the middle of the reply

"markdown" in the message gives a sample, "what did I say" quotes the earlier messages.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from agents.numbers import whole
from sandboxes.inference import rehearsal_lines as lines
from sandboxes.inference.conversations import text_of

MODEL = "rehearsal-1"
MAX_DELAY_S = 5.0
MAX_WORDS = 20_000

_DIRECTIVE = re.compile(
    r"^\s*(?:[-*]\s+)?(then\s+)?(run|write|read|call|think|slow|words|fail)\s*:\s*(.+?)\s*$", re.IGNORECASE
)
_BARE = re.compile(r"^\s*(hang|disconnect)\s*:?\s*$", re.IGNORECASE)
_DELAY = re.compile(r"^(\d+(?:\.\d+)?)\s*(ms|s)?$", re.IGNORECASE)
_RECALL = re.compile(
    r"\bwhat (?:did|have) i (?:say|said|tell|told|write|written|ask|asked)|\bdo you remember\b", re.IGNORECASE
)

# hermes-agent asks so for the rest of an answer that broke off.
_CONTINUE = "[System: The previous response was cut off"

# And so for a last word when its limit of turns is reached; the results stand before that message.
_LIMIT = "You've reached the maximum number of tool-calling iterations"


@dataclass(frozen=True, slots=True)
class Think:
    text: str


@dataclass(frozen=True, slots=True)
class Say:
    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    id: str
    name: str
    args: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pace:
    """From here on, this long before each word."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class Fail:
    """Answer as a provider that fails: "401", "402", "404", "429", "500" or "html"."""

    kind: str


@dataclass(frozen=True, slots=True)
class Hang:
    """Never answer."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Break the connection here."""


Step = Think | Say | ToolCall | Pace | Fail | Hang | Cut


@dataclass(slots=True)
class Wishes:
    """What the last user message asks for."""

    text: str = ""
    turns: list[list[tuple[str, dict[str, Any]]]] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    delay_s: float | None = None
    words: int | None = None
    fail: str = ""
    hang: bool = False
    disconnect: bool = False


def script(messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]], *, delay_s: float = 0.0) -> list[Step]:
    """What the model does next in this conversation. ``delay_s`` is the pace unless the message sets one."""
    messages = [message for message in messages if isinstance(message, dict)]
    asked = _last_user(messages)
    if asked is not None and text_of(messages[asked].get("content")).startswith(_LIMIT):
        messages, tools = messages[:asked], ()
        asked = _last_user(messages)
    wishes = read_wishes(text_of(messages[asked].get("content")) if asked is not None else "")
    after = messages[asked + 1 :] if asked is not None else []
    steps: list[Step] = [Pace(min(wishes.delay_s if wishes.delay_s is not None else delay_s, MAX_DELAY_S))]
    if wishes.hang:
        return [*steps, Hang()]
    if wishes.fail:
        return [*steps, Fail(wishes.fail)]
    turn = sum(1 for message in after if message.get("role") == "assistant" and message.get("tool_calls"))
    if wishes.thoughts and turn == 0:
        steps.append(Think("\n".join(wishes.thoughts)))
    offered = {str((tool.get("function") or {}).get("name")) for tool in tools if isinstance(tool, dict)}
    if turn < len(wishes.turns) and all(name in offered for name, _ in wishes.turns[turn]):
        steps.append(Say(lines.announcement(len(wishes.turns[turn]), is_first=turn == 0)))
        return steps + _calls(messages, wishes.turns[turn])
    reply = _reply(wishes, messages[: asked or 0], after, offered)
    if wishes.disconnect:
        return [*steps, Say(reply[: max(20, len(reply) // 2)]), Cut()]
    return [*steps, Say(reply)]


def read_wishes(text: str) -> Wishes:
    """Read the directives of one message; lines that are none stay its text."""
    wishes, plain = Wishes(), []
    for line in text.splitlines():
        bare, directive = _BARE.match(line), _DIRECTIVE.match(line)
        if bare:
            wishes.hang = wishes.hang or bare[1].lower() == "hang"
            wishes.disconnect = wishes.disconnect or bare[1].lower() == "disconnect"
        elif directive is None or not _obey(wishes, directive[2].lower(), directive[3], bool(directive[1])):
            plain.append(line)
    wishes.text = "\n".join(plain).strip()
    if "think aloud" in wishes.text.lower():
        wishes.thoughts.append(lines.THINKING_ALOUD)
    return wishes


def _obey(wishes: Wishes, word: str, value: str, then: bool) -> bool:
    """Take one directive; False if it makes no sense as one."""
    if word in ("run", "write", "read", "call"):
        call = _tool_call(word, value)
        if call is None:
            return False
        if then or not wishes.turns:
            wishes.turns.append([])
        wishes.turns[-1].append(call)
    elif word == "think":
        wishes.thoughts.append(value)
    elif word == "slow" and (delay := _DELAY.match(value)):
        seconds = float(delay[1]) / (1 if (delay[2] or "ms").lower() == "s" else 1000)
        wishes.delay_s = min(seconds, MAX_DELAY_S)
    elif word == "words" and (words := whole(value)) is not None:
        wishes.words = min(words, MAX_WORDS)
    elif word == "fail" and value.lower() in lines.FAILURES:
        wishes.fail = value.lower()
    else:
        return False
    return True


def _tool_call(word: str, value: str) -> tuple[str, dict[str, Any]] | None:
    """The tool and its arguments, by hermes-agent's names."""
    if word == "call":
        return _any_call(value)
    if word == "run":
        return "terminal", {"command": value}
    if word == "read":
        return "read_file", {"path": value}
    path, equals, content = value.partition("=")
    return ("write_file", {"path": path.strip(), "content": content.strip()}) if equals and path.strip() else None


def _any_call(value: str) -> tuple[str, dict[str, Any]] | None:
    """A tool by its own name, and arguments as JSON; none are written as nothing."""
    name, _, text = value.partition(" ")
    try:
        args = json.loads(text or "{}")
    except ValueError:
        return None
    return (name, args) if isinstance(args, dict) else None


def _calls(messages: Sequence[dict[str, Any]], turn: list[tuple[str, dict[str, Any]]]) -> list[Step]:
    digest = conversation_digest(messages)
    return [
        ToolCall(f"call_{hashlib.sha256(f'{digest}:{index}'.encode()).hexdigest()[:24]}", name, args)
        for index, (name, args) in enumerate(turn)
    ]


def conversation_digest(messages: Sequence[dict[str, Any]]) -> str:
    """Of everything but the system prompt, which may hold the date. Every turn lengthens the conversation, so
    ids made from this never repeat within one."""
    said = [message for message in messages if message.get("role") not in ("system", "developer")]
    return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def _last_user(messages: Sequence[dict[str, Any]]) -> int | None:
    return next((i for i in range(len(messages) - 1, -1, -1) if messages[i].get("role") == "user"), None)


def _reply(wishes: Wishes, before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]], offered: set[str]) -> str:
    results = _results(after)
    missing = sorted({name for turn in wishes.turns for name, _ in turn} - offered)
    earlier = [text_of(message.get("content")) for message in before if message.get("role") == "user"]
    if results:
        return lines.report(results)
    if missing:
        return lines.no_tool(missing, [_subject(*call) for turn in wishes.turns for call in turn])
    if wishes.words is not None:
        return lines.long_reply(wishes.words)
    if wishes.text.startswith(_CONTINUE):
        return lines.CONTINUATION
    if _RECALL.search(wishes.text):
        return lines.recollection(earlier)
    if "markdown" in wishes.text.lower():
        return lines.MARKDOWN
    if wishes.text.lower().startswith("remember"):
        return lines.WILL_REMEMBER
    return lines.greeting(wishes.text, is_first=not earlier)


def _subject(name: str, args: dict[str, Any]) -> str:
    """What a call is about: the first thing it was given."""
    return next((str(value) for value in args.values()), name)


def _results(after: Sequence[dict[str, Any]]) -> list[tuple[str, dict[str, Any], str]]:
    """(tool, arguments, result) of every call answered since the last user message, in order."""
    asked: dict[str, tuple[str, dict[str, Any]]] = {}
    results = []
    for message in after:
        for call in message.get("tool_calls") or () if message.get("role") == "assistant" else ():
            function = call.get("function") or {}
            try:
                args = json.loads(function.get("arguments") or "{}")
            except ValueError:
                args = {}
            asked[str(call.get("id"))] = str(function.get("name")), args if isinstance(args, dict) else {}
        if message.get("role") == "tool":
            name, args = asked.get(str(message.get("tool_call_id")), ("tool", {}))
            results.append((name, args, text_of(message.get("content"))))
    return results
