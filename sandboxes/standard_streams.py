"""Stand between the descriptors of somebody's shell and a command in a sandbox.

A terminal, a file or a socket handed in as it is would stay with any process the command leaves behind: the shell's
descriptors can be read and written both ways, so that process could read what is typed next, passwords included, or
change a file after the command has ended. A pipe goes one way and ends with us; only pipes are handed in as they are.
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
import threading
from types import TracebackType
from typing import Self

PIPE_BYTES = 64 * 1024  # what a pipe holds at most when the command ends
_LOOK_EVERY_S = 0.05
_STUCK_S = 10.0  # nobody takes the output: somebody has stopped the terminal
_CHUNK_BYTES = 64 * 1024


class StandardStreams:
    """The three descriptors to hand into the sandbox, as ``stdio``. Use it as a context manager."""

    def __init__(self, *, interactive: bool) -> None:
        self._ours: list[int] = []
        self._speaking: list[threading.Thread] = []
        self._ended = threading.Event()
        stdin = self._input() if interactive else self._own(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        self.stdio = (stdin, self._output(1), self._output(2))

    def handed_in(self) -> None:
        """The sandbox has its copies: only when ours are closed does the end of output show."""
        while self._ours:
            os.close(self._ours.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.handed_in()
        self._ended.set()
        for thread in self._speaking:
            thread.join(_STUCK_S)

    def _own(self, descriptor: int) -> int:
        self._ours.append(descriptor)
        return descriptor

    def _input(self) -> int:
        if _is_pipe(0):
            return 0
        reading, writing = os.pipe2(os.O_CLOEXEC)
        # Blocked in a read it ends with the process.
        threading.Thread(target=_listen, args=(writing,), daemon=True).start()
        return self._own(reading)

    def _output(self, descriptor: int) -> int:
        if _is_pipe(descriptor):
            return descriptor
        reading, writing = os.pipe2(os.O_CLOEXEC)
        thread = threading.Thread(target=self._speak, args=(reading, descriptor), daemon=True)
        thread.start()
        self._speaking.append(thread)
        return self._own(writing)

    def _speak(self, source: int, target: int) -> None:
        left = PIPE_BYTES
        with contextlib.suppress(OSError):
            while left > 0:
                # A process left behind may hold its output open for ever, and go on writing.
                has_ended = self._ended.is_set()
                if select.select([source], [], [], _LOOK_EVERY_S)[0]:
                    if not (data := os.read(source, _CHUNK_BYTES)):
                        break
                    _write(target, data)
                    left -= len(data) if has_ended else 0
                elif has_ended:
                    break
        os.close(source)


def _listen(target: int) -> None:
    with contextlib.suppress(OSError):
        while data := os.read(0, _CHUNK_BYTES):
            _write(target, data)
    os.close(target)


def _write(target: int, data: bytes) -> None:
    while data:
        data = data[os.write(target, data) :]


def _is_pipe(descriptor: int) -> bool:
    return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
