"""The drivers by name; tests put their fakes here."""

from __future__ import annotations

from collections.abc import Callable

from sandboxes.driver import SandboxDriver, SandboxError


def _local() -> SandboxDriver:
    from sandboxes.local.driver import LocalDriver

    return LocalDriver()


FACTORIES: dict[str, Callable[[], SandboxDriver]] = {"local": _local}
_made: dict[str, SandboxDriver] = {}


def get(name: str) -> SandboxDriver:
    """The driver of this name, made once per process. SandboxError for an unknown one."""
    if name not in FACTORIES:
        known = ", ".join(sorted(FACTORIES))
        raise SandboxError(
            f"There is no sandbox driver called {name}.",
            reason="sandbox_unavailable",
            action=f"Set LOGOS_SANDBOX_DRIVER to one of: {known}.",
        )
    if name not in _made:
        _made[name] = FACTORIES[name]()
    return _made[name]
