"""What rules may say of a call's arguments: ``NAME=VALUE``, where * in the value stands for anything. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from agents.errors import Invalid
from sandboxes.tool_server import patterns

_ARGUMENT = re.compile(r"[^=\s]{1,100}=.+")


def spelled(text: str) -> str:
    """``NAME=VALUE`` in its one spelling, where * in the value stands for anything. Invalid for what is none."""
    plain = text.strip()
    if _ARGUMENT.fullmatch(plain) is None or len(plain) > patterns.MOST_CHARS or not plain.isprintable():
        raise Invalid(
            "Write an argument's name, = and what it holds.", field="pattern", action="For instance repo=acme/*"
        )
    return plain


def covers(pattern: str, value: str) -> bool:
    """Does the call have this argument, and only with such values?"""
    name, _, wanted = pattern.partition("=")
    given = _read(value)
    if not isinstance(given, dict) or name not in given:
        return False
    found = list(_texts(given[name]))
    return bool(found) and all(patterns.covers_text(wanted, text) for text in found)


def may_hold(pattern: str, value: str) -> bool:
    """Does the call have such a value under this name anywhere, however deep? Enough to be stricter."""
    name, _, wanted = pattern.partition("=")
    return any(
        patterns.covers_text(wanted.casefold(), text.casefold())
        for found in _named(_read(value), name.casefold())
        for text in _texts(found)
    )


@lru_cache(maxsize=1)
def _read(value: str) -> Any:
    """Every rule looks at the same call: it is read once."""
    return json.loads(value)


def _texts(value: Any) -> Iterator[str]:
    """Every single value in a value, as text: texts as they are, the rest as JSON writes it."""
    if isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    else:
        yield value if isinstance(value, str) else json.dumps(value)


def _named(value: Any, name: str) -> Iterator[Any]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key.casefold() == name:
                yield item
            yield from _named(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _named(item, name)
