"""What runs inside: the list, what was begun in the background, and its end.

Each command of a sandbox has a Landlock domain of its own and cannot signal another one. So a process in the background
has a minder, begun with it, that ends it when it is told to through a pipe below /tmp.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import stat
from typing import NoReturn

from sandboxes.tool_server.inside.answers import Refused, Told

HOME = "/tmp/.logos-tools"  # noqa: S108 (the sandbox's own)
MOST_LISTED = 500
MOST_BEGUN = 20
ID = re.compile(r"[0-9a-z_]{1,60}\Z")
SIGNALS = {"TERM": signal.SIGTERM, "INT": signal.SIGINT, "KILL": signal.SIGKILL}


def listing() -> Told:
    """Every process, the oldest first, without what it was started with in its environment."""
    begun = {told["pid"]: told["id"] for told in minded()}
    rows = []
    for name in sorted((name for name in os.listdir("/proc") if name.isdigit()), key=int)[:MOST_LISTED]:
        row = process(int(name))
        if row is not None:
            row["id"] = begun.get(row["pid"], "")
            rows.append(row)
    return {"processes": rows}


def process(pid: int) -> Told | None:
    """One process; None when it has ended."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            head, _, rest = file.read().rpartition(")")
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(4096).split(b"\x00")
    except OSError:
        return None
    fields = rest.split()
    command = b" ".join(word for word in words if word).decode("utf-8", "replace")[:500]
    memory = int(fields[21]) * os.sysconf("SC_PAGE_SIZE") // 1024
    return {
        "pid": pid,
        "parent": int(fields[1]),
        "state": fields[0],
        "command": command or "[{}]".format(head.partition("(")[2]),
        "memory_kb": memory,
    }


def begin(id: str, argv: list[str], environment: dict[str, str], directory: str, input: str) -> Told:
    """Start a command and a minder for it; returns at once in the caller."""
    os.makedirs(HOME, mode=0o700, exist_ok=True)
    if len(minded()) >= MOST_BEGUN:
        raise Refused("20 processes run in the background already; stop one first.", "too_many")
    os.chdir(os.path.join(os.getcwd(), directory.encode("latin-1").decode("utf-8", "surrogateescape")))
    pipe = os.path.join(HOME, id)
    os.mkfifo(pipe, 0o600)
    reading, writing = os.pipe()
    if os.fork() == 0:
        mind(id, pipe, argv, environment, input.encode(), writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        told = answer.read()
    if not told.startswith(b"{"):
        forget(id)
        raise Refused(f"It could not be started: {told.decode(errors='replace')}", "not_started")
    return json.loads(told)


def mind(id: str, pipe: str, argv: list[str], environment: dict[str, str], input: bytes, tell: int) -> NoReturn:
    """Never returns: starts the command, waits for its end or for a word from the pipe."""
    try:
        os.setsid()
        listen = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        wake, woken = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(woken, False)
        signal.set_wakeup_fd(woken)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        source, feed = os.pipe()
        null = os.open(os.devnull, os.O_RDWR)
        failed, failing = os.pipe()
        pid = os.fork()
        if pid == 0:
            become(argv, environment, source, null, failing)
        os.close(failing)
        os.close(source)
        with os.fdopen(failed, "rb") as answer:
            problem = answer.read()
        if problem:
            os.write(tell, problem)
            os._exit(1)
        with open(os.path.join(HOME, id + ".json"), "w") as file:
            json.dump({"id": id, "pid": pid}, file)
        os.write(tell, json.dumps({"id": id, "pid": pid}).encode())
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.close(tell)
        if input and os.fork() == 0:
            pour(feed, input)
        os.close(feed)
        attend(pid, listen, wake)
    except BaseException as error:  # whatever it is, the caller waits for a word
        try:
            os.write(tell, str(error).encode())
        except OSError:
            pass
    forget(id)
    os._exit(0)


def become(argv: list[str], environment: dict[str, str], source: int, null: int, failing: int) -> NoReturn:
    """Turn into the command."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        os.dup2(source, 0)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.set_inheritable(failing, False)
        os.closerange(3, failing)
        os.closerange(failing + 1, 1024)
        os.execvpe(argv[0], argv, environment)  # noqa: S606 (what was asked for)
    except BaseException as error:
        os.write(failing, str(error).encode())
    os._exit(127)


def pour(feed: int, input: bytes) -> NoReturn:
    """Give the command its input."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    while input:
        input = input[os.write(feed, input) :]
    os._exit(0)


def attend(pid: int, listen: int, wake: int) -> None:
    """Until the command has ended; what comes through the pipe is a signal's name."""
    while True:
        while True:
            try:
                ended, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if ended == pid:
                return
            if ended == 0:
                break
        ready, _, _ = select.select([listen, wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
        if listen in ready:
            for word in os.read(listen, 4096).decode("ascii", "replace").split():
                if word in SIGNALS:
                    os.killpg(pid, SIGNALS[word])


def stop(id: str, name: str) -> Told:
    """Tell the minder of a process to end it."""
    if not ID.match(id):
        raise Refused("This is no id that process.run gave.", "not_found")
    try:
        pipe = os.open(os.path.join(HOME, id), os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        raise Refused("Nothing that process.run began has this id, or it has ended.", "not_found") from None
    try:
        if not stat.S_ISFIFO(os.fstat(pipe).st_mode):
            raise Refused("Nothing that process.run began has this id.", "not_found")
        os.write(pipe, (name + "\n").encode())
    finally:
        os.close(pipe)
    return {"id": id, "signal": name}


def minded() -> list[Told]:
    """What was begun in the background and still runs."""
    found: list[Told] = []
    try:
        names = os.listdir(HOME)
    except OSError:
        return found
    for name in names:
        if not name.endswith(".json"):
            continue
        try:
            with open(os.path.join(HOME, name)) as file:
                told = json.loads(file.read(200))
            os.kill(told["pid"], 0)
        except PermissionError:
            pass
        except (OSError, ValueError, KeyError, TypeError):
            forget(name[: -len(".json")])
            continue
        found.append({"id": str(told["id"]), "pid": told["pid"]})
    return found


def forget(id: str) -> None:
    """Take its pipe and its record away."""
    for name in (id, id + ".json"):
        try:
            os.unlink(os.path.join(HOME, name))
        except OSError:
            pass
