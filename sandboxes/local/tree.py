"""The rule for what a spec may show where: no mount point may lie where the running agent could move it.

bubblewrap follows links while it builds the tree. If a mount point lay below a directory the agent can rename, the
agent could supply its own configuration at once (move the parent), and at the next start have files made anywhere
on the host (leave a link in its place). So a target lies at the root of the tree, below something read-only, or
directly in a writable mount, where ``prepare`` then checks the leaf. Pure: values in, SandboxError out.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from sandboxes.driver import Mount, SandboxError, SandboxSpec

# Ours: made by bubblewrap for every sandbox, or the home of PID 1.
_RESERVED = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/dev", "/sys", "/oldroot",
             "/newroot", "/run/logos", "/tmp")  # noqa: S108  # fmt: skip
_RESERVED_ALONE = ("/", "/etc", "/run")


def check(spec: SandboxSpec) -> None:
    """SandboxError (reason "sandbox_spec") for the first part of the spec that could become a way out."""
    for target in targets(spec):
        _check_spelling(target)
        _check_reserved(target)
    _check_overlaps(spec)
    _check_writable_parents(spec)
    _check_sources(spec)
    if len(spec.listen) != len(set(spec.listen)) or not all(1024 <= port <= 65535 for port in spec.listen):
        raise _refusal("Listening ports must differ and lie between 1024 and 65535.", str(spec.listen))
    if not spec.working_directory.startswith("/"):
        raise _refusal("The working directory must be an absolute path.", spec.working_directory)


def targets(spec: SandboxSpec) -> list[str]:
    """Every path that something is mounted on."""
    return [*(mount.target for mount in spec.mounts), *spec.files, *spec.empty_dirs]


def _refusal(message: str, detail: str) -> SandboxError:
    return SandboxError(message, reason="sandbox_spec", detail=detail)


def _check_spelling(target: str) -> None:
    normal = str(PurePosixPath(target))
    if target != normal or not target.startswith("/") or target.startswith("//") or ".." in PurePosixPath(target).parts:
        raise _refusal(f"“{target}” is not a plain absolute path.", target)
    if "\0" in target:
        raise _refusal("A path in the sandbox contains a NUL byte.", repr(target))


def _check_reserved(target: str) -> None:
    if target in _RESERVED_ALONE or any(_lies_in(target, reserved) for reserved in _RESERVED):
        raise _refusal(f"“{target}” belongs to the sandbox itself and cannot be covered.", target)


def _check_overlaps(spec: SandboxSpec) -> None:
    everything = targets(spec)
    if len(everything) != len(set(everything)):
        twice = sorted({target for target in everything if everything.count(target) > 1})
        raise _refusal(f"“{twice[0]}” is given twice.", ", ".join(twice))
    for closed in [*spec.files, *spec.empty_dirs]:
        inside = [target for target in everything if target != closed and _lies_in(target, closed)]
        if inside:
            raise _refusal(f"“{inside[0]}” lies below “{closed}”, which stays empty.", closed)


def _check_writable_parents(spec: SandboxSpec) -> None:
    for target in targets(spec):
        holders = [m.target for m in spec.mounts if m.writable and m.target != target and _lies_in(target, m.target)]
        # Directly in the innermost writable mount is fine; that mount's own place was judged by the same rule.
        if holders and str(PurePosixPath(target).parent) != max(holders, key=len):
            raise SandboxError(
                f"The mount point “{target}” lies below a directory the agent can rename.",
                reason="sandbox_mount_point",
                detail=f"{target} below {holders}",
                action="Mount it directly in the writable directory or at the root of the tree.",
            )


def _check_sources(spec: SandboxSpec) -> None:
    sources = [mount.source for mount in spec.mounts]
    for source in [spec.root, *sources]:
        if not source.is_absolute() or ".." in source.parts:
            raise _refusal(f"“{source}” is not a plain absolute path.", str(source))
    for mount in spec.mounts:
        if not mount.writable:
            continue
        others = [spec.root, *(source for source in sources if source is not mount.source)]
        for other in others:
            # Whoever can write a directory can put a link where the other source was.
            if other.is_relative_to(mount.source):
                raise _refusal(f"“{other}” lies in “{mount.source}”, which the agent can write.", str(other))
    engine = spec.root / "engine"
    for source in sources:
        if engine.is_relative_to(source) or source.is_relative_to(engine):
            raise _refusal("The directory of the sandbox's own keeper cannot be shown inside.", str(source))


def _lies_in(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory + "/")


def in_mounting_order(mounts: tuple[Mount, ...]) -> list[Mount]:
    """Outer mounts first, so that none covers another."""
    return sorted(mounts, key=lambda mount: len(PurePosixPath(mount.target).parts))


def engine_directory(root: Path) -> Path:
    return root / "engine"
