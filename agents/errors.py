"""The one error shape of Logos: what to tell the person, the log, the metrics, and whether to retry.

Every border (driver, provider, runtime, channel) translates foreign exceptions into a subclass of
``LogosError`` where they enter; HTTP statuses are chosen once, from ``reason``, in ``logos_site/api.py``.
"""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """Why a run ended badly. The values are stored in rows and sent to API clients: never rename one."""

    SANDBOX_UNAVAILABLE = "sandbox_unavailable"
    SANDBOX_DISCONNECTED = "sandbox_disconnected"
    DISPATCH_TIMEOUT = "dispatch_timeout"
    RUNTIME_ERROR = "runtime_error"
    BUDGET_EXCEEDED = "budget_exceeded"
    PROVIDER_BILLING = "provider_billing"
    PROVIDER_AUTH = "provider_auth"
    PROVIDER_RATE_LIMIT = "provider_rate_limit"
    PROVIDER_UNREACHABLE = "provider_unreachable"
    PROVIDER_TIMEOUT = "provider_timeout"
    MODEL_NOT_FOUND = "model_not_found"
    CONTEXT_OVERFLOW = "context_overflow"
    POLICY_DENIED = "policy_denied"
    APPROVAL_EXPIRED = "approval_expired"
    DISK_FULL = "disk_full"
    HALTED = "halted"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class LogosError(Exception):
    """A failure we expected.

    ``message``   one sentence for the person; never a secret, never a traceback
    ``reason``    a low-cardinality label for metrics, tests and API clients
    ``detail``    what the log should say; may name internals, is redacted before it is written
    ``action``    one sentence: what the person can do now
    ``permanent`` False when the same attempt may succeed later
    """

    def __init__(
        self, message: str, *, reason: str, detail: str = "", action: str = "", permanent: bool = True
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = str(reason)
        self.detail = detail
        self.action = action
        self.permanent = permanent


class NotFound(LogosError):
    """Not there, or not yours: the two look alike on purpose, so that nobody can probe for names."""

    def __init__(self, what: str = "This", *, action: str = "") -> None:
        super().__init__(f"{what} was not found.", reason="not_found", action=action)


class Invalid(LogosError):
    """The request cannot be carried out as written; ``field`` names the part to change."""

    def __init__(self, message: str, *, field: str = "", reason: str = "invalid", action: str = "") -> None:
        super().__init__(message, reason=reason, action=action)
        self.field = field


class Conflict(LogosError):
    """The request is fine, the moment is not: somebody or something else got there first."""

    def __init__(self, message: str, *, reason: str = "conflict", action: str = "") -> None:
        super().__init__(message, reason=reason, action=action, permanent=False)
