"""Streams captured from a real hermes-agent 0.19.0, byte for byte but for the lines that begin with ``#``."""

from __future__ import annotations

import json
from pathlib import Path

from sandboxes.hermes.events import RuntimeEvent, parse_event
from sandboxes.hermes.sse import EventDecoder

FOLDER = Path(__file__).parent


def raw(name: str) -> bytes:
    """The stream as it came over the wire, without the notes of whoever captured it."""
    lines = (FOLDER / f"{name}.sse").read_bytes().splitlines(keepends=True)
    return b"".join(line for line in lines if not line.startswith(b"#"))


def captured_events(name: str) -> list[RuntimeEvent]:
    """The typed events of a capture."""
    frames = (json.loads(data) for data in EventDecoder().feed(raw(name)))
    return [event for frame in frames if (event := parse_event(frame))]
