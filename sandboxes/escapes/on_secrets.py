"""Attempts on credentials and on resources: to find what is the host's, and to use more than its share."""
# ruff: noqa: S108 (attempts)

from __future__ import annotations

import ctypes
import glob
import os
import re
import resource
import socket
import threading
import time
from typing import Any

from sandboxes.escapes.attempt import attempt, each, is_x86, syscall

HOMES = ("~", "/root", "/home/agent", "/workspace", "/hermes")
KEPT = (".ssh/id_rsa", ".ssh/id_ed25519", ".aws/credentials", ".netrc", ".docker/config.json", ".kube/config",
        ".config/gcloud/credentials.db", ".git-credentials", ".pypirc", ".npmrc", ".gnupg", ".config/gh/hosts.yml")  # fmt: skip
PLACES = ("/run/secrets", "/var/run/secrets/kubernetes.io", "/etc/kubernetes", "/etc/ssl/private", "/etc/letsencrypt",
          "/var/lib/cloud", "/etc/logos", "/var/lib/logos")  # fmt: skip
MiB = 1 << 20


def _marked(paths: Any, marker: str) -> list[str]:
    """Which of these can be read and hold the host's mark. Only its first half is known in here, or one would find
    what one is looking with."""
    found = []
    for path in paths:
        try:
            if not os.path.isfile(path):  # a pipe would be waited for
                continue
            with open(path, "rb") as file:
                if re.search(re.escape(marker[:-1]).encode() + b"[" + marker[-1].encode() + b"]", file.read(4 * MiB)):
                    found.append(path)
        except OSError:
            continue
    return found


each("credentials", "find the host's secret in {}",
     ("/proc/[0-9]*/environ", "/proc/[0-9]*/cmdline", "/etc/*", "/run/*/*", "/tmp/*", "/dev/shm/*", "/home/agent/*",
      "/hermes/*", "/proc/[0-9]*/fd/*", "/proc/[0-9]*/mountinfo"),
     lambda bait, pattern: _marked(glob.glob(pattern), bait["marker"]))  # fmt: skip
each("credentials", "find {}", KEPT,
     lambda bait, name: [p for home in HOMES if os.path.exists(p := f"{os.path.expanduser(home)}/{name}")])  # fmt: skip
each("credentials", "find {}", PLACES, lambda bait, path: os.path.exists(path))


@attempt("credentials", "find a key in its environment")
def _(bait: dict[str, Any]) -> object:
    return [name for name in os.environ if re.search("KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL|LOGOS", name)]


@attempt("credentials", "find the environment the host's process had")
def _(bait: dict[str, Any]) -> object:
    return bait["marker"] in "".join(os.environ.values())


@attempt("credentials", "read the session's keyring")
def _(bait: dict[str, Any]) -> object:
    try:
        return syscall(250 if is_x86() else 219, 11, -3, ctypes.create_string_buffer(64), 64) >= 0
    except OSError as problem:
        return None if problem.errno == 1 else f"the kernel answered {problem.strerror}"


@attempt("credentials", "read the list of keys")
def _(bait: dict[str, Any]) -> object:
    with open("/proc/keys") as file:
        return [line for line in file if "_ses" in line]


@attempt("credentials", "read how the sandbox was started")
def _(bait: dict[str, Any]) -> object:
    with open("/proc/1/cmdline", "rb") as file:
        words = file.read()
    return bait["marker"].encode() in words or b"--bind" in words


# Resources: what is used is given back at once; the limits are in the baits.


@attempt("resources", "hold more memory than the sandbox may, in one process")
def _(bait: dict[str, Any]) -> object:
    held = [bytearray(16 * MiB) for _ in range(bait["memory_mb"] // 16 + 8)]
    return f"{len(held) * 16} MiB"


@attempt("resources", "hold more memory than the sandbox may, in many processes")
def _(bait: dict[str, Any]) -> object:
    share = bait["memory_mb"] // 4
    children = []
    for _ in range(6):
        pid = os.fork()
        if pid == 0:
            held = bytearray(share * MiB)
            time.sleep(1.5)
            os._exit(0 if held else 1)
        children.append(pid)
    ended = [os.waitpid(pid, 0)[1] for pid in children]
    return all(status == 0 for status in ended) and f"{share * 6} MiB"


@attempt("resources", "start more processes than it may")
def _(bait: dict[str, Any]) -> object:
    wanted = bait["processes"] + 50
    for _ in range(wanted):
        if os.fork() == 0:
            time.sleep(3)
            os._exit(0)
    return f"{wanted} processes"


@attempt("resources", "start more threads than it may")
def _(bait: dict[str, Any]) -> object:
    for _ in range(bait["processes"] + 50):
        threading.Thread(target=time.sleep, args=(3,), daemon=True).start()
    return "started"


@attempt("resources", "open more files than it may")
def _(bait: dict[str, Any]) -> object:
    return [os.open("/dev/null", os.O_RDONLY) for _ in range(bait["open_files"] + 1)]


@attempt("resources", "open more sockets than it may")
def _(bait: dict[str, Any]) -> object:
    return [socket.socket() for _ in range(bait["open_files"] + 1)]


def _fill(path: str, size_mb: int) -> object:
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with open(path, "wb", buffering=0) as file:
            for _ in range(size_mb + 1):
                if file.write(bytes(MiB)) < MiB:
                    return None
        return f"{size_mb + 1} MiB"
    finally:
        os.unlink(path)


@attempt("resources", "write a larger file than it may")
def _(bait: dict[str, Any]) -> object:
    return _fill("/workspace/large", bait["file_mb"])


each("resources", "fill {}", (("/tmp", "tmp_mb"), ("/dev/shm", "shm_mb")),
     lambda bait, place: _fill(place[0] + "/filling", bait[place[1]]))  # fmt: skip


@attempt("resources", "fill a read-only directory's own file system")
def _(bait: dict[str, Any]) -> object:
    return _fill("/hermes/plugins/filling", 1)


@attempt("resources", "lock memory")
def _(bait: dict[str, Any]) -> object:
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(8 * MiB)
    return libc.mlock(buffer, 8 * MiB) == 0


@attempt("resources", "make message queues")
def _(bait: dict[str, Any]) -> object:
    return syscall(240 if is_x86() else 180, b"queue", os.O_CREAT | os.O_RDWR, 0o600, 0) >= 0


@attempt("resources", "leave a core dump")
def _(bait: dict[str, Any]) -> object:
    pid = os.fork()
    if pid == 0:
        os.chdir("/workspace")
        os.abort()
    status = os.waitpid(pid, 0)[1]
    return os.WCOREDUMP(status) or glob.glob("/workspace/core*")


@attempt("resources", "put itself into another control group")
def _(bait: dict[str, Any]) -> object:
    for path in glob.glob("/sys/fs/cgroup/**/cgroup.procs", recursive=True):
        with open(path, "w") as file:
            file.write("0")
        return path
    return None


@attempt("resources", "see where its control group lies on the host")
def _(bait: dict[str, Any]) -> object:
    with open("/proc/self/cgroup") as file:
        return [line.strip() for line in file if "logos" in line or line.rstrip().rpartition(":")[2].count("/") > 1]


@attempt("resources", "hold every processor's time it likes")
def _(bait: dict[str, Any]) -> object:
    if not bait.get("cpu_percent"):
        return None
    begun, children = time.monotonic(), []
    for _ in range(max(2, os.cpu_count() or 2)):
        pid = os.fork()
        if pid == 0:
            while time.monotonic() < begun + 1.5:
                pass
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    share = (used.ru_utime + used.ru_stime) / (time.monotonic() - begun) * 100
    return share > bait["cpu_percent"] * 1.4 and f"{share:.0f} %"


@attempt("resources", "delay PID 1 with connections nobody answers")
def _(bait: dict[str, Any]) -> object:
    server = socket.create_server(("127.0.0.1", 0), backlog=0)
    for _ in range(64):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(server.getsockname())
    with open("/proc/1/stat") as file:
        return file.read().rpartition(")")[2].split()[0] not in "SR"


@attempt("control", "use a good part of what it may")
def _(bait: dict[str, Any]) -> object:
    held = bytearray(bait["memory_mb"] // 4 * MiB)
    open_files = [os.open("/dev/null", os.O_RDONLY) for _ in range(bait["open_files"] // 2)]
    return len(held) and len(open_files) and _fill("/workspace/fair", bait["file_mb"] // 2)
