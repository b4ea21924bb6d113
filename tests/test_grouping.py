"""What must be alone runs alone: the demanding tests form one group, which one worker runs."""

from __future__ import annotations

import pytest


@pytest.mark.sandbox
def test_demanding_tests_are_one_group(request: pytest.FixtureRequest) -> None:
    is_worker = hasattr(request.config, "workerinput")

    assert request.node.nodeid.endswith("@alone") or not is_worker
