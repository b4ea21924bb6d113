"""Every expected failure has a sentence, a label, and says whether trying again may help."""

from __future__ import annotations

import pytest

from agents.errors import Code, Conflict, Invalid, LogosError, NotFound


@pytest.mark.parametrize(
    ("error", "message", "reason", "permanent"),
    [
        (NotFound("Run"), "Run was not found.", "not_found", True),
        (NotFound(), "This was not found.", "not_found", True),
        (Invalid("No.", field="text"), "No.", "invalid", True),
        (Conflict("Busy."), "Busy.", "conflict", False),
        (
            LogosError("Down.", reason=Code.PROVIDER_UNREACHABLE, permanent=False),
            "Down.",
            "provider_unreachable",
            False,
        ),
    ],
)
def test_an_error_is_a_sentence_with_a_label(error: LogosError, message: str, reason: str, permanent: bool) -> None:
    assert (str(error), error.message, error.reason, error.permanent) == (message, message, reason, permanent)
    assert type(error.reason) is str
    assert error.action == ""


def test_the_stored_codes_are_the_ones_api_clients_know() -> None:
    assert {code.value for code in Code} == {
        *("sandbox_unavailable", "sandbox_disconnected", "dispatch_timeout", "runtime_error", "budget_exceeded"),
        *("provider_billing", "provider_auth", "provider_rate_limit", "provider_unreachable", "provider_timeout"),
        *("model_not_found", "context_overflow", "policy_denied", "approval_expired", "disk_full"),
        *("halted", "cancelled", "unknown"),
    }
