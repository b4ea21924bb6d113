"""Specs for tests with real sandboxes, as root and as an ordinary user."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from sandboxes.driver import Mount, SandboxSpec

# One far above any real account; only used when the tests run as root.
UID = 210001


def local_spec(directory: Path, name: str = "atlas", **changes: Any) -> SandboxSpec:
    """An agent with a home, a workspace and a runtime directory of its own, like a real one."""
    root = directory / name
    spec = SandboxSpec(
        name,
        root,
        mounts=(
            Mount(root / "workspace", "/workspace", writable=True),
            Mount(root / "home", "/home/agent", writable=True),
            Mount(root / "hermes", "/hermes", writable=True),
        ),
        environment={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/home/agent"},
        uid=UID if os.geteuid() == 0 else None,
    )
    return dataclasses.replace(spec, **changes)
