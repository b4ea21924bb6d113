"""The host's side of a sandbox's tree: directories with the right owner, checked mount points, the agent's lock.

Everything is done through descriptors opened without following links: a restored snapshot or an imported package
may have left a link where a directory is expected.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path, PurePosixPath

from sandboxes.driver import SandboxError, SandboxSpec
from sandboxes.local import tree

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def take_lock(spec: SandboxSpec) -> int:
    """Make the agent's directory and ``engine`` in it; return a descriptor that holds the lock on ``engine``.

    The keeper inherits the descriptor, so the lock is held as long as the sandbox runs. SandboxError (reason
    "sandbox_running") if somebody else has it.
    """
    try:
        spec.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        root = _open_own_directory(spec.root)
        try:
            # Another user's agent must be able to walk through, and to nothing but its own.
            os.fchmod(root, 0o711 if spec.uid is not None else 0o700)
            _make_directory(root, "engine")
        finally:
            os.close(root)
        engine = _open_own_directory(tree.engine_directory(spec.root))
    except OSError as problem:
        raise SandboxError(
            "The agent's directory cannot be written.",
            reason="state_directory",
            detail=f"{problem.filename}: {problem.strerror}",
            action=f"Make {spec.root.parent} writable for the user Logos runs as.",
        ) from problem
    os.fchmod(engine, 0o700)
    try:
        fcntl.flock(engine, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(engine)
        raise SandboxError(
            "The sandbox is already running.", reason="sandbox_running", detail=str(spec.root), permanent=False
        ) from None
    return engine


def _open_own_directory(path: Path) -> int:
    descriptor = os.open(path, _DIRECTORY)
    if os.fstat(descriptor).st_uid != os.geteuid():
        os.close(descriptor)
        raise SandboxError(
            f"{path} belongs to another user.",
            reason="state_directory",
            action=f"Give it to the user Logos runs as: chown {os.geteuid()} {path}",
        )
    return descriptor


def _make_directory(parent: int, name: str) -> bool:
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return False
    return True


def make_sources(spec: SandboxSpec) -> None:
    """Create what is missing of the writable mounts, check every mount point in them, and every way to a source."""
    for mount in spec.mounts:
        if mount.writable:
            _make_writable_source(mount.source, spec.uid)
        elif not mount.source.exists():
            raise SandboxError(
                f"{mount.source} does not exist, so it cannot be shown in the sandbox.", reason="sandbox_source_missing"
            )
    _check_leaves(spec)
    if spec.uid is not None:
        for mount in spec.mounts:
            _check_reachable(mount.source, spec.uid)


def _make_writable_source(source: Path, uid: int | None) -> None:
    parent = os.open(source.parent, _DIRECTORY)
    try:
        if _make_directory(parent, source.name) and uid is not None:
            os.chown(source.name, uid, uid, dir_fd=parent, follow_symlinks=False)
        found = os.stat(source.name, dir_fd=parent, follow_symlinks=False)
    finally:
        os.close(parent)
    if not stat.S_ISDIR(found.st_mode):
        raise _not_plain(source, "directory")
    owner = os.geteuid() if uid is None else uid
    if found.st_uid != owner:
        raise SandboxError(
            f"{source} belongs to another user than the agent's.",
            reason="sandbox_source_owner",
            detail=f"owner {found.st_uid}, agent {owner}",
            action=f"Give it to the agent: chown -R {owner}:{owner} {source}",
        )


def _not_plain(path: Path, kind: str) -> SandboxError:
    return SandboxError(
        f"{path} is not a plain {kind}, so the sandbox was not started.",
        reason="sandbox_mount_point",
        action=f"Look at it and remove it; a plain {kind} is made in its place.",
    )


def _check_leaves(spec: SandboxSpec) -> None:
    """A mount point in a directory the agent writes must be a plain file or directory: never a link."""
    writable = {mount.target: mount.source for mount in spec.mounts if mount.writable}
    for target, is_directory in _kinds(spec).items():
        place = PurePosixPath(target)
        if (source := writable.get(str(place.parent))) is not None:
            _check_leaf(source, place.name, is_directory, spec.uid)


def _kinds(spec: SandboxSpec) -> dict[str, bool]:
    """Whether each mount point must be a directory."""
    kinds = {mount.target: mount.source.is_dir() for mount in spec.mounts}
    return {**kinds, **dict.fromkeys(spec.files, False), **dict.fromkeys(spec.empty_dirs, True)}


def _check_leaf(source: Path, name: str, is_directory: bool, uid: int | None) -> None:
    directory = os.open(source, _DIRECTORY)
    try:
        if _make_leaf(directory, name, is_directory) and uid is not None:
            os.chown(name, uid, uid, dir_fd=directory, follow_symlinks=False)
        mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
    finally:
        os.close(directory)
    if not (stat.S_ISDIR(mode) if is_directory else stat.S_ISREG(mode)):
        raise _not_plain(source / name, "directory" if is_directory else "file")


def _make_leaf(directory: int, name: str, is_directory: bool) -> bool:
    if is_directory:
        return _make_directory(directory, name)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        os.close(os.open(name, flags, 0o600, dir_fd=directory))
    except FileExistsError:
        return False
    return True


def _check_reachable(source: Path, uid: int) -> None:
    for directory in reversed(source.parents):
        if not may(os.stat(directory), uid, 0o1):
            raise _unreachable(directory, source, f"chmod o+x {directory}")
    found = os.stat(source)
    needed = 0o5 if stat.S_ISDIR(found.st_mode) else 0o4
    if not may(found, uid, needed):
        raise _unreachable(source, source, f"chmod -R o+rX {source}")


def _unreachable(obstacle: Path, source: Path, command: str) -> SandboxError:
    return SandboxError(
        f"The agent's user cannot pass {obstacle}, which is on the way to {source}.",
        reason="sandbox_source_unreachable",
        detail=str(obstacle),
        action=f"Allow it with “{command}”, or keep Logos's state elsewhere (LOGOS_HOME).",
    )


def may(found: os.stat_result, uid: int, wanted: int) -> bool:
    """Whether a user with no groups but its own has the permissions ``wanted`` (an octal digit) on something."""
    if found.st_uid == uid:
        granted = found.st_mode >> 6
    elif found.st_gid == uid:
        granted = found.st_mode >> 3
    else:
        granted = found.st_mode
    return granted & wanted == wanted
