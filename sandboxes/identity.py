"""What makes a sandbox the one that is wanted: a pure function of its specification, its secrets and its driver.

Whatever is in here cannot change while a sandbox runs: another identity means a new start. Whatever is not (soul, model,
toolsets, policy rules, names) takes effect in the running one; docs/operating.md has the table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from agents.agent_secrets import Granted
from sandboxes.driver import SandboxSpec

# The parts that people change, which a sentence names; each has so many digits of the identity.
_TOLD = {"secrets": "its secrets", "limits": "its limits"}
_DIGITS = 16


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
    """The identity as it is stored and compared: 64 digits, of which the first tell the parts in ``_TOLD`` apart."""
    found = parts(spec, given, driver)
    told = [_hex(found.pop(name))[:_DIGITS] for name in _TOLD]
    return "".join(told) + _hex(repr(sorted(found.items())))[: 64 - _DIGITS * len(_TOLD)]


def differing(before: str, now: str) -> str:
    """What differs between two identities, for a sentence; "" when they are the same."""
    if before == now:
        return ""
    cut = [slice(_DIGITS * place, _DIGITS * (place + 1)) for place in range(len(_TOLD))]
    found = [word for word, each in zip(_TOLD.values(), cut, strict=True) if before[each] != now[each]]
    if before[cut[-1].stop :] != now[cut[-1].stop :]:
        # One that an earlier version of Logos wrote differs in everything, and its secrets may be the same.
        found = ["Logos or its runtime"] if len(found) == len(_TOLD) else [*found, "Logos or its runtime"]
    return " and ".join(found)


def _hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
