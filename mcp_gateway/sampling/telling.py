"""A provider's whole answer as a server of MCP reads it (pure)."""

from __future__ import annotations

import json
from typing import Any

_OPENAI = {"stop": "endTurn", "length": "maxTokens", "tool_calls": "toolUse"}
_ANTHROPIC = {
    "end_turn": "endTurn",
    "max_tokens": "maxTokens",
    "stop_sequence": "stopSequence",
    "tool_use": "toolUse",
}


class Unreadable(ValueError):
    """It is no answer of a model."""


def result(body: bytes, wire: str, model: str) -> dict[str, Any]:
    """The result of ``sampling/createMessage``. Raises Unreadable."""
    try:
        document = json.loads(body)
        found, reason = _of_anthropic(document) if wire == "anthropic" else _of_openai(document)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise Unreadable("The model's answer could not be read.") from error
    # Revisions before 2025-11-25 know one block only, and all of them take one.
    content: Any = found[0] if len(found) == 1 else found
    return {"role": "assistant", "content": content, "model": model, "stopReason": reason}


def refusal(status: int, body: bytes) -> tuple[str, str]:
    """What the router says of a call that was not answered, in either wire: a code, and a sentence."""
    try:
        document = json.loads(body)
        error = document["error"]
        code = (document.get("logos") or error).get("code", "")
        return str(code), str(error.get("message") or _plain(status))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "", _plain(status)


def _plain(status: int) -> str:
    return f"The model could not be asked (status {status})."


def _of_openai(document: Any) -> tuple[list[dict[str, Any]], str]:
    choice = document["choices"][0]
    message = choice["message"]
    found = _text(message.get("content"))
    for call in message.get("tool_calls") or ():
        function = call["function"]
        given = json.loads(function.get("arguments") or "{}")
        found.append(_use(call["id"], function["name"], given))
    reason = _OPENAI.get(str(choice.get("finish_reason")), "endTurn")
    return found or [{"type": "text", "text": ""}], reason


def _of_anthropic(document: Any) -> tuple[list[dict[str, Any]], str]:
    text = "".join(each["text"] for each in document["content"] if each["type"] == "text")
    found = _text(text)
    found += [
        _use(each["id"], each["name"], each["input"]) for each in document["content"] if each["type"] == "tool_use"
    ]
    reason = _ANTHROPIC.get(str(document.get("stop_reason")), "endTurn")
    return found or [{"type": "text", "text": ""}], reason


def _text(text: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text}] if isinstance(text, str) and text else []


def _use(id: Any, name: Any, given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise Unreadable("The model gave a tool no object.")
    return {"type": "tool_use", "id": str(id), "name": str(name), "input": given}
