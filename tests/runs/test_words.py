"""Every state and every error code has words for people."""

from __future__ import annotations

import pytest

from agents.errors import Code
from runs.models import ACTIVE, Status
from runs.words import ERRORS, STATES, describe


def test_every_state_has_a_word() -> None:
    assert set(STATES) == set(Status)
    assert len(set(STATES.values())) == len(STATES)


def test_a_run_is_under_way_or_has_ended() -> None:
    assert set(Status) - set(ACTIVE) == {Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.INTERRUPTED}


@pytest.mark.parametrize("code", Code)
def test_every_error_has_one_sentence_and_a_way_forward(code: Code) -> None:
    sentence, action = describe(code)

    assert sentence.endswith(".")
    assert action.endswith(".") or code == Code.CANCELLED
    assert set(ERRORS) == set(Code)


def test_what_the_failing_place_said_comes_first() -> None:
    assert describe(Code.PROVIDER_AUTH, "House refused the key.", "") == (
        "House refused the key.",
        ERRORS[Code.PROVIDER_AUTH][1],
    )
    assert describe("provider_auth", "", "Ask Ada.") == (ERRORS[Code.PROVIDER_AUTH][0], "Ask Ada.")


def test_a_code_nobody_knows_is_unknown() -> None:
    assert describe("something_new") == ERRORS[Code.UNKNOWN]
