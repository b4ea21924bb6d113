"""Who else is told of calls: the run's timeline, and people when a rule says so. Listeners never block or raise."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.dispatch import Signal

logger = logging.getLogger(__name__)

# The run's id and the data of an event; called on the event loop that carries the call.
LISTENERS: list[Callable[[str, dict[str, Any]], None]] = []

# Sent with ``call`` (a ToolCall) once one is done that a rule wants people to be told of.
tool_noticed = Signal()


def tell(run_id: str, data: dict[str, Any]) -> None:
    """Something happened to a call of this run."""
    for listener in LISTENERS if run_id else ():
        try:
            listener(run_id, data)
        except Exception:
            logger.exception("A call of a tool could not be told to its run")
