"""Runs one command as an MCP server and takes everything it started with it: when it ends, and when Logos dies.

Started as ``python -I -S starter.py JSON COMMAND ARG…`` and of the standard library only. It holds neither the pipes
nor any memory worth mentioning; it is there because only a parent can end what a program forked and left behind.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import time

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
NOT_STARTED = 127
HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_NUMBERS = {"memory_mb": resource.RLIMIT_DATA, "open_files": resource.RLIMIT_NOFILE, "file_mb": resource.RLIMIT_FSIZE}


def main() -> int:
    """Start it, wait for its end or ours, and end the rest. Returns its exit status."""
    plan, command = json.loads(sys.argv[1]), sys.argv[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    os.setsid()
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != plan["parent"]:  # it died before we asked to be told
        return 0
    child = os.fork()
    if child == 0:
        _become(command, plan["limits"])
    for descriptor in (0, 1):  # its pipes end with it
        os.close(descriptor)
    status = _wait(child, plan["grace_s"])
    _end_everything()
    return status


def _become(command: list[str], limits: dict[str, int]) -> None:
    os.setpgid(0, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
    for number in (signal.SIGCHLD, signal.SIGPIPE):  # Python ignores the latter, and programs would inherit it
        signal.signal(number, signal.SIG_DFL)
    try:
        for name, value in limits.items():
            amount = value if name == "open_files" else value * 1024 * 1024
            resource.setrlimit(_NUMBERS[name], (amount, amount))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.execvp(command[0], command)  # noqa: S606 (no shell: that is the point)
    except (OSError, ValueError) as error:
        os.write(2, f"{command[0]} cannot be started: {error}\n".encode())
        os._exit(NOT_STARTED)


def _wait(child: int, grace_s: float) -> int:
    """Its exit status; when we are told to end, it has ``grace_s`` to do so by itself."""
    deadline = None
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == child:
            return os.waitstatus_to_exitcode(status)
        if pid:
            continue  # something it left behind ended
        if deadline is not None and time.monotonic() >= deadline:
            return -signal.SIGKILL
        left = None if deadline is None else deadline - time.monotonic()
        heard = signal.sigwaitinfo(HEARD) if left is None else signal.sigtimedwait(HEARD, max(0.0, left))
        if heard is not None and heard.si_signo != signal.SIGCHLD and deadline is None:
            deadline = time.monotonic() + grace_s
            with contextlib.suppress(OSError):
                os.killpg(child, signal.SIGTERM)


def _end_everything() -> None:
    """Kill whatever is still below us, also what left the process group: it has become our child by now."""
    for _ in range(200):
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            below = [int(word) for word in file.read().split()]
        if not below:
            return
        for pid in below:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        for _ in below:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-1, 0)


if __name__ == "__main__":
    status = main()
    os._exit(status if status >= 0 else 128 - status)
