"""The rows of what happened."""

from agents import guarding
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
from runs.models.panels import Panel
from runs.models.reviewing import (
    Most,
    ReviewedAgent,
    ReviewerOpinion,
    ReviewerReversal,
    ReviewerSettings,
    ReviewOutcome,
    Verdict,
)
from runs.models.runs import ACTIVE, Run, RunEvent, Status

guarding.call_it(ReviewedAgent, "reviewed-agent", family="agent")
guarding.call_it(ReviewerOpinion, "opinion", family="run")
guarding.call_it(ReviewerReversal, "reversal", family="run")

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
    "Most",
    "OnLimit",
    "Panel",
    "ReviewOutcome",
    "ReviewedAgent",
    "ReviewerOpinion",
    "ReviewerReversal",
    "ReviewerSettings",
    "Run",
    "RunEvent",
    "Scope",
    "Speaker",
    "Status",
    "Tier",
    "UnknownPrice",
    "Verdict",
    "Window",
]
