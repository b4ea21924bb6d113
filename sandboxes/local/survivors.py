"""Find every local sandbox that runs below one directory: by what its keeper wrote, and by the list of processes."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from sandboxes.driver import Survivor
from sandboxes.local import processes, tree
from sandboxes.local.keeper import STATE_NAME


def below(agents: Path) -> list[Survivor]:
    """Those whose root lies directly in ``agents``. A keeper counts, and also what is left of a sandbox without."""
    found: dict[str, Survivor] = {}
    for root in _directories(agents):
        state = written_state(tree.engine_directory(root))
        if state and (alive := [each for each in (state["keeper"], state["init"]) if processes.is_running(each)]):
            found[root.name] = Survivor(root.name, state, processes.age_s(alive[0]))
    for name, keeper in _keepers(agents):
        if name not in found or found[name].state["keeper"] != keeper:
            # Its note is gone or another one's. With the keeper everything it started ends.
            engine = str(tree.engine_directory(agents / name))
            state = {"engine": engine, "keeper": keeper, "init": keeper, "layers": []}
            found.setdefault(name, Survivor(name, state, processes.age_s(keeper)))
    return list(found.values())


def written_state(engine: Path) -> dict[str, Any] | None:
    """What the last keeper wrote of itself; None if it wrote nothing that can be read."""
    try:
        state = json.loads((engine / STATE_NAME).read_text())
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) and {"keeper", "init", "layers"} <= state.keys() else None


def _directories(agents: Path) -> list[Path]:
    try:
        with os.scandir(agents) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def _keepers(agents: Path) -> list[tuple[str, dict[str, Any]]]:
    """Keepers name their engine directory as their last argument, also to who may not look into them."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError):  # gone by now
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                words = file.read().rstrip(b"\0").split(b"\0")
            if len(words) < 5 or b"keeper import main" not in words[4]:
                continue
            engine = Path(os.fsdecode(words[-1]))
            if engine.name == "engine" and engine.parent.parent == agents:
                found.append((engine.parent.name, processes.identity(int(entry))))
    return found
