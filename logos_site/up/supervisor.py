"""Keep a few child processes running, gather what they print, and end all of them together.

Each child leads a session of its own, so that Ctrl-C reaches only us and its whole group can be ended.
Whatever a child put into yet another session (the keepers of sandboxes) is left alone on purpose: a
restart of Logos does not end sandboxes. The kernel ends the children if we are killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 30.0
HEALTHY_AFTER_S = 60.0
CRASHES_TO_REPORT = 5
GRACE_S = 3.5  # SIGKILL after this, so that everything has ended within 5 s
LAST_LINES = 12
LAST_READS = 64  # of 64 KiB: something outside the group may hold the pipe and write for ever
LONGEST_LINE = 16_384  # bytes; a child that never ends its line is cut, not kept in memory

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(slots=True)
class Child:
    """One program to keep running, and what we know of its current process."""

    name: str
    argv: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    pipe: IO[bytes] | None = None
    started_at: float = 0.0
    start_again_at: float = 0.0
    crashes: int = 0
    exit_code: int | None = None
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))
    rest: bytes = b""

    @property
    def delay_s(self) -> float:
        """How long to wait before the next start: 1 s, doubled with every quick end, 30 s at most."""
        return min(FIRST_DELAY_S * 2 ** max(0, self.crashes - 1), LONGEST_DELAY_S)


class Supervisor:
    """Runs children until asked to stop.

    ``say(source, line)`` gets every line a child prints. ``crashed(child)`` is called once when a child has
    ended five times in a row without being healthy for a minute. ``tick()`` is called a few times a second.
    """

    def __init__(
        self,
        children: Sequence[Child],
        say: Callable[[str, str], None],
        *,
        environment: Mapping[str, str] | None = None,
        crashed: Callable[[Child], None] = lambda child: None,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        self.children = list(children)
        self.stopping = False
        self._say, self._crashed, self._tick = say, crashed, tick
        self._environment = dict(os.environ if environment is None else environment)
        self._selector = selectors.DefaultSelector()
        self._hurry = False

    def run(self) -> None:
        """Start everything, return when a stop was asked for and every process has ended. Main thread only."""
        wake_r, wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(wake_r, selectors.EVENT_READ)
        signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = {number: signal.signal(number, self._on_signal) for number in signals}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        old_wake = signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
        try:
            while not self.stopping:
                self._start_due()
                self._wait(self._until_due_s())
                self._reap()
                self._tick()
        finally:
            try:
                self._end_all()
            finally:
                signal.set_wakeup_fd(old_wake)
                for number, handler in before.items():
                    signal.signal(number, handler)
                self._selector.close()
                os.close(wake_r)
                os.close(wake_w)

    def stop(self) -> None:
        """Ask ``run`` to end everything and return; safe to call from callbacks."""
        self.stopping = True

    def _on_signal(self, *_: object) -> None:
        # A second Ctrl-C means: do not wait for the grace.
        self._hurry = self.stopping
        self.stopping = True

    # --- starting and ending ----------------------------------------------------------------------
    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self.children:
            if child.process is None and now >= child.start_again_at:
                self._start(child)

    def _until_due_s(self) -> float:
        """How long nothing need be started: half a second at most, so that ``tick`` is called."""
        now = time.monotonic()
        return min([0.5, *(max(0.0, child.start_again_at - now) for child in self.children if child.process is None)])

    def _start(self, child: Child) -> None:
        child.started_at = time.monotonic()
        try:
            child.process = subprocess.Popen(
                child.argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
                preexec_fn=_end_with(os.getpid()),
            )
        except OSError as error:
            self._heard(child, f"cannot be started: {error.strerror}".encode())
            self._ended(child, 127)
            return
        child.pipe = child.process.stdout
        if child.pipe is not None:
            os.set_blocking(child.pipe.fileno(), False)
            self._selector.register(child.pipe, selectors.EVENT_READ, child)

    def _reap(self) -> None:
        for child in self.children:
            if child.process is not None and (code := _exit_code(child.process)) is not None:
                self._bury(child)
                self._ended(child, code)

    def _bury(self, child: Child) -> None:
        """End what the child left behind in its group, read its last words, and only then free its process id."""
        process, child.process = child.process, None
        if process is None:
            return
        _signal_group(process.pid, signal.SIGKILL)
        for _ in range(LAST_READS):
            if child.pipe is None or not self._read(child):
                break
        self._close(child)
        process.wait()

    def _ended(self, child: Child, code: int) -> None:
        child.exit_code = code
        if self.stopping:
            return
        if time.monotonic() - child.started_at >= HEALTHY_AFTER_S:
            child.crashes = 0
        child.crashes += 1
        child.start_again_at = time.monotonic() + child.delay_s
        self._say("up", f"{child.name} ended ({_words(code)}); starting it again in {child.delay_s:.0f} s")
        if child.crashes == CRASHES_TO_REPORT:
            self._crashed(child)

    def _end_all(self) -> None:
        """SIGTERM to every child, SIGKILL to what is left of their groups after the grace."""
        self.stopping = True
        deadline = time.monotonic() + GRACE_S
        for child in self.children:
            if child.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.process.pid, signal.SIGTERM)
        while any(child.process for child in self.children) and not self._hurry and time.monotonic() < deadline:
            self._wait(0.05)
            self._reap()
        for child in self.children:
            if child.process is not None:
                _signal_group(child.process.pid, signal.SIGKILL)
                os.waitid(os.P_PID, child.process.pid, os.WEXITED | os.WNOWAIT)
                self._bury(child)

    # --- what they print --------------------------------------------------------------------------
    def _wait(self, timeout_s: float) -> None:
        for key, _ in self._selector.select(timeout_s):
            if isinstance(key.data, Child):
                self._read(key.data)
            else:
                with contextlib.suppress(BlockingIOError):
                    os.read(key.fd, 512)

    def _read(self, child: Child) -> bool:
        """Hear what is there now; False when there is nothing, for now or for ever."""
        if child.pipe is None:
            return False
        try:
            data = os.read(child.pipe.fileno(), 65_536)
        except BlockingIOError:
            return False
        if not data:
            self._close(child)
            return False
        *lines, child.rest = (child.rest + data).split(b"\n")
        if len(child.rest) > LONGEST_LINE:
            lines, child.rest = [*lines, child.rest], b""
        for line in lines:
            self._heard(child, line)
        return True

    def _close(self, child: Child) -> None:
        if child.pipe is not None:
            self._selector.unregister(child.pipe)
            child.pipe.close()
            child.pipe = None
        if child.rest:
            self._heard(child, child.rest)
            child.rest = b""

    def _heard(self, child: Child, line: bytes) -> None:
        text = line[:LONGEST_LINE].decode(errors="replace").rstrip("\r")
        child.last_lines.append(text)
        self._say(child.name, text)


def _end_with(parent: int) -> Callable[[], None]:
    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        # The parent may have died between the fork and the line above.
        if os.getppid() != parent:
            os._exit(0)

    return prepare


def _exit_code(process: subprocess.Popen[bytes]) -> int | None:
    """The exit code (negative for a signal) without freeing the process id, so that its group can still be named."""
    try:
        info = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return process.returncode or 0
    if info is None:
        return None
    return info.si_status if info.si_code == os.CLD_EXITED else -info.si_status


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _words(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
