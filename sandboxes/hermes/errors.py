"""How the agent runtime's failures look to the rest of Logos."""

from __future__ import annotations

from agents.errors import Code, LogosError


class HermesError(LogosError):
    """The runtime answered with an error, or not at all.

    ``code`` is what the run's row gets; ``status`` is the HTTP status, None when nothing answered.
    ``reason`` is one of the keys of ``REASONS``."""

    def __init__(self, reason: str, *, detail: str = "", status: int | None = None) -> None:
        message, code, permanent = REASONS[reason]
        super().__init__(message, reason=reason, detail=detail, action=ACTIONS.get(reason, ""), permanent=permanent)
        self.code = code
        self.status = status


REASONS: dict[str, tuple[str, Code, bool]] = {
    "sandbox_disconnected": ("The sandbox of this agent went away.", Code.SANDBOX_DISCONNECTED, False),
    "gateway_down": ("The agent runtime does not answer.", Code.SANDBOX_DISCONNECTED, False),
    "gateway_silent": ("The agent runtime did not answer in time.", Code.SANDBOX_DISCONNECTED, False),
    "gateway_key": ("The agent runtime was started with another key.", Code.SANDBOX_DISCONNECTED, False),
    "run_not_found": ("The agent runtime does not know this run any more.", Code.RUNTIME_ERROR, True),
    "approval_gone": ("There is nothing left to approve in this run.", Code.RUNTIME_ERROR, True),
    "runtime_busy": ("The agent works on too many runs at once.", Code.RUNTIME_ERROR, False),
    "runtime_error": ("The agent runtime refused the request.", Code.RUNTIME_ERROR, True),
    "runtime_answer": ("The agent runtime answered something unreadable.", Code.RUNTIME_ERROR, False),
}
ACTIONS = {
    "sandbox_disconnected": "Send the message again; the sandbox is started anew.",
    "gateway_down": "Send the message again; the sandbox is started anew.",
    "gateway_silent": "Restart the sandbox if this repeats.",
    "gateway_key": "Restart the sandbox.",
    "runtime_busy": "Wait until one of the agent's runs has ended.",
    "runtime_error": "Look at the sandbox's log for the details.",
}


def reason_for(status: int, code: str) -> str:
    """The reason for an HTTP answer that is not a success; ``code`` is the runtime's own error code."""
    if code in ("approval_not_active", "approval_not_pending"):
        return "approval_gone"
    if status == 401:
        return "gateway_key"
    if status == 404 and code == "run_not_found":
        return "run_not_found"
    if status == 429 or code == "gateway_draining":
        return "runtime_busy"
    return "runtime_error"
