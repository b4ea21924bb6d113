"""The whole suite as one program for an interpreter inside, which reads it from its standard input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

MODULES = ("attempt", "on_files", "on_privileges", "on_network", "on_secrets")
_BOOT = """
import sys, types
for name in ("sandboxes", "sandboxes.escapes"):
    sys.modules[name] = types.ModuleType(name)
def load(name, source):
    module = sys.modules["sandboxes.escapes." + name] = types.ModuleType("sandboxes.escapes." + name)
    exec(compile(source, name + ".py", "exec"), module.__dict__)
    return module
"""


def program(bait: Mapping[str, Any]) -> str:
    """Runs every attempt with these baits and prints a JSON line for each. Needs no file of ours inside."""
    lines = [_BOOT]
    lines += [f"load({name!r}, {files(__package__).joinpath(f'{name}.py').read_text()!r})" for name in MODULES]
    return (
        "\n".join(
            [*lines, f"sys.modules['sandboxes.escapes.attempt'].run_all({json.dumps(json.dumps(bait))})"]
        ).replace(".run_all(", ".run_all(__import__('json').loads(")
        + ")"
    )
