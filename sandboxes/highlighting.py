"""Colour a text file by its name for the page that shows it; pure, escaped, and plain where it would take long."""

from __future__ import annotations

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import find_lexer_class_for_filename

MOST_CHARS = 60_000
MOST_LINE_CHARS = 2_000  # a packed file in one line keeps some lexers busy for minutes

_formatter = HtmlFormatter(nowrap=True, classprefix="hl-")


def html(name: str, text: str) -> SafeString:
    """The text in spans of ``hl-…``, or escaped where its name says nothing."""
    lexer = find_lexer_class_for_filename(name) if is_quick(text) else None
    if lexer is None:
        return escape(text)
    return mark_safe(highlight(text, lexer(stripnl=False, ensurenl=False), _formatter))  # noqa: S308 (escaped by it)


def is_quick(text: str) -> bool:
    """Is it short enough to be coloured while somebody waits?"""
    return len(text) <= MOST_CHARS and all(len(line) <= MOST_LINE_CHARS for line in text.splitlines())
