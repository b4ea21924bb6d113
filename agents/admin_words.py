"""Small words of the console's cells: how long ago, a coloured state, a duration."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince


def ago(at: datetime | None) -> SafeString | str:
    """How long ago or until, with the exact time on hover."""
    if at is None:
        return ""
    now = timezone.now()
    word = f"{timesince(at, now, depth=1)} ago" if at <= now else f"in {timesince(now, at, depth=1)}"
    local = timezone.localtime(at)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', at.isoformat(), f"{local:%Y-%m-%d %H:%M:%S %Z}", word
    )


def state(word: str, kind: str) -> SafeString:
    """A state as a label; ``kind`` is running, ok, waiting, failed or unknown."""
    return format_html('<span class="state {}">{}</span>', kind, word)


def seconds(milliseconds: float | None) -> str:
    """A duration measured in milliseconds."""
    return "" if milliseconds is None else f"{milliseconds / 1000:.2f} s"
