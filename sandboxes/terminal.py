"""A shell with a terminal inside a sandbox. The terminal is made inside: only two pipes lead to it, so that no terminal
or other descriptor of the host's stays with whatever is left running there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import struct
from collections.abc import Callable

from sandboxes.driver import Attachment, Execution

MOST_CELLS = 1000
_CHUNK_BYTES = 64 * 1024
_FRAME = struct.Struct(">cI")

# Runs inside, on the distribution's Python (3.9 or newer). Frames come in: "d" what was typed, "r" rows and columns.
INSIDE = """
import fcntl, os, pty, select, signal, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    for shell in (["bash", "-i"], ["sh", "-i"]):
        try:
            os.execvp(shell[0], shell)
        except OSError:
            pass
    os._exit(127)
def resize(rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
resize(int(sys.argv[1]), int(sys.argv[2]))
pending, watched = b"", [0, terminal]
while True:
    ready = select.select(watched, [], [])[0]
    if terminal in ready:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            data = b""
        if not data:
            break
        while data:
            data = data[os.write(1, data):]
    if 0 in ready:
        data = os.read(0, 65536)
        if not data:
            os.kill(pid, signal.SIGHUP)
            watched.remove(0)
        pending += data
        while len(pending) >= 5:
            kind, size = struct.unpack(">cI", pending[:5])
            if len(pending) < 5 + size:
                break
            body, pending = pending[5:5 + size], pending[5 + size:]
            if kind == b"r":
                resize(*struct.unpack(">HH", body))
            while kind == b"d" and body:
                body = body[os.write(terminal, body):]
status = os.waitpid(pid, 0)[1]
code = os.waitstatus_to_exitcode(status)
sys.exit(code if code >= 0 else 128 - code)
"""


class Terminal:
    """One shell. ``heard`` is called on the loop with what it writes."""

    def __init__(self, heard: Callable[[bytes], None]) -> None:
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._input: asyncio.Queue[bytes] = asyncio.Queue(256)
        self._execution: Execution | None = None
        self._feed = self._output = -1
        self._feeding: asyncio.Task[None] | None = None
        self._silent = asyncio.Event()

    async def open(self, attachment: Attachment, rows: int, columns: int, term: str = "xterm-256color") -> None:
        """Start it. SandboxError when the sandbox is gone."""
        (stdin, self._feed), (self._output, stdout) = os.pipe(), os.pipe()
        os.set_blocking(self._output, False)
        size = [str(min(max(each, 1), MOST_CELLS)) for each in (rows, columns)]
        try:
            argv = ["python3", "-I", "-c", INSIDE, *size]
            self._execution = await attachment.exec(argv, stdio=(stdin, stdout, stdout), env={"TERM": term[:40]})
        except BaseException:
            self._close(self._output)
            raise
        finally:
            os.close(stdin)
            os.close(stdout)
        self._loop.add_reader(self._output, self._read)
        self._feeding = asyncio.create_task(self._write())

    def type(self, data: bytes) -> bool:
        """Hand in what was typed; False when the shell takes no more for now, and then nothing was handed in."""
        return self._put(_FRAME.pack(b"d", len(data)) + data)

    def resize(self, rows: int, columns: int) -> None:
        """The window has another size."""
        rows, columns = (min(max(each, 1), MOST_CELLS) for each in (rows, columns))
        self._put(_FRAME.pack(b"r", 4) + struct.pack(">HH", rows, columns))

    async def wait(self) -> int:
        """The shell's exit code, 128 + n after signal n, once all it wrote was heard."""
        assert self._execution is not None  # noqa: S101 (narrows the type)
        code = await self._execution.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._silent.wait()
        return code if code >= 0 else 128 - code

    async def close(self) -> None:
        """End it, if it has not ended."""
        if self._feeding is not None:
            self._feeding.cancel()
        if self._execution is not None:
            with contextlib.suppress(Exception):
                await self._execution.signal(signal.SIGKILL)
        self._loop.remove_reader(self._output)
        self._close(self._feed)
        self._close(self._output)
        self._feed = self._output = -1

    def _put(self, frame: bytes) -> bool:
        try:
            self._input.put_nowait(frame)
        except asyncio.QueueFull:
            return False
        return True

    async def _write(self) -> None:
        os.set_blocking(self._feed, False)
        while True:
            frame = await self._input.get()
            while frame:
                try:
                    frame = frame[os.write(self._feed, frame) :]
                except BlockingIOError:
                    await asyncio.sleep(0.02)
                except OSError:  # the shell has ended
                    return

    def _read(self) -> None:
        try:
            data = os.read(self._output, _CHUNK_BYTES)
        except BlockingIOError:
            return
        if data:
            self._heard(data)
        else:
            self._loop.remove_reader(self._output)
            self._silent.set()

    @staticmethod
    def _close(descriptor: int) -> None:
        if descriptor >= 0:
            os.close(descriptor)
