"""The rows of what happened."""

from runs.models.approvals import Approval, ApprovalKind, ApprovalRule, ApprovalState, Choice, Scope, Tier
from runs.models.conversations import Conversation, Message, Speaker
from runs.models.engines import EngineBeat
from runs.models.runs import ACTIVE, Run, RunEvent, Status

__all__ = [
    "ACTIVE",
    "Approval",
    "ApprovalKind",
    "ApprovalRule",
    "ApprovalState",
    "Choice",
    "Conversation",
    "EngineBeat",
    "Message",
    "Run",
    "RunEvent",
    "Scope",
    "Speaker",
    "Status",
    "Tier",
]
