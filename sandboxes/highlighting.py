"""Colour a text by its name for the page that shows it; pure, escaped, and plain where it would take long.

What is coloured was written by an agent or a model, and so was the name that chooses the lexer. Many of Pygments' lexers
take a time that grows with the square of blank lines or of long ones, and hold the whole process meanwhile: sixty thousand
line ends called x.c would cost two minutes. Such texts stay plain, and whatever else takes long is given up.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from pygments import format as formatted
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import find_lexer_class_for_filename

MOST_CHARS = 60_000
MOST_LINE_CHARS = 1_000
# Of this thread's own processor time: a busy machine changes nothing.
MOST_SECONDS = 0.4
MOST_BLANK_CHARS = 300
_BLANK = re.compile(r"\s+")

_formatter = HtmlFormatter(nowrap=True, classprefix="hl-")


def html(name: str, text: str) -> SafeString:
    """The text in spans of ``hl-…``, or escaped where its name says nothing."""
    lexer = find_lexer_class_for_filename(name)
    return escape(text) if lexer is None else coloured(lexer(stripnl=False, ensurenl=False), text, _formatter)


def coloured(lexer: Lexer, text: str, formatter: HtmlFormatter[str]) -> SafeString:
    """The text as this lexer reads it, escaped; without colours when it is not quick or a lexer stumbles."""
    if not is_quick(text):
        return escape(text)
    try:
        return mark_safe(formatted(_in_time(lexer.get_tokens(text)), formatter))  # noqa: S308 (escaped by it)
    except (TimeoutError, RecursionError):
        return escape(text)


def is_quick(text: str) -> bool:
    """Is it short enough, and of such lines, that it can be coloured while somebody waits?"""
    return (
        len(text) <= MOST_CHARS
        and all(len(line) <= MOST_LINE_CHARS for line in text.splitlines())
        and all(len(found[0]) <= MOST_BLANK_CHARS for found in _BLANK.finditer(text))
    )


def _in_time(tokens: Iterator[Any]) -> Iterator[Any]:
    until = time.thread_time() + MOST_SECONDS
    for token in tokens:
        if time.thread_time() > until:
            raise TimeoutError
        yield token
