"""The host's side of the escape suite: what attempts could reach if a wall were missing, and what was reached."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import secrets
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sandboxes.driver import Limits
from tests.sandboxes.local_specs import UID

LIMITS = Limits(
    memory_mb=256, processes=100, disk_mb=256, cpu_percent=100, file_mb=32, tmp_mb=32, shm_mb=8, open_files=256
)
_libc = ctypes.CDLL(None, use_errno=True)


class Baits:
    """A secret, listeners, a process, shared memory, directories: each open to anybody on this machine."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.marker = f"bait{secrets.token_hex(4)}"
        self.secret = f"{self.marker}-{secrets.token_hex(16)}"
        self.reached: list[str] = []  # what was sent to a listener
        self._sockets: list[socket.socket] = []

    def lay(self) -> dict[str, Any]:
        """Lay them out; what the suite is told of them. The secret itself is not in it."""
        token = self.marker
        (self.directory / "secret").write_text(self.secret)
        for name, mode in (("open", 0o777), ("other", 0o755)):
            (self.directory / name).mkdir()
            (self.directory / name).chmod(mode)
        (self.directory / "other/notes").write_text(self.secret)
        self.shared_file, self.tmp_file = Path(f"/dev/shm/{token}"), Path(f"/tmp/{token}")
        for path in (self.shared_file, self.tmp_file):
            path.write_text(self.secret)
            path.chmod(0o666)
        self.shared_key = int(token[4:8], 16) + 1
        self.shared_memory = _libc.shmget(self.shared_key, 4096, 0o1666)
        user = {"user": UID, "group": UID, "extra_groups": []} if os.geteuid() == 0 else {}
        self.process = subprocess.Popen(["sleep", "86399"], env={"BAIT": self.secret}, **user)  # type: ignore[call-overload]
        return {
            "secret_file": str(self.directory / "secret"), "open_directory": str(self.directory / "open"),
            "other_agent": str(self.directory / "other"), "host_pid": self.process.pid, "marker": token,
            "abstract_socket": token, "unix_socket": str(self.directory / "bait.sock"), "shared_key": self.shared_key,
            "shared_file": str(self.shared_file), "tmp_file": str(self.tmp_file), "host_address": _own_address(),
            "tcp_port": self._listen(socket.AF_INET6, ("::", 0)), "udp_port": self._listen(socket.AF_INET, ("", 0), True),
            **self._unix_listeners(token),
            **{name: getattr(LIMITS, name) for name in ("memory_mb", "processes", "open_files", "file_mb", "tmp_mb",
                                                        "shm_mb", "cpu_percent")},
        }  # fmt: skip

    def _unix_listeners(self, token: str) -> dict[str, Any]:
        self._listen(socket.AF_UNIX, "\0" + token)
        self._listen(socket.AF_UNIX, str(self.directory / "bait.sock"))
        (self.directory / "bait.sock").chmod(0o777)
        return {}

    def _listen(self, family: int, address: Any, datagrams: bool = False) -> int:
        listener = socket.socket(family, socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        self._sockets.append(listener)
        if not datagrams:
            listener.listen(64)
        threading.Thread(target=self._hear, args=(listener, datagrams), daemon=True).start()
        return int(listener.getsockname()[1]) if family != socket.AF_UNIX else 0

    def _hear(self, listener: socket.socket, datagrams: bool) -> None:
        with contextlib.suppress(OSError):
            while True:
                if datagrams:
                    said, peer = listener.recvfrom(4096)
                    if not said:  # shut down
                        return
                    listener.sendto(b"heard", peer)
                else:
                    connection, _ = listener.accept()
                    with connection:
                        connection.settimeout(1)
                        said = b""
                        with contextlib.suppress(OSError):
                            said = connection.recv(4096)
                self.reached.append(said.decode(errors="replace").strip())

    def evidence(self) -> list[str]:
        """What the host can see that should not be there, whatever the attempts say of themselves."""
        found = [f"heard {said!r}" for said in self.reached]
        found += [f"made {path}" for path in (self.directory / "open").iterdir()]
        if self.process.poll() is not None:
            found.append("a process of the host was ended")
        elif os.getpriority(os.PRIO_PROCESS, self.process.pid) != os.getpriority(os.PRIO_PROCESS, 0):
            found.append("a process of the host was slowed")
        for path in (self.shared_file, self.tmp_file, self.directory / "secret", self.directory / "other/notes"):
            if path.read_text() != self.secret:
                found.append(f"changed {path}")
        return found

    def take_up(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self.process.kill()
        self.process.wait()
        _libc.shmctl(self.shared_memory, 0, None)
        for path in (self.shared_file, self.tmp_file):
            path.unlink(missing_ok=True)


def _own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])
    return "127.0.0.1"


def odd_files(root: Path) -> Iterator[str]:
    """Set-id files, devices and what belongs to somebody else, in a directory an agent had to itself."""
    for directory, _, names in os.walk(root):
        for name in names:
            mode = os.lstat(os.path.join(directory, name)).st_mode
            if mode & 0o6000 or mode & 0o170000 in (0o020000, 0o060000):
                yield f"{directory}/{name} {mode:o}"


@contextlib.contextmanager
def laid(directory: Path) -> Iterator[tuple[Baits, dict[str, Any]]]:
    baits = Baits(directory)
    before = os.environ.get("LOGOS_TEST_BAIT")
    try:
        told = baits.lay()
        os.environ["LOGOS_TEST_BAIT"] = baits.secret
        yield baits, told
    finally:
        os.environ.pop("LOGOS_TEST_BAIT") if before is None else None
        baits.take_up()
        shutil.rmtree(directory, ignore_errors=True)


async def silent_server() -> asyncio.Server:
    return await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
