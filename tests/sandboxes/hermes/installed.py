"""The real runtime for tests: installed once per machine and kept, because it is 230 MB."""

from __future__ import annotations

import os
from pathlib import Path

from sandboxes.hermes import runtime
from sandboxes.hermes.runtime import Runtime


def runtime_home() -> Path:
    """Where it is kept: ``LOGOS_TEST_HOME``, or a directory of this user's that every user may walk into."""
    whose = "" if os.geteuid() == 0 else f"-{os.geteuid()}"
    home = Path(os.environ.get("LOGOS_TEST_HOME") or f"/var/tmp/logos-test-home{whose}")
    home.mkdir(mode=0o755, parents=True, exist_ok=True)
    return home


def installed_runtime() -> Runtime:
    """The runtime; installs it when it is not there yet, which takes from 4 s to a minute."""
    return runtime.install(runtime_home())
