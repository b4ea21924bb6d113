"""A shell with a terminal inside a sandbox. The terminal is made inside: only two pipes lead to it, so that no terminal
or other descriptor of the host's stays with whatever is left running there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import struct
from collections.abc import Callable

from sandboxes.driver import Attachment, Execution, SandboxError

MOST_CELLS = 1000
# So much may be typed, or pasted, that the shell has not taken yet.
MOST_TYPED_BYTES = 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_HANG_UP_S = 3.0
_LAST_WORDS_S = 10.0
_FRAME = struct.Struct(">cI")

# Runs inside, on the distribution's Python (3.9 or newer). Frames come in: "d" what was typed, "r" rows and columns.
# Nothing in it waits for one side alone: a host that reads nothing can still press Ctrl+C, and a program that reads
# nothing is still seen. When the host goes, the shell is hung up, and what ignores that is killed, its whole session.
INSIDE = """
import fcntl, os, pty, select, signal, struct, sys, termios, time
MOST = 65536
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
def read(descriptor):
    try:
        return os.read(descriptor, MOST)
    except BlockingIOError:
        return None
    except OSError:
        return b""
def write(descriptor, data):
    try:
        return data[os.write(descriptor, data):]
    except BlockingIOError:
        return data
    except BrokenPipeError:
        hang_up()
    except OSError:
        return b""
def session():
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/" + name + "/stat", "rb") as file:
                if int(file.read().rpartition(b")")[2].split()[3]) == pid:
                    yield int(name)
        except (OSError, IndexError):
            pass
def hang_up():
    global terminal
    os.close(terminal)
    until = time.monotonic() + 1
    while time.monotonic() < until and any(each != pid or not ended() for each in session()):
        time.sleep(0.02)
    for _ in range(20):
        for each in session():
            try:
                os.kill(each, signal.SIGKILL)
            except OSError:
                pass
    os._exit(129)
status = None
def ended():
    global status
    if status is None:
        found, told = os.waitpid(pid, os.WNOHANG)
        status = told if found else None
    return status is not None
resize(int(sys.argv[1]), int(sys.argv[2]))
awake, waker = os.pipe()
for descriptor in (0, 1, terminal, awake, waker):
    os.set_blocking(descriptor, False)
signal.signal(signal.SIGCHLD, lambda *_: None)
signal.set_wakeup_fd(waker)
frames, typed, shown, is_open = b"", b"", b"", True
while is_open or shown:
    reads = [awake] + [terminal] * (is_open and not shown) + [0] * (len(typed) < MOST)
    writes = [1] * bool(shown) + [terminal] * (is_open and bool(typed))
    ready, free, _ = select.select(reads, writes, [])
    if awake in ready:
        read(awake)
    if terminal in ready or (is_open and not shown and ended()):
        data = read(terminal)
        shown += data or b""
        is_open = data is None and not ended() or bool(data)
    if 1 in free:
        shown = write(1, shown)
    if terminal in free:
        typed = write(terminal, typed)
    if 0 in ready:
        data = read(0)
        if data == b"":
            hang_up()
        frames += data or b""
        while len(frames) >= 5:
            kind, size = struct.unpack(">cI", frames[:5])
            if len(frames) < 5 + size:
                break
            body, frames = frames[5:5 + size], frames[5 + size:]
            if kind == b"r" and is_open:
                resize(*struct.unpack(">HH", body))
            if kind == b"d":
                typed += body
while not ended():
    select.select([awake], [], [], 0.2)
sys.exit(status >> 8 if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
"""


class Terminal:
    """One shell. ``heard`` is called on the loop with what it writes."""

    def __init__(self, heard: Callable[[bytes], None]) -> None:
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._input: asyncio.Queue[bytes | None] = asyncio.Queue()  # None: the window has another size
        self._typed = 0
        self._size: tuple[int, int] | None = None
        self._execution: Execution | None = None
        self._feed = self._output = -1
        self._feeding: asyncio.Task[None] | None = None
        self._silent = asyncio.Event()
        self._is_heard = False

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
            self._output = -1
            raise
        finally:
            os.close(stdin)
            os.close(stdout)
        self.resume()
        self._feeding = asyncio.create_task(self._write())

    def type(self, data: bytes) -> bool:
        """Hand in what was typed; False when the shell takes no more for now, and then nothing was handed in."""
        if self._typed + len(data) > MOST_TYPED_BYTES:
            return False
        self._typed += len(data)
        self._input.put_nowait(data)
        return True

    def resize(self, rows: int, columns: int) -> None:
        """The window has another size."""
        rows, columns = (min(max(each, 1), MOST_CELLS) for each in (rows, columns))
        if self._size is None:  # else the shell is told the latest only
            self._input.put_nowait(None)
        self._size = rows, columns

    async def wait(self) -> int:
        """The shell's exit code, 128 + n after signal n, once all it wrote was heard."""
        assert self._execution is not None  # noqa: S101 (narrows the type)
        code = await self._execution.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._silent.wait()
        return code if code >= 0 else 128 - code

    def pause(self) -> None:
        """Hear nothing until ``resume``: what fills its pipe then has to wait. What is typed still arrives."""
        if self._is_heard:
            self._is_heard = False
            self._loop.remove_reader(self._output)

    def resume(self) -> None:
        """Hear again."""
        if not self._is_heard and self._output >= 0 and not self._silent.is_set():
            self._is_heard = True
            self._loop.add_reader(self._output, self._read)

    async def close(self) -> None:
        """End it, if it has not ended: it is hung up, and what was started in it and ignores that is killed."""
        if self._feeding is not None:
            self._feeding.cancel()
        self.pause()
        self._close(self._feed)
        self._close(self._output)
        self._feed = self._output = -1
        if self._execution is not None:
            with contextlib.suppress(SandboxError, TimeoutError):
                async with asyncio.timeout(_HANG_UP_S):
                    await self._execution.wait()
                return
            with contextlib.suppress(SandboxError):
                await self._execution.signal(signal.SIGKILL)

    async def _write(self) -> None:
        os.set_blocking(self._feed, False)
        while True:
            frame = self._framed(await self._input.get())
            while frame:
                try:
                    frame = frame[os.write(self._feed, frame) :]
                except BlockingIOError:
                    await asyncio.sleep(0.02)
                except OSError:  # the shell has ended
                    return

    def _framed(self, data: bytes | None) -> bytes:
        if data is not None:
            self._typed -= len(data)
            return _FRAME.pack(b"d", len(data)) + data
        size, self._size = self._size or (1, 1), None
        return _FRAME.pack(b"r", 4) + struct.pack(">HH", *size)

    def _read(self) -> None:
        try:
            data = os.read(self._output, _CHUNK_BYTES)
        except BlockingIOError:
            return
        if data:
            self._heard(data)
        else:
            self.pause()
            self._silent.set()

    @staticmethod
    def _close(descriptor: int) -> None:
        if descriptor >= 0:
            os.close(descriptor)
