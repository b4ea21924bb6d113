"""The switchboard of one sandbox: takes requests from many clients to PID 1, and brings each answer to who asked.

A client that closes, or does not read, takes nothing down with it. Part of the keeper: standard library only.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from sandboxes.local import groups, launch, wire
from sandboxes.local.guard import Guard

SOCKET_NAME = "keeper.sock"
MAX_CLIENTS = 64
MAX_WAITING_FOR_CLIENT = 512  # answers a client may leave unread before it is dropped
MAX_WAITING_FOR_PID1 = 1024
MESSAGES_PER_TURN = 32  # read from one client before the others have their turn
FIRST_CLIENT_S = 15.0  # so long a sandbox that is tied to its clients waits for the first of them


def log(event: str, **facts: Any) -> None:
    """One line of JSON in ``keeper.log``; a full disk must not end a sandbox."""
    line = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": event, **facts}
    try:
        os.write(2, (json.dumps(line) + "\n").encode())
    except OSError:
        pass


def listening_socket() -> socket.socket:
    """Where clients connect, made anew in the current directory."""
    # Relative to the engine directory: the full path may be longer than a socket's address can be.
    try:
        os.unlink(SOCKET_NAME)
    except FileNotFoundError:
        pass
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    before = os.umask(0o177)
    listener.bind(SOCKET_NAME)
    os.umask(before)
    listener.listen(64)
    listener.setblocking(False)
    return listener


class Client:
    """One connection. ``commands`` maps the client's own ids of what it started to the keeper's."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.outbox = wire.Outbox(connection)
        self.commands: dict[int, int] = {}
        self.is_open = True


class Switchboard:
    def __init__(
        self, sandbox: launch.Sandbox, listener: socket.socket, state: dict[str, Any], plan: launch.Plan
    ) -> None:
        self._sandbox = sandbox
        self._lock = plan["lock"]
        self._notices, theirs = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._noticed: dict[str, dict[str, Any]] = {}  # the last word on each limit that was reached
        self._unread = b""
        self._guard_thread = Guard(sandbox.init, plan["limits"], sandbox.groups, plan["writable"], theirs)
        self._state = state
        self._listener = listener
        self._control = sandbox.control
        self._to_pid1 = wire.Outbox(sandbox.control)
        self._clients: dict[int, Client] = {}
        self._asked: dict[int, tuple[Client, int]] = {}  # our id -> who asked, under which id
        self._last_id = 0
        self._listeners_with: Client | None = None
        self._is_tied, self._was_told = plan["tied"], False
        self._kill_at: float | None = time.monotonic() + FIRST_CLIENT_S if self._is_tied else None

    def serve(self) -> None:
        log("started", init=self._sandbox.init, layers=self._sandbox.layers)
        self._control.setblocking(False)
        self._guard_thread.start()
        while True:
            for descriptor, events in self._poll():
                self._attend(descriptor, events)
            if self._kill_at is not None and time.monotonic() >= self._kill_at:
                self.end("told to stop" if self._was_told else "nobody came for it")

    def _poll(self) -> list[tuple[int, int]]:
        poller = select.poll()
        readable = select.POLLIN
        poller.register(self._sandbox.init_pidfd, readable)
        poller.register(self._listener, readable)
        poller.register(self._notices, readable)
        if self._sandbox.errors is not None:
            poller.register(self._sandbox.errors, readable)
        poller.register(self._control, readable | (select.POLLOUT if len(self._to_pid1) else 0))
        for descriptor, client in self._clients.items():
            # While PID 1 takes nothing, nothing more is read for it: the client's own buffer fills up instead.
            wanted = readable if len(self._to_pid1) < MAX_WAITING_FOR_PID1 else 0
            poller.register(descriptor, wanted | (select.POLLOUT if len(client.outbox) else 0))
        left = None if self._kill_at is None else max(0.0, self._kill_at - time.monotonic()) * 1000
        return poller.poll(left)

    def _attend(self, descriptor: int, events: int) -> None:
        if descriptor == self._sandbox.init_pidfd:
            self._attend_pid1()  # how its last command ended may be told and not yet read
            self.end("the sandbox ended")
        elif descriptor == self._listener.fileno():
            self._accept()
        elif descriptor == self._sandbox.errors:
            self._copy_errors()
        elif descriptor == self._notices:
            self._pass_notices_on()
        elif descriptor == self._control.fileno():
            self._attend_pid1()
        elif (client := self._clients.get(descriptor)) is not None:
            self._attend_client(client, events)

    def _copy_errors(self) -> None:
        """PID 1's own complaints into the log. The agent cannot write here, yet a bound is kept."""
        if self._sandbox.errors is None:
            return
        data = os.read(self._sandbox.errors, 4096)
        if not data:
            os.close(self._sandbox.errors)
            self._sandbox.errors = None
        elif self._sandbox.error_budget > 0:
            self._sandbox.error_budget -= len(data)
            log("pid1", words=data.decode(errors="replace"))

    def _pass_notices_on(self) -> None:
        """What the guard noticed, to everybody who is connected now; who comes later hears it with the hello."""
        *lines, self._unread = (self._unread + os.read(self._notices, 64 * 1024)).split(b"\n")
        for notice in map(json.loads, lines):
            log("limit", **notice)
            self._noticed[notice["limit"]] = notice
            for client in list(self._clients.values()):
                self._tell(client, {"op": "limit", **notice})

    # Clients

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # gone again, or no descriptor left for it: it will see the end of the connection
        if len(self._clients) >= MAX_CLIENTS or _uid_of(connection) not in (os.geteuid(), 0):
            connection.close()
            return
        connection.setblocking(False)
        client = Client(connection)
        self._clients[connection.fileno()] = client
        if self._is_tied and not self._was_told:
            self._kill_at = None
        hello = {
            "op": "hello",
            **{name: self._state[name] for name in ("version", "keeper", "init", "layers")},
            "ports": list(self._sandbox.listeners),
            "limits": list(self._noticed.values()),
        }
        self._tell(client, hello)

    def _attend_client(self, client: Client, events: int) -> None:
        try:
            if events & select.POLLHUP and not events & select.POLLIN:
                self._drop(client)  # gone while nothing was read for it
            if events & select.POLLOUT:
                client.outbox.flush()
            for _ in range(MESSAGES_PER_TURN):
                if not client.is_open or len(self._to_pid1) >= MAX_WAITING_FOR_PID1:
                    return
                message, descriptors = wire.receive(client.connection)
                if message is None:
                    self._drop(client)
                    return
                self._obey(client, message, descriptors)
        except BlockingIOError:
            return
        except (OSError, wire.Malformed, KeyError, TypeError, ValueError) as problem:
            log("client dropped", problem=f"{type(problem).__name__}: {problem}")
            self._drop(client)

    def _drop(self, client: Client) -> None:
        if not client.is_open:
            return
        client.is_open = False
        del self._clients[client.connection.fileno()]
        client.outbox.close()
        client.connection.close()
        if self._listeners_with is client:
            self._listeners_with = None
        if self._is_tied and not self._clients:
            self.end("its last client left")

    def _tell(self, client: Client, message: dict[str, Any], descriptors: Iterable[int] = ()) -> None:
        """Takes the descriptors over, whatever happens to the client."""
        if not client.is_open:
            wire.close_all(descriptors)
            return
        try:
            client.outbox.put(message, descriptors)
        except OSError:
            self._drop(client)
            return
        if len(client.outbox) > MAX_WAITING_FOR_CLIENT:
            log("client dropped", problem="it does not read its answers")
            self._drop(client)

    # Requests

    def _obey(self, client: Client, message: dict[str, Any], descriptors: list[int]) -> None:
        operation = message["op"]
        handler: Callable[[Client, int, dict[str, Any]], dict[str, Any] | None] | None
        handler = {
            "exec": self._exec,
            "dial": self._dial,
            "signal": self._signal,
            "guard": self._guard,
            "listen": self._listen,
            "stop": self._stop,
        }.get(operation)
        forwarded = None
        try:
            if handler is None:
                raise ValueError(f"unknown request {operation!r}")
            forwarded = handler(client, _whole_number(message["id"], 0, 1 << 62), message)
        finally:
            if forwarded is None:
                wire.close_all(descriptors)
        if forwarded is not None:
            self._to_pid1.put(forwarded, descriptors)

    def _register(self, client: Client, client_id: int) -> int:
        self._last_id += 1
        self._asked[self._last_id] = (client, client_id)
        return self._last_id

    def _exec(self, client: Client, client_id: int, message: dict[str, Any]) -> dict[str, Any]:
        argv, env, cwd = message["argv"], message.get("env") or {}, message.get("cwd")
        if not (argv and _all_texts(argv) and isinstance(env, dict) and _all_texts([*env, *env.values()])):
            raise ValueError("exec needs a list of texts and a mapping of texts")
        if cwd is not None and not isinstance(cwd, str):
            raise ValueError("cwd must be a text")
        if client_id in client.commands:
            raise ValueError("an id was used twice")
        our_id = client.commands[client_id] = self._register(client, client_id)
        return {"op": "exec", "id": our_id, "argv": argv, "env": env, "cwd": cwd}

    def _dial(self, client: Client, client_id: int, message: dict[str, Any]) -> dict[str, Any]:
        port = _whole_number(message["port"], 1, 65535)
        return {"op": "dial", "id": self._register(client, client_id), "port": port}

    def _signal(self, client: Client, client_id: int, message: dict[str, Any]) -> dict[str, Any] | None:
        number = _whole_number(message["signal"], 1, 64)
        our_id = client.commands.get(client_id)
        return None if our_id is None else {"op": "signal", "id": our_id, "signal": number}

    def _guard(self, client: Client, client_id: int, message: dict[str, Any]) -> dict[str, Any]:
        # A command that has ended meanwhile has no number any more: PID 1 knows none of 0, and ends.
        return {"op": "guard", "id": client.commands.get(client_id, 0)}

    def _listen(self, client: Client, client_id: int, message: dict[str, Any]) -> None:
        if self._listeners_with not in (None, client):
            self._tell(client, {"op": "listen", "id": client_id, "busy": True})
            return
        self._listeners_with = client
        copies = [os.dup(descriptor) for descriptor in self._sandbox.listeners.values()]
        ports = list(self._sandbox.listeners)
        self._tell(client, {"op": "listen", "id": client_id, "busy": False, "ports": ports}, copies)

    def _stop(self, client: Client, client_id: int, message: dict[str, Any]) -> dict[str, Any] | None:
        grace_s = message["grace_s"]
        if not isinstance(grace_s, (int, float)) or not 0 <= grace_s <= 60:
            raise ValueError("grace_s must lie between 0 and 60")
        self._was_told = True
        deadline = time.monotonic() + grace_s
        self._kill_at = deadline if self._kill_at is None else min(self._kill_at, deadline)
        return {"op": "terminate"} if grace_s else None

    # Answers

    def _attend_pid1(self) -> None:
        try:
            self._to_pid1.flush()
            while True:
                message, descriptors = wire.receive(self._control)
                if message is None:
                    self.end("PID 1 closed its control socket")
                self._route(message, descriptors)
        except BlockingIOError:
            return
        except (OSError, wire.Malformed, KeyError, TypeError, ValueError) as problem:
            self.end(f"PID 1 does not make sense: {type(problem).__name__}: {problem}")

    def _route(self, message: dict[str, Any], descriptors: list[int]) -> None:
        if message["op"] == "guarded":
            self._guard_thread.runtime = message["pid"]
            return
        client, client_id = self._asked.pop(message["id"])
        if message["op"] == "exit":
            client.commands.pop(client_id, None)
        self._tell(client, {**message, "id": client_id}, descriptors)

    # The end

    def end(self, reason: str) -> NoReturn:
        """End every process of the sandbox, then this one. Clients see their connections close after that."""
        for kill, process in ((os.kill, self._sandbox.bwrap), (signal.pidfd_send_signal, self._sandbox.init_pidfd)):
            try:
                kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        poller = select.poll()
        poller.register(self._sandbox.init_pidfd, select.POLLIN)
        is_gone = bool(poller.poll(10_000))
        if is_gone:
            launch.reap_all()
            groups.remove(self._state["groups"])
        log("ended", reason=reason, clean=is_gone)
        try:
            os.unlink(SOCKET_NAME)
        except OSError:
            pass
        os.close(self._lock)  # before anybody sees a connection close: they may start again at once
        os._exit(0)


def _uid_of(connection: socket.socket) -> int:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[4:8], sys.byteorder)


def _whole_number(value: Any, lowest: int, highest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise ValueError(f"{value!r} is not a whole number between {lowest} and {highest}")
    return value


def _all_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)
