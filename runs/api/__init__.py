"""The API of what happens: conversations and their messages, runs and their events, approvals."""

from runs.api.approvals import router as approvals
from runs.api.conversations import router as conversations
from runs.api.runs import router as runs

__all__ = ["approvals", "conversations", "runs"]
