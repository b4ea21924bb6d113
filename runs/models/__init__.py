"""The rows of what happened."""

from runs.models.approvals import Approval, ApprovalKind, ApprovalRule, ApprovalState, Choice, Scope, Tier
from runs.models.budgets import (
    Basis,
    Budget,
    BudgetScope,
    BudgetWarning,
    Charge,
    ChargeState,
    OnLimit,
    UnknownPrice,
    Window,
)
from runs.models.conversations import Conversation, Message, Speaker
from runs.models.engines import EngineBeat
from runs.models.runs import ACTIVE, Run, RunEvent, Status

__all__ = [
    "ACTIVE",
    "Approval",
    "ApprovalKind",
    "ApprovalRule",
    "ApprovalState",
    "Basis",
    "Budget",
    "BudgetScope",
    "BudgetWarning",
    "Charge",
    "ChargeState",
    "Choice",
    "Conversation",
    "EngineBeat",
    "Message",
    "OnLimit",
    "Run",
    "RunEvent",
    "Scope",
    "Speaker",
    "Status",
    "Tier",
    "UnknownPrice",
    "Window",
]
