"""Changes of policies that wait for a second person: proposals as approvals, carried out once somebody agrees."""

from __future__ import annotations

import hashlib
from typing import Any

from agents import four_eyes, policies
from agents.errors import Conflict
from agents.four_eyes import Proposal
from agents.models import User
from runs import approvals
from runs.models import Approval, ApprovalKind, ApprovalState, Tier
from runs.stamp import canonical


def register() -> None:
    """Take proposals; who decides and that they are carried out is said by ``proposed_rules``."""
    four_eyes.DESK[:] = [put]


def put(user: User, proposal: Proposal) -> str:
    """Write it down; the same proposal that waits already is that one."""
    subject = {
        "policy_id": proposal.policy_id,
        "policy": proposal.name,
        "newly_allowed": "\n".join(proposal.adds),
        "newly_denied": "\n".join(proposal.drops),
        "on_record": proposal.figures,
        "version": proposal.version,
        "change": proposal.fields,
    }
    waiting = approvals.undecided().filter(kind=ApprovalKind.POLICY_PROPOSAL, asked_for=user, key=_digest(subject))
    if (known := waiting.first()) is not None:
        return known.pk
    asked = approvals.ask(
        ApprovalKind.POLICY_PROPOSAL,
        subject=subject,
        title=f"Let the policy {proposal.name} allow more",
        asked_for=user,
        tier=Tier.ADMIN,
        purpose=f"{user.username} changed it.",
        policy_version=str(proposal.version),
        key=_digest(subject),
    )
    return asked.pk


def carry_out(approval: Approval) -> None:
    """Save the change as it was proposed. Raises Conflict, so that nothing is decided, when the policy has changed since
    or the record of it is not whole."""
    if approval.state != ApprovalState.ALLOWED or approval.decided_by is None:
        return
    subject = approval.subject
    if _digest(subject) != approval.key:
        raise Conflict("Not all of this change is on record, so it cannot be carried out.", action="Save it again.")
    with four_eyes.agreed():
        policies.change(approval.decided_by, subject["policy_id"], int(subject["version"]), **subject["change"])


def _digest(subject: dict[str, Any]) -> str:
    return hashlib.sha256(canonical(subject)).hexdigest()
