"""Start bubblewrap for one sandbox and wait until its PID 1 has locked itself down. Part of the keeper.

Standard library only.
"""

from __future__ import annotations

import json
import os
import select
import socket
import time
from dataclasses import dataclass
from typing import Any, NoReturn, TypedDict

from sandboxes.local import groups, wire

START_TIMEOUT_S = 20.0  # a cold disk and a busy machine; a warm start takes a twentieth of a second
_STDERR = 2
NICE = 5  # without a control group for processor time: the host's own work comes first

# What a namespace is called among the layers; all of these must differ from ours. The cgroup one is a bonus.
_REQUIRED_NAMESPACES = {"user": "userns", "mnt": "mnt", "pid": "pid", "net": "net", "ipc": "ipc", "uts": "uts"}
_OTHER_NAMESPACES = {"cgroup": "cgroupns"}


class Plan(TypedDict):
    """What the driver tells the keeper. Descriptors are inherited under the numbers given."""

    bwrap: str
    arguments: int  # descriptor of bubblewrap's options, NUL separated
    data: list[int]  # descriptors those options name
    command: list[str]  # PID 1; the number of its control descriptor is appended
    pid1: dict[str, Any]
    uid: int | None
    engine: str
    lock: int
    limits: groups.Wanted
    use_groups: bool
    writable: list[str]  # directories of the host that count against its limit on disk
    tied: bool  # ends with its last client


@dataclass
class Sandbox:
    bwrap: int
    init: int
    init_pidfd: int
    control: socket.socket
    listeners: dict[int, int]  # port -> descriptor
    layers: list[str]
    groups: list[groups.Group]
    errors: int | None  # what PID 1 writes to its standard error
    error_budget: int = 64 * 1024


class Failed(Exception):
    """The sandbox did not come up, and nothing of it is left."""

    def __init__(self, words: str, status: str = "") -> None:
        super().__init__(words)
        self.words = words
        self.status = status


def launch(plan: Plan, starter: socket.socket) -> Sandbox:
    """Failed with bubblewrap's own words if it does not come up, or if the starter goes away meanwhile."""
    control, inner_control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    inner_control.set_inheritable(True)
    info, inner_info = os.pipe()
    errors, inner_errors = os.pipe()
    os.set_inheritable(inner_info, True)
    options = ["--info-fd", str(inner_info), "--args", str(plan["arguments"])]
    argv = [plan["bwrap"], *options, "--", *plan["command"], str(inner_control.fileno())]
    made = groups.make(plan["engine"], plan["limits"]) if plan["use_groups"] else []
    bwrap = os.fork()
    if bwrap == 0:
        _become_bwrap(argv, plan["uid"], inner_errors, made)
    _lead_a_group(bwrap)
    inner_control.close()
    for descriptor in (inner_info, inner_errors, plan["arguments"], *plan["data"]):
        os.close(descriptor)
    try:
        wire.Outbox(control).put(plan["pid1"])
        message, descriptors = _await_ready(control, starter, errors)
        init = _child_pid(info)
        layers = [*_layers(message, plan["uid"]), *_limits(made)]
    except Failed as problem:
        status = _end(bwrap, made)
        raise Failed(problem.words + _read_all(errors), status) from problem
    except (OSError, ValueError, KeyError) as problem:
        status = _end(bwrap, made)
        raise Failed(_read_all(errors) or f"{type(problem).__name__}: {problem}", status) from problem
    os.set_blocking(errors, False)
    ports = plan["pid1"]["listen"]
    return Sandbox(
        bwrap=bwrap,
        init=init,
        init_pidfd=os.pidfd_open(init),
        control=control,
        listeners=dict(zip(ports, descriptors, strict=True)),
        layers=layers,
        groups=made,
        errors=errors,
    )


def _lead_a_group(pid: int) -> None:
    """So that bubblewrap can be killed with the child it has not yet tied to its own life."""
    try:
        os.setpgid(pid, pid)
    except OSError:
        pass  # it has done so itself, and may be bubblewrap already


def _become_bwrap(argv: list[str], uid: int | None, errors: int, made: list[groups.Group]) -> NoReturn:
    try:
        _lead_a_group(os.getpid())
        null = os.open("/dev/null", os.O_RDWR)
        for target, source in enumerate((null, null, errors)):
            os.dup2(source, target)
        os.chdir("/")
        os.umask(0o022)
        groups.enter(made)
        if not any("cpu" in group.resources for group in made):
            os.nice(NICE)
        if uid is not None:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        os.execve(argv[0], argv, {})  # noqa: S606
    except BaseException as problem:
        os.write(_STDERR, f"{argv[0]}: {problem}\n".encode())
    finally:
        os._exit(127)


def _await_ready(control: socket.socket, starter: socket.socket, errors: int) -> tuple[dict[str, Any], list[int]]:
    poller = select.poll()
    poller.register(control, select.POLLIN)
    poller.register(starter, select.POLLIN)
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        found = dict(poller.poll(max(0.0, deadline - time.monotonic()) * 1000))
        if not found:
            raise Failed(f"nothing was heard for {START_TIMEOUT_S:.0f} s\n")
        if control.fileno() in found:
            message, descriptors = wire.receive(control)
            if message is None:
                raise Failed("")
            if message["op"] != "ready":
                raise Failed(f"{message.get('error')}\n")
            return message, descriptors
        if starter.fileno() in found:
            raise Failed("the starter gave up\n")


def _child_pid(info: int) -> int:
    with os.fdopen(info) as file:
        pid = json.load(file)["child-pid"]
    if not isinstance(pid, int):
        raise ValueError("bubblewrap did not name its child")
    return pid


def _layers(ready: dict[str, Any], uid: int | None) -> list[str]:
    """The walls that are up: namespaces that differ from ours, and what PID 1 has proved. Failed if one is not."""
    layers = []
    for kind, name in {**_REQUIRED_NAMESPACES, **_OTHER_NAMESPACES}.items():
        if ready["namespaces"][kind] != os.readlink(f"/proc/self/ns/{kind}"):
            layers.append(name)
        elif kind in _REQUIRED_NAMESPACES:
            raise Failed(f"WallMissing: the {kind} namespace is the host's\n")
    return [*layers, *ready["layers"], *(["uid"] if uid is not None else [])]


def _limits(made: list[groups.Group]) -> list[str]:
    """What limits each resource: a control group, or else something weaker."""
    found = {"memory": "guard", "processes": "rlimit", "cpu": "nice", "disk": "guard"}
    found |= {resource: f"cgroup{group.version}" for group in made for resource in group.resources}
    return [f"{resource}:{by}" for resource, by in found.items()]


def _end(bwrap: int, made: list[groups.Group]) -> str:
    """Kill and reap; every process of the sandbox dies with it."""
    try:
        os.killpg(bwrap, 9)
    except ProcessLookupError:
        pass
    code = os.waitstatus_to_exitcode(os.waitpid(bwrap, 0)[1])
    reap_all()
    groups.remove([str(group.directory) for group in made])
    return f"exit {code}" if code >= 0 else f"signal {-code}"


def reap_all() -> None:
    """Wait for all that was killed. PID 1 is our child too (we are a subreaper), gone only after all inside."""
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _read_all(errors: int) -> str:
    os.set_blocking(errors, False)
    try:
        return os.read(errors, 64 * 1024).decode(errors="replace")
    except BlockingIOError:
        return ""
