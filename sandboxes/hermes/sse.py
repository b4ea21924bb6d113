"""Take server-sent events apart as the bytes arrive, however they are cut."""

from __future__ import annotations

from collections.abc import Iterator

LIMIT = 32 << 20  # bytes of one event; a whole reply of a model is far below it


class TooLarge(ValueError):
    """One event grew beyond the limit; the sender is broken or hostile."""


class EventDecoder:
    """Feed bytes, get the ``data`` of each complete event.

    Comments and the other fields are skipped. A character cut between two chunks is no problem because
    text is decoded only when its event is complete; invalid UTF-8 is replaced, not refused. An event
    without its closing blank line is dropped at the end of the stream, as the standard says."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []  # the line that is not complete yet
        self._data: list[bytes] = []
        self._held = 0

    def feed(self, chunk: bytes) -> Iterator[str]:
        """The events that ``chunk`` completes. Raises TooLarge."""
        first, *rest = chunk.split(b"\n")
        self._hold(first)
        for piece in rest:
            line, self._pieces = b"".join(self._pieces), []
            if (data := self._line(line.removesuffix(b"\r"))) is not None:
                yield data
            self._hold(piece)

    def _hold(self, piece: bytes) -> None:
        if not piece:
            return
        self._held += len(piece)
        if self._held > self._limit:
            raise TooLarge(f"an event of more than {self._limit} bytes")
        self._pieces.append(piece)

    def _line(self, line: bytes) -> str | None:
        if not line:
            data, self._data, self._held = self._data, [], 0
            return b"\n".join(data).decode(errors="replace") if data else None
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        else:
            self._held = sum(map(len, self._data))
        return None
