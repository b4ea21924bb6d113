"""Template filters that show durations, money, tokens, times and states the same way everywhere."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime
from decimal import ROUND_DOWN, Decimal, InvalidOperation
from typing import Any

from django import template
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from agents.invisible import all_hidden, name_of, spelled_out
from agents.lookalikes import mixes_alphabets
from runs import markdown, words

TOLD_CHARS = 160

register = template.Library()

_WORDS = re.compile(r"(\W+)")

# The words of states and the colour each has: blue runs, green is done, amber waits for a person, red failed or was
# refused, grey is unknown.
PILLS = {
    "queued": "unknown",
    "preparing": "running",
    "running": "running",
    "waiting for you": "waiting",
    "waiting": "waiting",
    "done": "ok",
    "blocked": "blocked",
    "failed": "failed",
    "stopped": "unknown",
    "interrupted": "failed",
    "outcome unknown": "unknown",
    "ready": "ok",
    "asleep": "unknown",
}
# Tool calls and sandboxes have words of their own in rows; people read the same ones.
_OTHER_STATES = {"ok": "done", "unknown": "outcome unknown", "starting": "preparing"}


def word_for(state: str) -> str:
    """The word people read for a state of a run, a tool call or a sandbox."""
    return words.STATES.get(state) or _OTHER_STATES.get(state, state)


@register.filter
def pill(state: str) -> SafeString:
    """A state as a small coloured label."""
    word = word_for(str(state))
    return format_html('<span class="state {}">{}</span>', PILLS.get(word, "unknown"), word)


@register.filter
def unhidden(text: str) -> str:
    """All of a text, with what nobody can see spelled out: a person decides about it."""
    return spelled_out(str(text))


@register.filter
def revealed(text: str) -> SafeString:
    """The same with each of them marked, and named to whoever points at it; so are words of two alphabets."""
    text, pieces, at = str(text), [], 0
    for index in all_hidden(text):
        sign = format_html(
            '<mark class="unseen" title="{}">⟨U+{}⟩</mark>', name_of(text[index]), f"{ord(text[index]):04X}"
        )
        pieces += [_alphabets(text[at:index]), sign]
        at = index + 1
    return mark_safe("".join([*pieces, _alphabets(text[at:])]))  # noqa: S308 (each piece is escaped)


def _alphabets(text: str) -> str:
    """Escaped, with words marked in which letters of another alphabet pass for those one reads."""
    if text.isascii():
        return escape(text)
    words = (
        format_html('<mark class="unseen" title="Letters of two alphabets that look alike">{}</mark>', word)
        if mixes_alphabets(word)
        else escape(word)
        for word in _WORDS.split(text)
    )
    return "".join(words)


@register.filter
def state_word(state: str) -> str:
    """The word alone."""
    return word_for(str(state))


@register.filter
def duration(milliseconds: float | None) -> str:
    """12 ms, 1.2 s, 41 s, 3 min 20 s, 2 h 5 min; "" when not known."""
    if milliseconds is None or milliseconds == "":
        return ""
    seconds = float(milliseconds) / 1000
    if not math.isfinite(seconds):
        return ""  # what an agent runtime told; the record keeps it
    if seconds < 0.0995:
        return f"{max(0, round(seconds * 1000))} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


@register.filter
def to_the_second(moment: datetime | str | None) -> str:
    """The time of day, to the second: for what is over within the minute."""
    at = parse_datetime(moment) if isinstance(moment, str) and len(moment) < 60 else moment
    return f"{at:%H:%M:%S} UTC" if isinstance(at, datetime) else ""


@register.filter
def confident(confidence: Decimal | None) -> str:
    """0.92: never rounded up, so that nobody reads enough where it was not."""
    return "" if confidence is None else f"{Decimal(str(confidence)).quantize(Decimal('0.01'), ROUND_DOWN)}"


@register.filter
def seconds(milliseconds: float | None) -> str:
    """Where a step stands on the clock of its run: 0.4 s, 41.0 s, 12:05."""
    if milliseconds is None:
        return ""
    value = max(0.0, milliseconds / 1000)
    return f"{value:.1f} s" if value < 100 else f"{int(value // 60)}:{int(value % 60):02}"


@register.filter
def money(amount: Decimal | str | float | None, is_partial: bool = False) -> str:
    """$0.0061, at least $0.31, free, or "cost unknown"; an unknown price is never shown as 0."""
    try:
        value = None if amount is None or amount == "" else Decimal(str(amount))
    except InvalidOperation:
        value = None
    if value is None:
        return "cost unknown"
    if value == 0:
        shown = "$0"
    elif abs(value) < Decimal("0.0001"):
        shown = "under $0.0001"
    elif abs(value) < Decimal("0.01"):
        shown = f"${value:.4f}"
    else:
        shown = f"${value:,.2f}"
    return f"at least {shown}" if is_partial else shown


@register.filter
def tokens(count: int | None) -> str:
    """950, 18.2k, 1.3M; "unknown" when not reported."""
    if count is None:
        return "unknown"
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.1f}".removesuffix(".0") + letter
    return str(count)


@register.filter
def plural(count: int, noun: str) -> str:
    """1 model call, 3 model calls; a noun with a slash names its plural itself: "reply/replies"."""
    one, _, many = noun.partition("/")
    return f"{count:,} {one if count == 1 else many or one + 's'}"


@register.filter
def told(arguments: dict[str, Any]) -> str:
    """What a tool was called with, on one line, with what nobody can see spelled out."""
    text = json.dumps(arguments, ensure_ascii=False)
    return spelled_out(text if len(text) <= TOLD_CHARS else f"{text[:TOLD_CHARS]}…")


@register.filter
def ago(moment: datetime | str | None) -> SafeString | str:
    """How long ago (or until), with the exact time on hover; the browser keeps it fresh."""
    at = _moment(moment)
    if at is None:
        return ""
    text = _distance((timezone.now() - at).total_seconds(), at)
    return format_html('<time datetime="{}" title="{}" data-ago>{}</time>', at.isoformat(), _exact(at), text)


@register.filter
def clock(moment: datetime | str | None) -> SafeString | str:
    """14:02, with the exact time on hover; the browser rewrites it to its own time zone."""
    at = _moment(moment)
    if at is None:
        return ""
    local = timezone.localtime(at)
    text = f"{local:%H:%M}" if local.date() == timezone.localdate() else f"{local.day} {local:%b %H:%M}"
    return format_html('<time datetime="{}" title="{}" data-clock>{}</time>', at.isoformat(), _exact(at), text)


@register.filter(name="markdown")
def markdown_filter(text: str) -> SafeString:
    """An agent's text as safe HTML."""
    return markdown.to_html(text)


@register.filter
def arguments(args: dict[str, Any]) -> str:
    """A tool's arguments for reading: the command itself where that is all there is, else indented JSON."""
    if list(args) == ["command"]:
        return str(args["command"])
    try:
        return json.dumps(args, indent=2, ensure_ascii=False) if args else ""
    except RecursionError:
        return "Too deeply nested to be shown."


@register.filter
def grouped(digest: str) -> str:
    """The first twelve digits of a fingerprint in groups of four."""
    return " ".join(digest[start : start + 4] for start in (0, 4, 8))


def _moment(value: datetime | str | None) -> datetime | None:
    if isinstance(value, str):
        try:
            value = parse_datetime(value)
        except ValueError:
            return None
    if value is not None and timezone.is_naive(value):
        value = timezone.make_aware(value)
    return value


def _exact(at: datetime) -> str:
    local = timezone.localtime(at)
    return f"{local.day} {local:%b %Y, %H:%M:%S %Z}"


def _distance(passed_s: float, at: datetime) -> str:
    size = abs(passed_s)
    if size < 45:
        return "just now" if passed_s >= 0 else "in less than a minute"
    for limit_s, unit_s, name in ((3600, 60, "min"), (86_400, 3600, "h"), (604_800, 86_400, "d")):
        if size < limit_s - unit_s / 2:
            number = max(1, round(size / unit_s))
            return f"{number} {name} ago" if passed_s > 0 else f"in {number} {name}"
    local = timezone.localtime(at)
    return f"{local.day} {local:%b}" if local.year == timezone.localdate().year else f"{local.day} {local:%b %Y}"
