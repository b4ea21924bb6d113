"""Told after commit, with ``approval``: something was asked for, and what became of it."""

from __future__ import annotations

from django.db import transaction
from django.dispatch import Signal

from runs.dispatch import announce
from runs.models import Approval, ApprovalState

approval_asked = Signal()
approval_decided = Signal()


def tell(approval: Approval) -> None:
    """Wake the engine of its run, and tell who listens, once this is committed."""
    signal = approval_asked if approval.state == ApprovalState.PENDING else approval_decided
    if approval.run_id is not None:
        announce(approval.run_id)
    transaction.on_commit(lambda: [*signal.send_robust(sender=Approval, approval=approval)] and None)
