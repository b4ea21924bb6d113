"""PID 1 of a local sandbox: binds the listeners, locks itself down, proves it, then serves exec, dial and signal.

The only trusted process inside. The order of ``main`` matters: what it needs from the unlocked world comes before
the locks, nothing is served before the self-test has passed. It installs no handler for any signal but SIGCHLD: the
kernel then keeps every signal from inside away from it, SIGKILL included.
Standard library only, Python 3.9 or newer: it runs on the distribution's interpreter.
"""

from __future__ import annotations

import errno
import os
import platform
import resource
import select
import signal
import socket
import sys
import time
from typing import Any, NoReturn

from sandboxes.local import kernel, landlock, seccomp, selftest, wire

NOT_STARTED, NO_PROCESS_LEFT = 127, 126
DIAL_TIMEOUT_S = 5.0
MAX_PENDING_DIALS = 256
NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
OOM_SCORE_OF_COMMANDS = b"500"  # when memory runs out, a command goes first and PID 1 last


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(control.fileno(), False)
    try:
        config = _configuration(control)
        listeners = [_listen(port) for port in config["listen"]]
        namespaces = {name: os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES}
        command_rules, layers = _lock_down(config)
        selftest.check()
    except Exception as problem:
        wire.Outbox(control).put({"op": "failed", "error": f"{type(problem).__name__}: {problem}"})
        os._exit(1)
    outbox = wire.Outbox(control)
    ready = {"op": "ready", "layers": layers, "namespaces": namespaces}
    outbox.put(ready, [listener.detach() for listener in listeners])
    Server(control, outbox, config, command_rules).serve()


def _configuration(control: socket.socket) -> dict[str, Any]:
    config, _ = wire.receive(control)
    if config is None:
        os._exit(1)
    return config


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    # Connections wait here while the host restarts, so the queue is long.
    listener.listen(1024)
    return listener


def _lock_down(config: dict[str, Any]) -> tuple[int | None, list[str]]:
    """Limits, Landlock, seccomp, in this order. The ruleset for commands, and the layers that are now active."""
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own handler would open PID 1 to a signal from inside
    for name, wanted in config["rlimits"].items():
        limit = getattr(resource, name)
        hard = resource.getrlimit(limit)[1]
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(limit, (value, value))
    layers = ["rlimits"]
    rules = None
    if version := landlock.abi():
        rules = _restrict_self(config["landlock"], version)
        layers.append(f"landlock:{version}")
    seccomp.install(platform.machine())
    layers.append("seccomp")
    return rules, layers


def _restrict_self(paths: dict[str, list[str]], version: int) -> int:
    """Two domains: one for everything inside, a narrower one nested in it for every command."""
    rights = {
        "read_only": landlock.READ_ONLY,
        "read_write": landlock.read_write(version),
        "devices": landlock.DEVICE,
    }
    shared = [(path, rights[kind]) for kind in rights for path in paths[kind]]
    shared.append(("/", landlock.READ_DIR))
    # PID 1's own: it raises a command's score for the out-of-memory killer.
    outer = landlock.ruleset(version, [*shared, ("/proc", landlock.READ_ONLY | landlock.WRITE_FILE)])
    inner = landlock.ruleset(version, [*shared, ("/proc", landlock.READ_ONLY)])
    landlock.restrict(outer)
    os.close(outer)
    return inner


class Server:
    """Answers the keeper; reaps whatever ends. One thread, one poll loop, nothing that waits elsewhere."""

    def __init__(
        self, control: socket.socket, outbox: wire.Outbox, config: dict[str, Any], command_rules: int | None
    ) -> None:
        self._control = control
        self._control.setblocking(False)
        self._outbox = outbox
        self._environment: dict[str, str] = config["environment"]
        self._directory: str = config["directory"]
        self._rules = command_rules
        self._commands: dict[int, int] = {}  # pid -> id of the exec
        self._guarded: set[int] = set()  # ids of commands without which nothing may go on
        self._dials: dict[int, tuple[socket.socket, int, float]] = {}  # fd -> socket, id, deadline
        self._ending = False
        self._wakeup, wakeup_in = socket.socketpair()
        self._wakeup.setblocking(False)
        wakeup_in.setblocking(False)
        self._wakeup_in = wakeup_in
        signal.set_wakeup_fd(wakeup_in.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # the wake-up byte is the message

    def serve(self) -> None:
        while True:
            for descriptor, _ in self._poll():
                if descriptor == self._control.fileno():
                    self._read_control()
                elif descriptor == self._wakeup.fileno():
                    self._drain_wakeup()
                else:
                    self._finish_dial(descriptor)
            self._expire_dials()
            self._reap()
            self._flush()

    def _poll(self) -> list[tuple[int, int]]:
        poller = select.poll()
        waiting = select.POLLOUT if len(self._outbox) else 0
        poller.register(self._control, select.POLLIN | waiting)
        poller.register(self._wakeup, select.POLLIN)
        for descriptor in self._dials:
            poller.register(descriptor, select.POLLOUT)
        return poller.poll(1000 if self._dials else None)

    def _read_control(self) -> None:
        while True:
            try:
                message, descriptors = wire.receive(self._control)
            except BlockingIOError:
                return
            if message is None:
                os._exit(0)  # the keeper is gone: the kernel now ends everything inside
            try:
                self._obey(message, descriptors)
            finally:
                wire.close_all(descriptors)

    def _obey(self, message: dict[str, Any], descriptors: list[int]) -> None:
        operation = message["op"]
        if operation == "exec":
            self._exec(message, descriptors)
        elif operation == "dial":
            self._dial(message["id"], message["port"])
        elif operation == "signal":
            self._signal(message["id"], message["signal"])
        elif operation == "guard":
            self._guard(message["id"])
        elif operation == "terminate":
            self._ending = True
            _kill_quietly(os.kill, -1, signal.SIGTERM)

    # Commands

    def _exec(self, message: dict[str, Any], descriptors: list[int]) -> None:
        if self._ending or len(descriptors) != 3:
            reason = "the sandbox is ending" if self._ending else "its descriptors did not arrive"
            self._report_exit(message["id"], NO_PROCESS_LEFT, reason)
            return
        try:
            pid = os.fork()
        except OSError as problem:  # the agent holds every process it may have; PID 1 must survive that
            self._report_exit(message["id"], NO_PROCESS_LEFT, os.strerror(problem.errno or 0))
            return
        if pid == 0:
            self._become(message, descriptors)
        # No race with the command's end: it is reaped by this loop only, after this line.
        self._commands[pid] = message["id"]

    def _become(self, message: dict[str, Any], descriptors: list[int]) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            os.setsid()
            _take_as_stdio(descriptors)
            kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
            _offer_to_the_memory_killer()
            if self._rules is not None:
                landlock.restrict(self._rules)
            os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
            os.chdir(message.get("cwd") or self._directory)
            argv = message["argv"]
            os.execvpe(argv[0], argv, {**self._environment, **message.get("env", {})})  # noqa: S606
        except BaseException as problem:
            os.write(2, f"{(message['argv'] or [''])[0]}: {problem}\n".encode())
        finally:
            os._exit(NOT_STARTED)

    def _signal(self, exec_id: int, number: int) -> None:
        for pid, known in self._commands.items():
            if known == exec_id:
                # Until the child has made its own group there is nothing but the child itself.
                _kill_quietly(os.killpg, pid, number) or _kill_quietly(os.kill, pid, number)

    def _guard(self, exec_id: int) -> None:
        if exec_id not in self._commands.values():
            os._exit(0)
        self._guarded.add(exec_id)
        # The keeper's guard spares it: when a limit is reached, what it started goes first.
        pid = next(pid for pid, known in self._commands.items() if known == exec_id)
        self._answer({"op": "guarded", "id": exec_id, "pid": pid})

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                if self._ending:
                    self._flush()
                    os._exit(0)
                return
            if pid == 0:
                return
            if pid in self._commands:
                exec_id = self._commands.pop(pid)
                self._report_exit(exec_id, os.waitstatus_to_exitcode(status))
                if exec_id in self._guarded:
                    self._flush()
                    os._exit(0)  # the kernel now ends everything inside

    def _report_exit(self, exec_id: int, code: int, error: str = "") -> None:
        self._answer({"op": "exit", "id": exec_id, "code": code, "error": error})

    # Connections to servers inside

    def _dial(self, dial_id: int, port: int) -> None:
        if len(self._dials) >= MAX_PENDING_DIALS:
            self._answer({"op": "dialled", "id": dial_id, "errno": errno.EAGAIN})
            return
        try:
            connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as problem:
            self._answer({"op": "dialled", "id": dial_id, "errno": problem.errno})
            return
        self._dials[connection.fileno()] = (connection, dial_id, time.monotonic() + DIAL_TIMEOUT_S)
        code = connection.connect_ex(("127.0.0.1", port))
        if code != errno.EINPROGRESS or _is_decided(connection):
            self._finish_dial(connection.fileno(), 0 if code == errno.EINPROGRESS else code)

    def _finish_dial(self, descriptor: int, code: int = 0) -> None:
        connection, dial_id, _ = self._dials.pop(descriptor)
        code = code or connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not code and connection.getsockname() == connection.getpeername():
            code = errno.ECONNREFUSED  # TCP met itself on an ephemeral port: nobody listens there
        if code:
            connection.close()
            self._answer({"op": "dialled", "id": dial_id, "errno": code})
        else:
            self._answer({"op": "dialled", "id": dial_id, "errno": 0}, [connection.detach()])

    def _expire_dials(self) -> None:
        now = time.monotonic()
        for descriptor, (_, _, deadline) in list(self._dials.items()):
            if deadline <= now:
                self._finish_dial(descriptor, errno.ETIMEDOUT)

    # Plumbing

    def _answer(self, message: dict[str, Any], descriptors: list[int] | None = None) -> None:
        try:
            self._outbox.put(message, descriptors or ())
        except OSError:
            os._exit(0)

    def _flush(self) -> None:
        try:
            self._outbox.flush()
        except OSError:
            os._exit(0)

    def _drain_wakeup(self) -> None:
        try:
            while self._wakeup.recv(4096):
                pass
        except BlockingIOError:
            pass


def _take_as_stdio(descriptors: list[int]) -> None:
    # Move them out of the way first: one of them may itself be numbered 0, 1 or 2.
    high = [os.dup(descriptor) for descriptor in descriptors]
    while min(high) < 3:
        high = [os.dup(descriptor) for descriptor in high]
    for target, descriptor in enumerate(high):
        os.dup2(descriptor, target)


def _offer_to_the_memory_killer() -> None:
    try:
        file = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(file, OOM_SCORE_OF_COMMANDS)
    except OSError:
        pass


def _is_decided(connection: socket.socket) -> bool:
    poller = select.poll()
    poller.register(connection, select.POLLOUT)
    return bool(poller.poll(0))


def _kill_quietly(kill: Any, target: int, number: int) -> bool:
    try:
        kill(target, number)
    except OSError:
        return False
    return True
