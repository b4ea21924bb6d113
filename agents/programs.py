"""Which programs of a sandbox a rule may let through: those an agent cannot put there itself. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from agents.errors import Invalid
from agents.reach import Rule

# Where the agent can put a program of its own under any name: what runs there counts as unknown.
WRITABLE = ("/workspace/", "/home/", "/hermes/", "/tmp/", "/dev/", "/proc/", "/run/user/", "/var/tmp/")  # noqa: S108


def check(rules: Iterable[Rule]) -> None:
    """Invalid for a rule that allows a program which can never be told: it would look open and let nothing through."""
    for rule in rules:
        if rule.allows and (found := next((path for path in rule.binaries if path.startswith(WRITABLE)), "")):
            raise Invalid(
                f"The agent can write {found} itself, so it counts as unknown and such a rule lets nothing through.",
                field="binaries",
                action="Name what really runs, /usr/bin/python3.11 for a script, or no program.",
            )
