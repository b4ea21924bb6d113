"""What makes a sandbox the one that is wanted: a pure function of its specification, its secrets and its driver.

Whatever is in here cannot change while a sandbox runs: another identity means a new start. Whatever is not (soul, model,
toolsets, policy rules, names) takes effect in the running one; docs/operating.md has the table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from agents.agent_secrets import Granted
from sandboxes.driver import SandboxSpec


def parts(spec: SandboxSpec, given: Iterable[Granted], driver: str) -> dict[str, str]:
    """Everything that counts, by name. A secret counts with its version: its value, even hashed, could be guessed from
    what is stored."""
    return {
        "driver": driver,
        "mounts": repr(spec.mounts),
        "files": repr(sorted(spec.files.items())),
        "empty directories": repr(sorted(spec.empty_dirs)),
        "ports": repr(sorted(spec.listen)),
        "environment": repr(sorted(spec.environment.items())),
        "limits": repr(spec.limits),
        "user": repr(spec.uid),
        "working directory": spec.working_directory,
        "secrets": repr(sorted(each.mark for each in given)),
    }


def digest(spec: SandboxSpec, given: Iterable[Granted] = (), driver: str = "") -> str:
    """The identity as it is stored and compared."""
    return hashlib.sha256(repr(sorted(parts(spec, given, driver).items())).encode()).hexdigest()
