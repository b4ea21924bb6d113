"""What the rehearsal model says: short, plain, and always honest about what it is."""

from __future__ import annotations

import json
import re
from typing import Any

MAX_OUTPUT = 4000  # characters of a tool's output quoted in a reply

# (status, headers, body) as a provider would send it; the router translates them like anybody else's.
FAILURES: dict[str, tuple[int, dict[str, str], bytes]] = {}


def _failure(status: int, message: str, code: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    error = {"message": message, "type": "rehearsal_error", "param": None, "code": code}
    named = {"content-type": "application/json", **{key.replace("_", "-"): value for key, value in headers.items()}}
    return status, named, json.dumps({"error": error}).encode()


FAILURES |= {
    "401": _failure(401, "Rehearsal: the key is refused, as asked.", "invalid_api_key"),
    "402": _failure(402, "Rehearsal: the credit is used up, as asked.", "insufficient_credits"),
    "404": _failure(404, "Rehearsal: this model is missing, as asked.", "model_not_found"),
    "429": _failure(429, "Rehearsal: too many requests, as asked.", "rate_limit_exceeded", retry_after="1"),
    "500": _failure(500, "Rehearsal: an internal error, as asked.", "server_error"),
    "html": (200, {"content-type": "text/html"}, b"<!doctype html><title>Rehearsal</title><p>A web page, as asked."),
}

THINKING_ALOUD = (
    "I am a scripted model, so this is not real thought. First I look for lines I know, such as a command to run. "
    "Then I choose the reply that fits. Then I write it, word by word."
)

_ABILITIES = """\
- `run: uname -a` runs a command with the terminal tool; `then run: …` runs one after it
- `write: notes.txt = hello` and `read: notes.txt` use the file tools; `call: TOOL {"a": 1}` calls any tool there is
- `think aloud` shows thinking, `slow: 80ms` slows me down, `words: 300` makes me talk
- `fail: 429`, `hang` and `disconnect` rehearse bad days
- `markdown` shows formatting, and `what did I say` quotes you"""

WILL_REMEMBER = (
    "I will, as long as it stays in this conversation: I am the built-in rehearsal model and know only what is "
    "written here. Ask me *what did I say* to see it."
)

CONTINUATION = (
    "… and here is the rest. The connection broke in the middle of my reply, the agent runtime noticed, and asked me to "
    "go on from there. (I am the built-in rehearsal model.)"
)

MARKDOWN = """\
## A sample from the rehearsal model

Text can be **strong**, *gentle*, or `exact`, and may hold a [link](https://example.org/).

| Part | What it does |
| --- | --- |
| Soul | says who the agent is |
| Tools | say what it can do |
| Permissions | say what it may do |

1. Lists count,
2. and keep their order.

```python
def greet(name: str) -> str:
    return f"Hello, {name}!"
```

> Quotes stand a little apart.
"""

_STORY = (
    "This is a long reply from the built-in rehearsal model, written to see how the page keeps up. "
    "It says nothing new, but it says it steadily. "
    "Each sentence arrives word by word, as a real model would send it. "
    "You may scroll, stop it, or reload the page, and nothing should be lost.\n\n"
)


def greeting(text: str, *, is_first: bool) -> str:
    """The reply to a message without directives."""
    if is_first:
        return (
            "Hello! I am **rehearsal-1**, the model built into Logos. I follow a script, cost nothing, and always "
            f"answer the same way; a real model takes my place as soon as you add one.\n\nTry one of these:\n\n{_ABILITIES}"
        )
    quoted = _one_line(text, 120)
    heard = f"You wrote: “{quoted}”. " if quoted else ""
    return (
        f"{heard}I am the built-in rehearsal model and follow a script, so I cannot say much about it. "
        "`run: ls` would make me run a command."
    )


def announcement(count: int, *, is_first: bool) -> str:
    if is_first:
        return "I will do that now." if count == 1 else f"I will do these {count} things now."
    return "That is done; now the next step."


def no_tool(names: list[str], wanted: list[str]) -> str:
    tools = " and ".join(f"`{name}`" for name in names)
    what = ", ".join(_code(_one_line(each, 80)) for each in wanted)
    return (
        f"I was asked for {what}, but this agent has no {tools} tool, so nothing was done. "
        "Give the agent a toolset that holds it, and ask again."
    )


def recollection(earlier: list[str]) -> str:
    if not earlier:
        return "Nothing yet: this is the first message of our conversation. (I am the built-in rehearsal model.)"
    quoted = "\n".join(f"{number}. “{_one_line(text, 200)}”" for number, text in enumerate(earlier, start=1))
    return f"So far you said:\n\n{quoted}\n\nI read that from the conversation; I am the built-in rehearsal model."


def long_reply(words: int) -> str:
    """Exactly ``words`` words."""
    parts = re.findall(r"\S+\s*", _STORY)
    return "".join(parts[number % len(parts)] for number in range(words)).rstrip()


def report(results: list[tuple[str, dict[str, Any], str]]) -> str:
    """What came of every tool call, with its output."""
    opening = (
        "Done. Here is what came back:"
        if len(results) == 1
        else f"Done. Here is what came back from {len(results)} calls:"
    )
    return "\n\n".join([opening, *(_one_result(*each) for each in results)])


def _one_result(name: str, args: dict[str, Any], result: str) -> str:
    subject = _code(_one_line(str(args.get("command") or args.get("path") or name), 200))
    told = _parsed(result)
    if told is None:
        return f"{subject}:\n\n{_block(result)}"
    exit_code, error = told.get("exit_code"), told.get("error")
    output = next((told[key] for key in ("output", "content", "result") if isinstance(told.get(key), str)), None)
    ended = f" ended with exit code {exit_code}" if isinstance(exit_code, int) else ""
    parts = [f"{subject}{ended}:" if output or error else f"{subject}{ended or ' went well'}, without output."]
    if output:
        parts.append(_block(output))
    if error:
        parts.append(f"It reported an error: {_one_line(str(error), 500)}")
    return "\n\n".join(parts)


def _parsed(result: str) -> dict[str, Any] | None:
    try:
        # The runtime may put advice to the model behind the document ("[Tool loop warning: …]").
        told, _ = json.JSONDecoder().raw_decode(result.lstrip())
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def _block(text: str) -> str:
    """A code block, with a fence longer than any in the text."""
    text = text.rstrip("\n")
    if len(text) > MAX_OUTPUT:
        text = f"{text[:MAX_OUTPUT]}\n… ({len(text) - MAX_OUTPUT} more characters)"
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def _code(text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {text} {fence}" if longest else f"`{text}`"


def _one_line(text: str, most: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"
