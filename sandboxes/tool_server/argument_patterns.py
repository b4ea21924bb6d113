"""What rules may say of a call's arguments: ``NAME=VALUE``, where * in the value stands for anything. Pure."""

from __future__ import annotations

import json
import posixpath
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from agents.errors import Invalid
from agents.wildcards import fits
from sandboxes.tool_server import patterns

# So often something encoded is decoded before it counts as meant to deceive.
_ROUNDS = 4
_FILE = re.compile(r"(?i)^file:(?://[^/]*)?(?=/)")
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
    """Does the call have this argument, once, and only with such values, spelled in no way that could mean another?"""
    name, _, wanted = pattern.partition("=")
    given = _read(value)
    if not isinstance(given, dict) or [key for key in given if _folded(key) == _folded(name)] != [name]:
        return False
    found = list(_texts(given[name]))
    return bool(found) and all(fits(wanted, text) and (wanted in (text, "*") or _is_plain(text)) for text in found)


def may_hold(pattern: str, value: str) -> bool:
    """Does the call have such a value under this name anywhere, however deep and however spelled? Enough to be stricter."""
    name, _, wanted = pattern.partition("=")
    wanted = wanted.casefold()
    return any(
        fits(wanted, way.casefold())
        for found in _named(_read(value), _folded(name))
        for text in _texts(found)
        for way in _ways(text)
    )


def _folded(name: str) -> str:
    """The name as a reader that is not strict takes it."""
    return _visible(name).casefold()


def _visible(text: str) -> str:
    """``text`` in the plainest characters, without those nobody sees, and without blanks around it."""
    if text.isascii() and text.isprintable():
        return text.strip()
    plain = unicodedata.normalize("NFKC", text)
    return "".join(char for char in plain if unicodedata.category(char) not in ("Cc", "Cf")).strip()


def _decoded(text: str) -> str:
    """Without percent signs that stand for characters, also where they were written so several times."""
    for _ in range(_ROUNDS):
        if "%" not in text or (once := unquote(text)) == text:
            break
        text = once
    return text


def _is_plain(text: str) -> bool:
    """Does it say what it says to every reader: nothing unseen, nothing encoded twice, no way up?"""
    whole = _decoded(_visible(text))
    if not text.isprintable() or (whole != _visible(text) and not _decoded(whole).isprintable()):
        return False
    return unquote(whole) == whole and ".." not in re.split(r"[/\\]", _visible(whole))


def _ways(text: str) -> set[str]:
    """What the text may mean to whoever reads it: as it is, plainer, decoded, and as the path it leads to."""
    visible = _visible(text)
    found = {text, visible, _decoded(visible)}
    for way in tuple(found):
        path = _FILE.sub("", _visible(way)).replace("\\", "/")
        if "/" in path:
            found |= {path, re.sub(r"/+", "/", posixpath.normpath(path))}
    return found


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
            if _folded(key) == name:
                yield item
            yield from _named(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _named(item, name)
