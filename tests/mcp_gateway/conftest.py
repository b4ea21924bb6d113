"""What every test of the gateway needs: patience with servers that start on a busy machine."""

from __future__ import annotations

import pytest

from mcp_gateway import fleet, relay

# Less than a caller of the tests waits for its answer.
STARTING_S = 100.0


@pytest.fixture(autouse=True)
def servers_may_take_long_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call waits that long for a server that is being started, so a slow machine refuses none."""
    monkeypatch.setattr(relay, "STARTING_S", STARTING_S)
    monkeypatch.setattr(fleet, "READY_S", STARTING_S)
