"""Keep a sandbox running although nobody uses it: the one thing of it that people set."""

from __future__ import annotations

from agents import audit
from sandboxes import records, tasks
from sandboxes.models import Sandbox


def set_to(row: Sandbox, keep: bool) -> None:
    """From now on, or no longer. One that is kept is wanted to run, so it is started if it does not; setting it twice
    is setting it once. The caller asked for the permission."""
    if records.keep(row.pk, keep):
        audit.note("sandbox_kept" if keep else "sandbox_not_kept", about=row.agent)
        if keep:
            tasks.tend_later(row.agent_id)
