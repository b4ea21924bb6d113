"""The demanding tests form two groups, each of which one worker runs: what must be alone, and what goes beside it."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    "group",
    [
        pytest.param("alone", marks=pytest.mark.sandbox),
        pytest.param("beside", marks=pytest.mark.services),
        pytest.param("beside", marks=pytest.mark.sweep),
    ],
)
def test_demanding_tests_are_of_one_group(request: pytest.FixtureRequest, group: str) -> None:
    is_worker = hasattr(request.config, "workerinput")

    assert request.node.nodeid.endswith(f"@{group}") or not is_worker
