"""What bubblewrap's own words mean, and the exact fix. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sandboxes.driver import SandboxError

INSTALL = "apt-get install bubblewrap"


@dataclass(frozen=True, slots=True)
class Cause:
    pattern: str
    reason: str
    message: str
    fix: str


_CAUSES = (
    Cause(
        r"setting up uid map: Permission denied|RTM_NEWADDR|RTM_NEWLINK",
        "apparmor",
        "AppArmor on this machine does not let bubblewrap make user namespaces.",
        "apt-get install apparmor-profiles && ln -s /usr/share/apparmor/extra-profiles/bwrap-userns-restrict "
        "/etc/apparmor.d/ && apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict",
    ),
    Cause(
        r"No permissions to creat\w+ new namespace|kernel does not allow non-privileged user namespaces"
        r"|Creating new namespace failed: Operation not permitted|unshare: Operation not permitted",
        "userns_off",
        "This machine does not allow unprivileged user namespaces.",
        "sysctl -w kernel.unprivileged_userns_clone=1 (in a container: run it with a seccomp profile that permits "
        "user namespaces, or run Logos on the host)",
    ),
    Cause(
        r"Creating new namespace failed: No space left|max_\w+_namespaces|nesting depth or",
        "userns_limit",
        "The machine's limit on namespaces is reached.",
        "sysctl -w user.max_user_namespaces=15000",
    ),
    Cause(
        r"Failed to make / slave|pivot_root|Can't mount proc on|Failed to mount tmpfs",
        "nested",
        "Logos runs inside a container or another sandbox that forbids a sandbox of its own.",
        "Run Logos on the host or in a virtual machine, or give the container the right to mount "
        "(docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
        "--security-opt systempaths=unconfined).",
    ),
    Cause(
        r"Can't find source path ([^\n]*): Permission denied",
        "sandbox_source_unreachable",
        "The agent's user cannot reach a directory the sandbox needs: {0}.",
        "Make every directory on the way walkable (chmod o+x), or keep Logos's state elsewhere (LOGOS_HOME).",
    ),
    Cause(
        r"Can't find source path ([^\n]*): No such file",
        "sandbox_source_missing",
        "A directory the sandbox needs does not exist: {0}.",
        "Create it, or run “./logos up” again to repair the installation.",
    ),
    Cause(
        r"execvp /usr/bin/python3: No such file",
        "python_missing",
        "The distribution's Python (/usr/bin/python3) is missing; the sandbox's first process runs on it.",
        "apt-get install python3",
    ),
    Cause(
        r"No module named '?(\w+)",
        "python_incomplete",
        "The distribution's Python lacks the module {0}.",
        "apt-get install python3 libpython3-stdlib",
    ),
    Cause(
        r"No space left on device",
        "disk_full",
        "There is no space left to start the sandbox.",
        "Free some space in Logos's state directory.",
    ),
    Cause(
        r"Address already in use",
        "sandbox_spec",
        "Two listeners of the sandbox want the same port.",
        "Give each its own port.",
    ),
    Cause(
        r"WallMissing: ([^\n]*)",
        "wall_missing",
        "A wall of the sandbox is not up on this machine ({0}), so it was not started.",
        "Run “manage.py doctor” and report what it prints; nothing runs without its walls.",
    ),
    Cause(
        r"Resource temporarily unavailable",
        "process_limit",
        "The machine or the user has no process left for another sandbox.",
        "Raise the limit on processes (ulimit -u) or stop what is not needed.",
    ),
)


def explain(words: str, *, status: str = "") -> SandboxError:
    """The SandboxError for what bubblewrap or PID 1 wrote before it gave up."""
    for cause in _CAUSES:
        if found := re.search(cause.pattern, words):
            return SandboxError(
                cause.message.format(*found.groups()), reason=cause.reason, detail=words.strip(), action=cause.fix
            )
    last_line = (words.strip().splitlines() or ["no message"])[-1]
    return SandboxError(
        f"The sandbox did not start: {last_line[:200]}",
        reason="sandbox_start_failed",
        detail=f"{status} {words.strip()}".strip(),
        action="Run “manage.py doctor” to see what is missing.",
    )
