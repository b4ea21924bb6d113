"""Who and what a log line is about (run, conversation, user, sandbox), and secrets kept out of it."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from contextvars import ContextVar

from agents import secrets

_context: ContextVar[dict[str, str] | None] = ContextVar("logos_log_context", default=None)


@contextlib.contextmanager
def about(**ids: str) -> Iterator[None]:
    """Every line logged inside carries these ids; nests, and follows asyncio tasks started inside."""
    token = _context.set({**(_context.get() or {}), **{key: value for key, value in ids.items() if value}})
    try:
        yield
    finally:
        _context.reset(token)


class ContextFilter(logging.Filter):
    """Puts the current ids on each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.ids = _context.get() or {}
        return True


class Briefly(logging.Filter):
    """What a stranger asks wrongly (a foreign Host, a lookup nobody offers) is one short warning, not an error with a
    traceback: anybody could fill the log with those."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("django.security."):
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.exc_info = record.exc_text = None
            record.msg, record.args = " ".join(record.getMessage().split())[:300], None
        return record.levelno >= logging.getLogger().level


class TextFormatter(logging.Formatter):
    """One line for people: time, level, logger, message, ids."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        ids = "".join(f" {key}={value}" for key, value in getattr(record, "ids", {}).items())
        return _printable(super().format(record) + ids)


class JsonFormatter(logging.Formatter):
    """One JSON object a line for machines: at, level, logger, message, error, and the ids."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": _printable(record.getMessage()),
            **getattr(record, "ids", {}),
        }
        if record.exc_info:
            line["error"] = _printable(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def _printable(text: str) -> str:
    """Redacted before it becomes JSON, or the mask could swallow a quote; without halves of surrogate pairs,
    which no log file takes."""
    return secrets.redact(text).encode("utf-8", "replace").decode()
