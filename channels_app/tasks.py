"""Background work of channels, run by django-q2: plain functions that may run twice without harm."""

from __future__ import annotations

from channels_app import budget_notices, notices


def tell(approval_id: str) -> str:
    """Tell whoever may decide a question that it waits."""
    return f"told {notices.asked(approval_id)}"


def tell_noticed(agent_id: str, run_id: str) -> str:
    """Tell whom it concerns that an agent did something under "allow and tell"."""
    return f"told {notices.noticed(agent_id, run_id)}"


def tell_wrote(conversation_id: str) -> str:
    """Tell a person that an agent wrote to them unasked."""
    return f"told {notices.wrote(conversation_id)}"


def tell_budget(warning_id: int) -> str:
    """Tell whom it concerns how much of a budget is used."""
    return f"told {budget_notices.reached(warning_id)}"


def settle_mails() -> str:
    """Send the mails that had to wait for their time."""
    return f"sent {notices.settle()}"
