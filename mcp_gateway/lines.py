"""A peer that talks in lines over pipes: what it says is cut into messages, and a line that is too long ends one call."""

from __future__ import annotations

import asyncio
import logging
import re
from abc import abstractmethod
from typing import Any

from mcp_gateway import endings
from mcp_gateway.peers import ERROR_LINE, ERROR_LINES, MAX_LINE, Asks, Notice, Peer, TooLarge

logger = logging.getLogger(__name__)

# What a server that does not read may leave unread before its calls are refused.
MAX_UNREAD = 32 * 1024 * 1024
# An answer that is too large is thrown away; whose it was stands at one of its ends.
# Of the message itself, not of something inside of it: before the result, or behind it.
_FIRST = re.compile(rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,18})\s*,')
_LAST = re.compile(
    rb'[\]}]\s*,\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,18})\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*\Z'
)


class LinePeer(Peer):
    """Feed it what comes out of the server's pipes."""

    def __init__(self, notice: Notice, asked: Asks) -> None:
        super().__init__(notice, asked)
        self._line: list[bytes] = []
        self._size = 0
        self._is_too_long = False
        self._tail = b""
        self.exit_code: int | None = None
        self._is_held_back = self._was_held_back = False

    def ending(self) -> str:
        return endings.sentence(self.exit_code, self.errors)

    def hear_output(self, data: bytes) -> None:
        """More of its standard output."""
        *ended, rest = data.split(b"\n")
        blank = 0
        for piece in ended:
            if not piece and not self._size:
                blank += 1
            else:
                self._keep(piece)
                self._finish_line()
        if rest:
            self._keep(rest)
        if blank:
            self._say_unasked(blank)

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > MAX_LINE:
            self._is_too_long = True
        if self._is_too_long:
            self._tail = (self._tail + piece)[-4096:]
            self._line = [b"".join(self._line)[:4096] or piece[:4096]]
        else:
            self._line.append(piece)

    @abstractmethod
    def _output(self) -> Any:
        """The transport its standard output is read from."""

    def _hear_less(self, pause_s: float) -> None:
        if self._is_held_back:
            return
        if not self._was_held_back:
            self.errors.append("[Logos] It says so much by itself that it is listened to more slowly.")
        self._is_held_back = self._was_held_back = True
        self._output().pause_reading()
        asyncio.get_running_loop().call_later(pause_s, self._hear_on)

    def _hear_on(self) -> None:
        self._is_held_back = False
        if not self.ended.is_set():
            self._output().resume_reading()

    def _finish_line(self) -> None:
        line, is_too_long, tail = b"".join(self._line), self._is_too_long, self._tail
        self._line, self._size, self._is_too_long, self._tail = [], 0, False, b""
        if is_too_long:
            self._throw_away(line, tail)
        elif line.strip():
            try:
                self._take(line)
            except Exception:
                logger.exception("A message of an MCP server could not be taken")
        else:
            self._say_unasked(1)

    def _throw_away(self, head: bytes, tail: bytes) -> None:
        """An answer that is too large ends its call, not its server."""
        found = _FIRST.match(head[:4096]) or _LAST.search(tail)
        only = self.only_call()
        # What names nobody where it must can be only one's, if there is only one.
        call = self.calls.pop(int(found[1]), None) if found else self.calls.pop(only.id, None) if only else None
        self.errors.append(f"[Logos] A line of more than {MAX_LINE:,} bytes was thrown away.")
        if call is not None and not call.answer.done():
            call.answer.set_exception(TooLarge(f"Its answer is larger than {MAX_LINE // 1024 // 1024} MB."))

    def hear_errors(self, data: bytes) -> None:
        """More of its standard error."""
        for line in data.decode(errors="replace").splitlines()[-ERROR_LINES:]:
            self.errors.append(self._plain(line[:ERROR_LINE]))
