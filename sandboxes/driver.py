"""What a sandbox driver promises: frozen values in, a handle out, no rows and no settings.

A driver starts one sandbox per agent, finds it again after a restart from the JSON it handed out, and
attaches to it: ``dial`` a port inside, ``exec`` a command inside, take the listening sockets that were
bound inside the sandbox's own network namespace. See ``docs/writing-a-driver.md``.
"""

from __future__ import annotations

import abc
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.errors import LogosError


class SandboxError(LogosError):
    """A sandbox could not be started, reached or kept; ``action`` holds the exact fix when one is known."""


@dataclass(frozen=True, slots=True)
class Mount:
    """One host path shown inside. ``target`` lies at the root of the sandbox's tree, below a read-only
    mount, or directly in a writable one (then the leaf is checked before every start)."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What one sandbox may use, with all that runs in it. Sizes in MiB. ``cpu_percent``: 100 is one processor, 0 no
    bound; ``disk_mb``: its writable mounts together, 0 no bound; ``file_mb``: the largest single file."""

    memory_mb: int = 4096
    cpu_percent: int = 150
    processes: int = 400
    disk_mb: int = 10_240
    open_files: int = 4096
    file_mb: int = 1024
    tmp_mb: int = 512
    shm_mb: int = 64


@dataclass(frozen=True, slots=True)
class LimitNotice:
    """A limit was reached (``is_over``), or what was over it is below it again; ``sentence`` says what was done."""

    limit: str
    sentence: str
    is_over: bool = True
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """Everything a driver may know about the agent it hosts.

    ``root`` is the agent's own directory on the host; the driver makes and owns ``engine/`` in it (keeper
    socket, spec, log) and the writable mounts' sources. ``files`` are small texts placed read-only inside
    (path to content). ``empty_dirs`` are read-only empty directories laid over the agent's own.
    ``listen`` are TCP ports bound on the sandbox's 127.0.0.1 whose descriptors the host takes.
    ``uid`` is the host user the sandbox runs as when Logos itself runs as root; None keeps our own.
    ``tied``: it ends with the last attachment, and so with the process that started it.
    """

    name: str
    root: Path
    mounts: tuple[Mount, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    empty_dirs: tuple[str, ...] = ()
    listen: tuple[int, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = Limits()
    uid: int | None = None
    working_directory: str = "/workspace"
    tied: bool = False


@dataclass(frozen=True, slots=True)
class SandboxHandle:
    """What finds a started sandbox again. ``state`` is opaque JSON to us; ``layers`` are the walls that
    are really up, for instance ``("userns", "mnt", "pid", "net", "seccomp", "landlock:7")``."""

    state: dict[str, Any]
    layers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Survivor:
    """A sandbox that runs, whether or not anybody remembers it. ``name`` is that of its root directory."""

    name: str
    state: dict[str, Any]
    age_s: float


@dataclass(frozen=True, slots=True)
class Usage:
    """What a running sandbox uses: processor time since it began, memory with shared pages counted in part."""

    cpu_s: float
    memory_mb: float
    processes: int


@dataclass(frozen=True, slots=True)
class Check:
    """One line of ``manage.py doctor``: what was looked at, whether it works, and the exact fix if not."""

    name: str
    ok: bool
    detail: str = ""
    fix: str = ""
    mandatory: bool = True


@dataclass(frozen=True, slots=True)
class Program:
    """Who opened a connection inside: the program's path there and the SHA-256 of its file; "" what cannot be told."""

    path: str = ""
    sha256: str = ""


# The programs that hold each socket, in a driver's own terms.
Sockets = Mapping[str, frozenset[str]]


class Attachment(abc.ABC):
    """A live connection to one running sandbox, usable from one asyncio loop. Closing it ends nothing inside.

    Every method raises ``SandboxError(reason="sandbox_disconnected")`` once the sandbox is gone.
    """

    @abc.abstractmethod
    async def dial(self, port: int) -> socket.socket:
        """A connected, non-blocking TCP socket to ``127.0.0.1:port`` inside. ConnectionRefusedError if nobody listens."""

    @abc.abstractmethod
    async def exec(
        self,
        argv: list[str],
        *,
        stdio: tuple[int, int, int],
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> Execution:
        """Start ``argv`` inside with these three host descriptors as stdin, stdout, stderr (the caller keeps
        and closes its own copies). A command that cannot be started ends with code 127, one refused by the
        process limit with 126."""

    @abc.abstractmethod
    async def listeners(self) -> dict[int, socket.socket]:
        """The listening sockets bound inside, by port. One holder at a time: raises SandboxError
        (reason="sandbox_busy") while another attachment has them. Given back by ``close``."""

    async def sockets(self) -> Sockets:
        """Which programs inside hold which sockets now; for ``program``, when a connection has been accepted."""
        return {}

    async def program(self, peer: tuple[str, int], own: tuple[str, int], before: Sockets) -> Program:
        """Which program inside opened the connection from ``peer`` to the listener's ``own`` address, and held it
        ``before``. A driver that cannot tell for certain says so; rules that name programs then allow nothing."""
        return Program()

    @abc.abstractmethod
    async def wait_gone(self) -> None:
        """Return when the sandbox has ended."""

    async def notices(self) -> AsyncIterator[LimitNotice]:
        """What was noticed about its limits: first the last word on each that was reached before, then whatever
        happens, until it is gone. A driver that enforces none tells none."""
        nothing: tuple[LimitNotice, ...] = ()
        await self.wait_gone()
        for notice in nothing:
            yield notice

    @abc.abstractmethod
    async def close(self) -> None:
        """Give back the descriptors. The sandbox and what runs in it go on."""


class Execution(abc.ABC):
    """One command started inside."""

    @abc.abstractmethod
    async def wait(self) -> int:
        """The exit code; negative for a signal. SandboxError if the sandbox goes first."""

    @abc.abstractmethod
    async def signal(self, number: int) -> None:
        """Send a signal to the command's whole process group. Signalling what has ended is not an error."""

    @abc.abstractmethod
    async def guard(self) -> None:
        """From now on the sandbox ends when this command ends, and at once if it has ended: whatever else runs
        inside could otherwise take its place and answer in its name."""


class SandboxDriver(abc.ABC):
    """Starts, finds, watches and stops one sandbox per agent."""

    name: str
    # What its running sandboxes speak; with another one they are started anew.
    protocol = ""
    isolates: frozenset[str] = frozenset()
    # Do agents' files lie below their root on this host, so that they can be copied and removed there?
    keeps_files_on_host = False

    @abc.abstractmethod
    async def start(self, spec: SandboxSpec) -> SandboxHandle:
        """Return once the sandbox can be attached to. Starting one that runs raises SandboxError
        (reason="sandbox_running"). Raise SandboxError with a sentence and a fix if it will not start;
        then nothing is left behind."""

    @abc.abstractmethod
    async def poll(self, state: Mapping[str, Any]) -> int | None:
        """None while running, the exit status (0 if unknown) once it is not."""

    @abc.abstractmethod
    async def stop(self, state: Mapping[str, Any], *, now: bool = False) -> None:
        """Return when every process of it is gone. Stopping what is already gone is not an error."""

    @abc.abstractmethod
    async def attach(self, state: Mapping[str, Any]) -> Attachment:
        """Connect to a running sandbox; several attachments may exist at once, from several processes."""

    @abc.abstractmethod
    async def doctor(self) -> list[Check]:
        """What this driver needs from the machine, whether it is there, and the exact fix if it is not."""

    async def find(self, root: Path) -> SandboxHandle | None:
        """The sandbox that runs for the agent in ``root`` although nobody may remember its state: the process
        that started it can die before the state is stored. None if there is none, or a driver cannot tell."""
        return None

    async def survivors(self, agents: Path) -> list[Survivor]:
        """Every sandbox with something still running whose root lies directly in ``agents``, and no other."""
        return []

    async def usage(self, state: Mapping[str, Any]) -> Usage | None:
        """What the sandbox uses right now; None when it has ended or a driver cannot tell."""
        return None

    def versions(self) -> dict[str, str]:
        """What a sandbox started now is made with, by name: for people who look for a difference."""
        return {}

    def is_of(self, state: Mapping[str, Any], root: Path) -> bool:
        """Does this state belong to the agent in ``root``? A database restored beside its original holds the
        original's states, and nothing of the original may be touched."""
        return True

    async def progress(self, spec: SandboxSpec) -> AsyncIterator[str]:
        """Sentences for the person who waits for ``start``."""
        yield "Preparing the sandbox"
