"""How many tokens a request and an answer are, before the provider says so: likely, and at most.

Only the provider's own tokeniser knows. Measured with common ones, English is 4.2 to 4.8 bytes a token, code 3 to 4,
figures and base64 about 2.3, Chinese 3 to 4. Half a token for each byte is therefore more than a request costs, save
for text made to be expensive (single symbols, rare scripts); a quarter is about what it costs.
"""

from __future__ import annotations

import json
import re
from typing import Any

# Of a request that names no cap, and of a model whose own cap nobody told us.
DEFAULT_CAP = 16_384
# What providers bill for one picture at most, whatever its bytes.
IMAGE_TOKENS = 5_000
MOST_TOKENS = 100_000_000
# What a provider adds to every request: the words around messages, a preamble for tools.
FRAME = 64

_DATA_URL = re.compile(rb'"data:[a-z]+/[-+.a-z0-9]+;base64,[A-Za-z0-9+/=\\]*"|"data"\s*:\s*"[A-Za-z0-9+/=]{256,}"')
_CAPS = ("max_completion_tokens", "max_tokens")


def prompt_tokens(payload: bytes, document: dict[str, Any]) -> tuple[int, int]:
    """Tokens of a request: likely, and at most."""
    size, images = len(payload), 0
    if b"base64" in payload:
        for match in _DATA_URL.finditer(payload):
            size -= match.end() - match.start()
            images += 1
    images += payload.count(b'"image_url"') if b'"image_url"' in payload and not images else 0
    return size // 4 + images * IMAGE_TOKENS // 4 + 1, size // 2 + images * IMAGE_TOKENS + FRAME


def output_cap(document: dict[str, Any]) -> int | None:
    """How many tokens the request allows for the answer; None when it does not say."""
    for name in _CAPS:
        value = document.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return min(value, MOST_TOKENS)
    return None


def tokens_of(text: str) -> float:
    """Of a piece of an answer: a quarter of a token for each ASCII letter, a third for each other byte."""
    if text.isascii():
        return len(text) / 4
    size = len(text.encode("utf-8", "surrogatepass"))
    plain = sum(1 for letter in text if letter < "\x80")
    return plain / 4 + (size - plain) / 3


class Scale:
    """Counts the output tokens of one streamed answer as it passes: at least one for each event that says something.

    Where the provider tells a count in the middle, that count is taken."""

    MAX_HELD = 1 << 20

    def __init__(self) -> None:
        self._held = b""
        self._events = 0
        self._tokens = 0.0
        self._told = 0

    @property
    def total(self) -> int:
        """Output tokens so far."""
        return max(self._told, self._events, int(-(-self._tokens // 1)))

    def mark(self) -> tuple[bytes, int, float, int]:
        """Where the scale stands, for ``back_to``."""
        return self._held, self._events, self._tokens, self._told

    def back_to(self, mark: tuple[bytes, int, float, int]) -> None:
        """What was weighed since did not pass."""
        self._held, self._events, self._tokens, self._told = mark

    def weigh(self, data: bytes) -> int:
        """The total with these bytes."""
        data = self._held + data
        cut = data.rfind(b"\n") + 1
        self._held = data[cut:]
        for line in data[:cut].split(b"\n"):
            if line[:5] == b"data:":
                self._line(line[5:])
        if len(self._held) > self.MAX_HELD:  # nobody sends such lines: counted by its length
            self._tokens += len(self._held) / 4
            self._held = b""
        return self.total

    def _line(self, payload: bytes) -> None:
        if payload.strip() == b"[DONE]":
            return
        try:
            document = json.loads(payload)
            said = sum(map(tokens_of, _texts(document)))
        except Exception:  # not JSON, or of another shape: what it may hold is counted all the same
            self._tokens += len(payload) / 4
            return
        if said:
            self._events += 1
            self._tokens += said
        usage = document.get("usage")
        if isinstance(usage, dict):
            for name in ("completion_tokens", "output_tokens"):
                value = usage.get(name)
                if isinstance(value, int) and not isinstance(value, bool):
                    self._told = max(self._told, min(value, MOST_TOKENS))


def _texts(document: dict[str, Any]) -> list[str]:
    """What an event of either wire adds to the answer."""
    found: list[str] = []
    for choice in document.get("choices") or ():
        if isinstance(choice, dict):
            _strings(choice.get("delta"), found)
    _strings(document.get("delta"), found)
    _strings(document.get("content_block"), found)
    return found


# Of a delta, what is no output: who speaks, what kind it is, and names the provider gives.
_NOT_SAID = frozenset({"role", "type", "id", "signature", "stop_reason", "stop_sequence", "object"})


def _strings(value: Any, found: list[str]) -> None:
    if isinstance(value, str):
        if value:
            found.append(value)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name not in _NOT_SAID:
                _strings(item, found)
    elif isinstance(value, list):
        for item in value:
            _strings(item, found)
