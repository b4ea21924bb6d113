"""Logos as ``up`` keeps it: its own supervisor over a real ``serve`` and a real ``qcluster``, with shorter pauses.

``python -m tests.journeys.supervised PORT`` in a home's environment; SIGTERM ends it with its children.
"""

from __future__ import annotations

import sys

from logos_site.up import supervisor
from logos_site.up.supervisor import Child, Supervisor


def main() -> None:
    """Run until told to end. A test kills more often than life does, so nobody waits half a minute for it."""
    supervisor.FIRST_DELAY_S, supervisor.LONGEST_DELAY_S = 0.1, 0.3
    serve = [sys.executable, "manage.py", "serve", "--host", "127.0.0.1", "--port", sys.argv[1]]
    background = [sys.executable, "manage.py", "qcluster"]
    Supervisor([Child("serve", serve), Child("qcluster", background)], say).run()


def say(name: str, line: str) -> None:
    """What a child printed, into the log of the house."""
    sys.stdout.write(f"{name}: {line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
