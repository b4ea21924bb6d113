"""From a spec to bubblewrap's options: every namespace, a tree made from nothing, no environment.

Options that carry text are ``Data``; the driver turns each into a descriptor, so that nothing of the spec shows in
the host's process list.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from sandboxes.driver import SandboxSpec
from sandboxes.local import tree

OLDEST_VERSION = (0, 5)  # --perms
PYTHON = "/usr/bin/python3"  # inside, the distribution's: /usr is shown anyway, and every user may walk to it
INSIDE_UID = 10001
PID1_HOME = "/run/logos"
PID1_MODULES = ("kernel", "landlock", "pid1", "seccomp", "selftest", "wire")
PID1_START = f"import sys; sys.path.insert(0, {PID1_HOME!r}); from sandboxes.local.pid1 import main; main()"
COMMAND = [PYTHON, "-I", "-S", "-c", PID1_START]

_MERGED_DIRECTORIES = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
# Of /etc only what programs need to run and to check certificates. Never the whole of it.
_ETC = ("/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted",
        "/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime", "/etc/fonts")  # fmt: skip
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts")
# What no namespace divides: the names of keys that the host's user holds.
_OF_THE_HOST = ("/proc/keys", "/proc/key-users")
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Data:
    """The text of a file inside, handed over by descriptor."""

    text: str


def options(spec: SandboxSpec, version: tuple[int, ...]) -> list[str | Data]:
    """bubblewrap's options for ``spec``, which has passed ``tree.check``; ``version`` is bubblewrap's."""
    return [
        *_walls(spec, version),
        *_system(),
        *_own_files(spec),
        *_kernel_file_systems(spec, version),
        *_mounts(spec),
        *_overlays(spec, version),
        *("--chdir", "/", "--remount-ro", "/"),
    ]


def _walls(spec: SandboxSpec, version: tuple[int, ...]) -> list[str | Data]:
    # Older ones cannot shut the door to nested user namespaces; the seccomp filter does so on every version.
    no_nesting = ["--disable-userns"] if version >= (0, 8) else []
    return [
        *("--unshare-all", "--unshare-user", *no_nesting),
        *("--as-pid-1", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"),
        *("--uid", str(INSIDE_UID), "--gid", str(INSIDE_UID), "--hostname", _host_name(spec.name)),
    ]


def _host_name(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63] or "sandbox"


def _system() -> list[str | Data]:
    result: list[str | Data] = ["--ro-bind", "/usr", "/usr"]
    for path in _MERGED_DIRECTORIES:
        merged = Path(path).is_symlink()
        result += ["--symlink", f"usr{path}", path] if merged else ["--ro-bind-try", path, path]
    result += ["--perms", "0755", "--dir", "/etc"]
    for path in _ETC:
        result += ["--ro-bind-try", path, path]
    return result


def _own_files(spec: SandboxSpec) -> list[str | Data]:
    result: list[str | Data] = []
    for path, text in {**identity_files(spec), **_outside_mounts(spec)}.items():
        result += _text(path, text)
    for directory in (PID1_HOME, f"{PID1_HOME}/sandboxes", f"{PID1_HOME}/sandboxes/local"):
        result += ["--perms", "0755", "--dir", directory]
    for module in PID1_MODULES:
        source = package_files("sandboxes.local").joinpath(f"{module}.py").read_text()
        result += _text(f"{PID1_HOME}/sandboxes/local/{module}.py", source)
    return result


def identity_files(spec: SandboxSpec) -> dict[str, str]:
    """Who one is inside and whom one can name: the agent, and this machine. ``spec.files`` may replace them."""
    home = spec.environment.get("HOME", spec.working_directory)
    return {
        "/etc/passwd": f"agent:x:{INSIDE_UID}:{INSIDE_UID}:agent:{home}:/bin/sh\n",
        "/etc/group": f"agent:x:{INSIDE_UID}:\n",
        "/etc/hosts": "127.0.0.1 localhost\n",
        "/etc/resolv.conf": "",
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    }


def _text(path: str, text: str) -> list[str | Data]:
    return ["--perms", "0444", "--ro-bind-data", Data(text), path]


def _kernel_file_systems(spec: SandboxSpec, version: tuple[int, ...]) -> list[str | Data]:
    return [
        *("--proc", "/proc", "--dev", "/dev"),
        *[option for path in _OF_THE_HOST if Path(path).exists() for option in _text(path, "")],
        *_sized(spec.limits.shm_mb * _MIB, version),
        *("--perms", "1777", "--tmpfs", "/dev/shm"),  # noqa: S108
        *_sized(spec.limits.tmp_mb * _MIB, version),
        *("--perms", "1777", "--tmpfs", "/tmp"),  # noqa: S108
    ]


def _sized(size_bytes: int, version: tuple[int, ...]) -> list[str]:
    return ["--size", str(size_bytes)] if version >= (0, 7) else []


def _mounts(spec: SandboxSpec) -> list[str | Data]:
    result: list[str | Data] = []
    for mount in tree.in_mounting_order(spec.mounts):
        result += ["--bind" if mount.writable else "--ro-bind", str(mount.source), mount.target]
    return result


def _in_a_mount(spec: SandboxSpec, path: str) -> bool:
    return any(path.startswith(mount.target + "/") for mount in spec.mounts)


def _outside_mounts(spec: SandboxSpec) -> dict[str, str]:
    return {path: text for path, text in spec.files.items() if not _in_a_mount(spec, path)}


def _overlays(spec: SandboxSpec, version: tuple[int, ...]) -> list[str | Data]:
    result: list[str | Data] = []
    for path, text in spec.files.items():
        if _in_a_mount(spec, path):
            result += _text(path, text)
    for path in spec.empty_dirs:
        result += [*_sized(4096, version), "--perms", "0555", "--tmpfs", path, "--remount-ro", path]
    return result


def pid1_configuration(spec: SandboxSpec) -> dict[str, Any]:
    """What PID 1 is told: see ``pid1.main``."""
    limits = spec.limits
    return {
        "listen": list(spec.listen),
        "environment": dict(spec.environment),
        "directory": spec.working_directory,
        "landlock": _landlock_paths(spec),
        "rlimits": {
            "RLIMIT_CORE": 0,
            "RLIMIT_NOFILE": limits.open_files,
            "RLIMIT_NPROC": limits.processes,
            "RLIMIT_FSIZE": limits.file_mb * _MIB,
            # Not RLIMIT_AS: node and chromium reserve terabytes they never touch.
            "RLIMIT_DATA": limits.memory_mb * _MIB,
            "RLIMIT_MEMLOCK": 64 * 1024,
            "RLIMIT_MSGQUEUE": 0,
            "RLIMIT_NICE": 0,
            "RLIMIT_RTPRIO": 0,
        },
    }


def _landlock_paths(spec: SandboxSpec) -> dict[str, list[str]]:
    shown = [mount.target for mount in spec.mounts if not mount.writable]
    return {
        "read_only": ["/usr", *_MERGED_DIRECTORIES, "/etc", "/run", *shown, *_outside_mounts(spec), *spec.empty_dirs],
        "read_write": [*(m.target for m in spec.mounts if m.writable), "/tmp", "/dev/shm"],  # noqa: S108
        "devices": list(_DEVICES),
    }
