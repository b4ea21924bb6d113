"""Read what the reviewer answered, strictly (pure): one JSON object of three fields, or it has not answered."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from agents import invisible
from runs.models import Verdict
from runs.reviewing.limits import REASON_CHARS, Answer

FIELDS = {"verdict", "confidence", "reason"}
MOST_CHARS = 4_000
_MOST_DIGITS = 40


class Malformed(ValueError):
    """It is not an answer."""


def read(text: str) -> Answer:
    """The answer in ``text``. Raises Malformed for anything but exactly the object that was asked for."""
    if len(text) > MOST_CHARS:
        raise Malformed("longer than an answer may be")
    try:
        document = json.loads(
            text, parse_float=_number, parse_int=_number, parse_constant=_no_constant, object_pairs_hook=_once_each
        )
    except (ValueError, RecursionError, InvalidOperation) as error:
        raise Malformed("not the JSON that was asked for") from error
    if not isinstance(document, dict) or set(document) != FIELDS:
        raise Malformed("not an object of exactly these fields")
    verdict, confidence, reason = document["verdict"], document["confidence"], document["reason"]
    if not isinstance(verdict, str) or verdict not in Verdict.values:
        raise Malformed("no such verdict")
    if not isinstance(confidence, Decimal) or not 0 <= confidence <= 1:
        raise Malformed("no confidence from 0 to 1")
    if not isinstance(reason, str) or len(reason) > REASON_CHARS:
        raise Malformed("no reason of this length")
    return Answer(verdict, confidence, reason)


def said_in(document: Any) -> str:
    """The text of a provider's whole answer, of either wire. Raises Malformed where there is not exactly one."""
    if not isinstance(document, dict):
        raise Malformed("not an answer of a provider")
    choices, blocks = document.get("choices"), document.get("content")
    if isinstance(choices, list) and len(choices) == 1 and isinstance(choices[0], dict):
        message = choices[0].get("message")
        if isinstance(message, dict) and isinstance(message.get("content"), str) and not message.get("tool_calls"):
            return str(message["content"])
    if choices is None and isinstance(blocks, list):
        texts = [block for block in blocks if isinstance(block, dict) and block.get("type") == "text"]
        others = [block for block in blocks if block not in texts]
        are_thoughts = all(isinstance(each, dict) and "thinking" in str(each.get("type")) for each in others)
        if are_thoughts and len(texts) == 1 and isinstance(texts[0].get("text"), str):
            return str(texts[0]["text"])
    raise Malformed("no text in the answer")


def shown(reason: str) -> str:
    """A reason as it is kept: one line, with every character visible."""
    line = " ".join(invisible.spelled_out(reason.replace("\x00", "")).split())
    return line.encode("utf-8", "replace").decode()[:REASON_CHARS]


def _number(text: str) -> Decimal:
    if len(text) > _MOST_DIGITS:
        raise ValueError("no number anybody means")
    return Decimal(text)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field is there twice")
    return found
