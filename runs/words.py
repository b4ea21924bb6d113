"""The words people read: states of a run, and one sentence and one action for each error code."""

from __future__ import annotations

from agents.errors import Code
from runs.models import Status

STATES: dict[str, str] = {
    Status.QUEUED: "queued",
    Status.PROVISIONING: "preparing",
    Status.RUNNING: "running",
    Status.WAITING: "waiting for you",
    Status.COMPLETED: "done",
    Status.FAILED: "failed",
    Status.CANCELLED: "stopped",
    Status.INTERRUPTED: "interrupted",
}

# The sentence is used when the place that failed gave none of its own.
ERRORS: dict[str, tuple[str, str]] = {
    Code.SANDBOX_UNAVAILABLE: ("The agent's sandbox could not be started.", "Run ./logos doctor for the exact fix."),
    Code.SANDBOX_DISCONNECTED: (
        "The agent's sandbox ended during the run.",
        "Send the message again; a new one starts by itself.",
    ),
    Code.DISPATCH_TIMEOUT: (
        "The run took longer than allowed.",
        "Ask for a smaller step, or raise LOGOS_RUN_TIMEOUT_S.",
    ),
    Code.RUNTIME_ERROR: ("The agent runtime reported an error.", "Try again; the run's record has the details."),
    Code.BUDGET_EXCEEDED: ("The budget is used up.", "Raise the budget or wait for it to renew."),
    Code.PROVIDER_BILLING: ("The model provider asks for payment.", "Check the account's balance with the provider."),
    Code.PROVIDER_AUTH: ("The model provider refused the key.", "Replace the provider's key in the console."),
    Code.PROVIDER_RATE_LIMIT: ("The model provider is rate limiting.", "Wait a minute and send the message again."),
    Code.PROVIDER_UNREACHABLE: (
        "The model provider could not be reached.",
        "Check the provider's address and that it is up.",
    ),
    Code.PROVIDER_TIMEOUT: ("The model provider did not answer in time.", "Try again, or choose another model."),
    Code.MODEL_NOT_FOUND: ("The provider does not know this model.", "Choose another model for the agent."),
    Code.CONTEXT_OVERFLOW: (
        "The conversation is too long for this model.",
        "Start a new chat or choose a model with more context.",
    ),
    Code.POLICY_DENIED: ("A rule does not allow this.", "Open the run to see which rule."),
    Code.APPROVAL_EXPIRED: ("Nobody decided in time.", "Send the message again and decide while it waits."),
    Code.DISK_FULL: ("The disk is full.", "Free some space in the workspace or on the machine, then try again."),
    Code.HALTED: ("It is stopped for now.", "It can go on once somebody who may resumes it."),
    Code.CANCELLED: ("Stopped.", ""),
    Code.UNKNOWN: ("Something went wrong that we did not foresee.", "The server log has the details; try again."),
}


def describe(code: str, message: str = "", action: str = "") -> tuple[str, str]:
    """The sentence and the action for an error code, preferring what the failing place said itself."""
    sentence, default_action = ERRORS.get(code, ERRORS[Code.UNKNOWN])
    return message or sentence, action or default_action
