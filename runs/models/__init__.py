"""The rows of what happened."""

from runs.models.approvals import Approval, ApprovalState
from runs.models.conversations import Conversation, Message, Speaker
from runs.models.engines import EngineBeat
from runs.models.runs import ACTIVE, Run, RunEvent, Status

__all__ = [
    "ACTIVE",
    "Approval",
    "ApprovalState",
    "Conversation",
    "EngineBeat",
    "Message",
    "Run",
    "RunEvent",
    "Speaker",
    "Status",
]
