"""Changes of policies that wait for a second person: proposals as approvals, carried out once somebody agrees."""

from __future__ import annotations

import hashlib
from typing import Any

from agents import four_eyes, policies
from agents.errors import Conflict, NotFound
from agents.four_eyes import Proposal, Wish
from agents.models import Agent, User
from runs import approvals
from runs.models import Approval, ApprovalKind, ApprovalState, Tier
from runs.stamp import canonical


def register() -> None:
    """Take proposals; who decides and that they are carried out is said by ``proposed_rules``."""
    four_eyes.DESK[:] = [put]


def put(user: User, proposal: Proposal | Wish) -> str:
    """Write it down; the same proposal that waits already is that one."""
    if isinstance(proposal, Wish):
        return _ask(user, {**proposal.subject, "what": proposal.what}, proposal.title, proposal.agent)
    subject = {
        "policy_id": proposal.policy_id,
        "policy": proposal.name,
        "newly_allowed": "\n".join(proposal.adds),
        "newly_denied": "\n".join(proposal.drops),
        "on_record": proposal.figures,
        "version": proposal.version,
        "change": proposal.fields,
    }
    return _ask(user, subject, f"Let the policy {proposal.name} allow more", version=str(proposal.version))


def _ask(user: User, subject: dict[str, Any], title: str, agent: Agent | None = None, version: str = "") -> str:
    waiting = approvals.undecided().filter(kind=ApprovalKind.POLICY_PROPOSAL, asked_for=user, key=_digest(subject))
    if (known := waiting.first()) is not None:
        return known.pk
    asked = approvals.ask(
        ApprovalKind.POLICY_PROPOSAL,
        subject=subject,
        title=title,
        agent=agent,
        asked_for=user,
        tier=Tier.ADMIN,
        purpose=f"{user.username} asks for it.",
        policy_version=version,
        key=_digest(subject),
    )
    return asked.pk


def carry_out(approval: Approval) -> None:
    """Save the change as it was proposed. Raises Conflict, so that nothing is decided, when the policy has changed since
    or the record of it is not whole."""
    if approval.state != ApprovalState.ALLOWED or approval.decided_by is None:
        return
    subject, wisher = approval.subject, approval.asked_for
    if _digest(subject) != approval.key:
        raise Conflict("Not all of this change is on record, so it cannot be carried out.", action="Save it again.")
    if what := subject.get("what"):
        if wisher is None or not wisher.is_active:
            raise Conflict("Whoever asked for this is not here any more.", action="Deny it.")
        try:
            with four_eyes.agreed():
                four_eyes.CARRY[what](wisher, subject)
        except NotFound as error:
            raise Conflict(
                f"{wisher.display_name} may not do this any more, or it is gone.", action="Deny it and say so."
            ) from error
        return
    with four_eyes.agreed():
        policies.change(approval.decided_by, subject["policy_id"], int(subject["version"]), **subject["change"])


def _digest(subject: dict[str, Any]) -> str:
    return hashlib.sha256(canonical(subject)).hexdigest()
