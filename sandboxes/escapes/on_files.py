"""Attempts on files: to read what is the host's or another agent's, and to write what is not the agent's own."""
# ruff: noqa: S103, S108 (attempts)

from __future__ import annotations

import glob
import os
import socket
import stat
from typing import Any

from sandboxes.escapes.attempt import attempt, each, is_x86, syscall

HOST = (
    "/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/ssh", "/etc/fstab", "/etc/machine-id", "/etc/crontab",
    "/etc/systemd", "/etc/docker", "/root", "/home/root", "/var", "/var/lib", "/var/log", "/var/spool/cron", "/var/run",
    "/boot", "/mnt", "/media", "/srv", "/sys", "/sys/fs/cgroup", "/sys/kernel/debug", "/lost+found", "/.dockerenv",
    "/oldroot", "/newroot", "/run/systemd", "/run/user", "/run/secrets", "/proc/kcore", "/proc/kmsg", "/dev/mem",
    "/dev/kmsg", "/dev/kvm", "/dev/fuse", "/dev/sda", "/dev/vda", "/dev/nvme0n1", "/dev/net/tun", "/dev/vsock",
    "/dev/uinput", "/dev/loop-control", "/dev/mapper/control", "/dev/vhost-vsock",
)  # fmt: skip
NOT_OURS = (
    "/x", "/usr/x", "/usr/bin/x", "/usr/lib/x", "/usr/local/bin/x", "/usr/sbin/x", "/etc/x", "/etc/passwd", "/etc/hosts",
    "/etc/resolv.conf", "/etc/ld.so.preload", "/etc/cron.d/x", "/etc/profile.d/x.sh", "/run/x", "/run/logos/x", "/dev/x",
    "/run/logos/sandboxes/local/pid1.py", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe",
    "/proc/sys/vm/overcommit_memory", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/yama/ptrace_scope",
    "/proc/sysrq-trigger", "/proc/1/mem", "/proc/1/oom_score_adj", "/proc/1/uid_map", "/proc/1/gid_map",
    "/proc/1/setgroups", "/proc/self/uid_map", "/proc/irq/default_smp_affinity", "/sys/fs/cgroup/cgroup.procs",
    "/sys/fs/cgroup/memory/release_agent", "/sys/kernel/uevent_helper",
)  # fmt: skip


def look(path: str) -> object:
    if os.path.isdir(path):
        return os.listdir(path)
    with open(path, "rb") as file:
        return file.read(64)


def put(bait: dict[str, Any], path: str) -> object:
    with open(path, "ab") as file:
        file.write(bait["mark"].encode())
    return f"written to {path}"


each("files", "read {}", HOST, lambda bait, path: look(path))


@attempt("files", "read the host's secret by its path")
def _(bait: dict[str, Any]) -> object:
    return look(bait["secret_file"])


each(
    "files",
    "read the host's secret through {}",
    ("/proc/1/root", "/proc/self/root", "/proc/self/cwd/../..", "/workspace/../..", "/usr/../..", "/proc/1/cwd",
     "/oldroot", "/newroot", "/proc/thread-self/root", "/dev/fd/../../../.."),
    lambda bait, way: look(way + bait["secret_file"]),
)  # fmt: skip


@attempt("files", "read it through a link left in the workspace")
def _(bait: dict[str, Any]) -> object:
    os.symlink(bait["secret_file"], "/workspace/to-secret")
    return look("/workspace/to-secret")


@attempt("files", "read it through a hard link")
def _(bait: dict[str, Any]) -> object:
    os.link(bait["secret_file"], "/workspace/hard")
    return look("/workspace/hard")


@attempt("files", "look into another agent's directory")
def _(bait: dict[str, Any]) -> object:
    return look(bait["other_agent"])


@attempt("files", "look into its own keeper's directory")
def _(bait: dict[str, Any]) -> object:
    return look(bait["engine"])


@attempt("files", "find another agent's or the keeper's directory beside its own")
def _(bait: dict[str, Any]) -> object:
    return [path for path in glob.glob("/*/engine") + glob.glob("/workspace/../*/engine") if os.path.exists(path)]


@attempt("files", "open a file by its handle, past the tree")
def _(bait: dict[str, Any]) -> object:
    handle = b"\x08\0\0\0\x01\0\0\0\x02\0\0\0\0\0\0\0"
    return syscall(304 if is_x86() else 265, os.open("/workspace", os.O_RDONLY), handle, 0) >= 0


@attempt("files", "use a descriptor somebody left open")
def _(bait: dict[str, Any]) -> object:
    kept = []
    for number in range(3, 1024):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if not target.startswith(("pipe:", f"/proc/{os.getpid()}/")):
            kept.append(target)
    return kept


@attempt("files", "read a block device made by itself")
def _(bait: dict[str, Any]) -> object:
    os.mknod("/workspace/disk", 0o600 | stat.S_IFBLK, os.makedev(8, 0))
    return look("/workspace/disk")


each("writes", "write {}", NOT_OURS, put)


@attempt("writes", "make a file in a directory of the host that anybody may write")
def _(bait: dict[str, Any]) -> object:
    return put(bait, bait["open_directory"] + "/made")


each(
    "writes",
    "make one there through {}",
    ("/proc/1/root", "/proc/self/root/..", "/oldroot", "/newroot", "/workspace/../.."),
    lambda bait, way: put(bait, way + bait["open_directory"] + "/made"),
)


@attempt("writes", "make one there through a link")
def _(bait: dict[str, Any]) -> object:
    os.symlink(bait["open_directory"], "/workspace/there")
    return put(bait, "/workspace/there/made")


each(
    "writes",
    "take a mount point away: {0[0]} {0[1]}",
    (("rename", "/hermes"), ("rename", "/workspace"), ("rename", "/hermes/config.yaml"), ("rename", "/hermes/plugins"),
     ("rmdir", "/hermes"), ("rmdir", "/hermes/plugins"), ("unlink", "/hermes/config.yaml"), ("rename", "/home/agent"),
     ("rename", "/usr"), ("rename", "/run/logos")),
    lambda bait, what: _take_away(*what),
)  # fmt: skip


def _take_away(verb: str, path: str) -> object:
    for target in [path + "-moved", "/workspace/moved", "/hermes/moved"] if verb == "rename" else [None]:
        try:
            os.rename(path, target) if target else getattr(os, verb)(path)
            return f"{path} {verb}d"
        except OSError:
            continue
    return None


@attempt("writes", "put a configuration of its own in place of the fixed one")
def _(bait: dict[str, Any]) -> object:
    open("/hermes/mine", "w").close()
    os.replace("/hermes/mine", "/hermes/config.yaml")
    return "replaced"


each("writes", "write the fixed {}", ("/hermes/config.yaml", "/hermes/plugins/evil.py"), put)


@attempt("writes", "leave a link where a directory will be mounted")
def _(bait: dict[str, Any]) -> object:
    os.symlink("/oldroot" + bait["open_directory"], "/evil")
    return "left"


each(
    "writes",
    "make a device in {}",
    ("/workspace", "/tmp", "/dev/shm", "/home/agent"),
    lambda bait, path: _device(path),
)


def _device(path: str) -> object:
    os.mknod(f"{path}/null", 0o666 | stat.S_IFCHR, os.makedev(1, 1))
    return "made"


@attempt("writes", "change the interpreter that runs it")
def _(bait: dict[str, Any]) -> object:
    return os.open("/proc/self/exe", os.O_WRONLY) >= 0


@attempt("writes", "give a system file to itself")
def _(bait: dict[str, Any]) -> object:
    os.chmod("/usr/bin/env", 0o777)
    return "chmod worked"


@attempt("writes", "cut a system file")
def _(bait: dict[str, Any]) -> object:
    os.truncate("/usr/bin/env", 0)
    return "cut"


@attempt("writes", "date a system file back")
def _(bait: dict[str, Any]) -> object:
    os.utime("/usr/bin/env", (0, 0))
    return "dated"


@attempt("writes", "link a system file where it may write")
def _(bait: dict[str, Any]) -> object:
    os.link("/usr/bin/env", "/workspace/env")
    return "linked"


@attempt("writes", "bind a socket outside of its directories")
def _(bait: dict[str, Any]) -> object:
    socket.socket(socket.AF_UNIX).bind("/run/x.sock")
    return "bound"


# Honest work on files

each("control", "write and read {}", ("/workspace/a", "/home/agent/a", "/hermes/a", "/tmp/a", "/dev/shm/a"),
     lambda bait, path: put(bait, path) and look(path))  # fmt: skip


@attempt("control", "rename, link and remove its own files")
def _(bait: dict[str, Any]) -> object:
    os.makedirs("/workspace/d/e")
    open("/workspace/d/e/f", "w").close()
    os.rename("/workspace/d/e/f", "/workspace/d/g")
    os.link("/workspace/d/g", "/workspace/d/h")
    os.symlink("g", "/workspace/d/i")
    os.chmod("/workspace/d/g", 0o755)
    return os.path.exists("/workspace/d/i") and os.stat("/workspace/d/g").st_nlink == 2


each("control", "read {}", ("/usr/bin/env", "/etc/passwd", "/etc/ssl/certs", "/proc/self/status", "/proc/meminfo", "/"),
     lambda bait, path: look(path))  # fmt: skip
