"""Describe one agent's sandbox with the runtime in it, and keep the files in step that change while it runs.

On the host an agent's directory holds ``workspace``, ``home`` and ``hermes`` (written by the agent),
``managed`` (written by us, read by the agent) and ``engine`` (ours alone).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from sandboxes.driver import Limits, Mount, SandboxSpec
from sandboxes.hermes.configuration import EGRESS_PORT, HermesConfig, fixed_files, live_files, proxy_environment
from sandboxes.hermes.runtime import VENV_INSIDE, Runtime

LAUNCHER = Path(__file__).with_name("launch.py")
LAUNCHER_INSIDE = "/run/logos-hermes/launch.py"
HERMES_HOME = "/hermes"

ENVIRONMENT: Mapping[str, str] = {
    "HOME": "/home/agent",
    "USER": "agent",
    "LOGNAME": "agent",
    "SHELL": "/bin/bash",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    # Nothing the agent can write: the runtime itself finds its helpers here. /etc/profile adds what is the agent's.
    "PATH": f"/usr/local/bin:/usr/bin:/bin:{VENV_INSIDE}/bin",
    "HERMES_HOME": HERMES_HOME,
    "PYTHONDONTWRITEBYTECODE": "1",
}


def sandbox_spec(
    *, name: str, root: Path, runtime: Runtime, config: HermesConfig, uid: int | None, limits: Limits | None = None
) -> SandboxSpec:
    """The sandbox of one agent. Pure; ``write_live_files`` must have put its files below ``root`` before the start.

    The runtime's home is a mount of its own at the root of the tree: below a directory the agent can
    rename, it could be moved away and replaced, approvals and all."""
    mounts = (
        *runtime.mounts,
        Mount(root / "workspace", "/workspace", writable=True),
        Mount(root / "home", "/home/agent", writable=True),
        Mount(root / "hermes", HERMES_HOME, writable=True),
        Mount(root / "managed/config.yaml", f"{HERMES_HOME}/config.yaml"),
        Mount(root / "managed/SOUL.md", f"{HERMES_HOME}/SOUL.md"),
    )
    return SandboxSpec(
        name=name,
        root=root,
        mounts=mounts,
        # As a text, not as a mount: the agent's user may be unable to walk to where Logos itself is installed.
        files={**fixed_files(config), LAUNCHER_INSIDE: LAUNCHER.read_text()},
        empty_dirs=(f"{HERMES_HOME}/plugins", f"{HERMES_HOME}/hooks"),
        listen=(config.router_port, EGRESS_PORT),
        environment={**ENVIRONMENT, **proxy_environment()},
        limits=limits or Limits(),
        uid=uid,
    )


def write_live_files(root: Path, config: HermesConfig, soul: str) -> None:
    """Bring ``managed/`` in step; a running sandbox sees it at its next run. OSError when the disk is full."""
    directory = root / "managed"
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    directory.chmod(0o755)
    for name, text in live_files(config, soul).items():
        write_in_place(directory / name, text)


def write_in_place(path: Path, text: str) -> None:
    """Replace a file's content but not the file: a sandbox has mounted this very inode.

    Only when it differs, because a new time stamp makes the runtime read its configuration again. One
    write, then the cut, so that a reader meets the old text or the new one, not an empty file."""
    content = text.encode()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        os.fchmod(descriptor, 0o644)
        if os.pread(descriptor, len(content) + 1, 0) == content:
            return
        os.posix_fallocate(descriptor, 0, max(len(content), 1))  # a full disk is noticed before anything is lost
        written = 0
        while written < len(content):
            written += os.pwrite(descriptor, content[written:], written)
        os.ftruncate(descriptor, len(content))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
