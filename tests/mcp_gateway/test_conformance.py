"""The official conformance suite through the gateway, behind the token of an agent, in both eras of the protocol.

The suite cannot send a header of ours, so a shim adds the token; host and origin pass as they are. Each era has a server
of its own, as a server speaks one era for all its life.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from mcp_gateway.remote.peer import RemoteLaunch
from sandboxes.inference.serve import PassedListeners
from tests.mcp_gateway import suite
from tests.mcp_gateway.gate import ATLAS, Gate, a_gate

# Marked with what needs real software of others, which ``./logos test`` fetches.
pytestmark = pytest.mark.services


def showing_the_token(gate: Gate) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        token = (b"authorization", f"Bearer {ATLAS}".encode())
        await gate.door({**scope, "headers": [*scope["headers"], token]}, receive, send)

    return app


@pytest.mark.parametrize("far", [False, True], ids=["a program", "elsewhere"])
@pytest.mark.parametrize(("revision", "era", "scored"), [("2025-11-25", "handshake", 30), ("2026-07-28", "modern", 37)])
async def test_every_scored_scenario_passes(tmp_path: Path, revision: str, era: str, scored: int, far: bool) -> None:
    listeners, listener = PassedListeners(drain_s=1), socket.create_server(("127.0.0.1", 0))
    async with a_gate() as gate, a_gate() as other:
        if far:
            # The same server behind a gateway of its own: every message goes over HTTP once more.
            other.add("everything", "--era", era, asks_caller=True)
            start = RemoteLaunch(f"{other.url}/everything", {"Authorization": f"Bearer {ATLAS}"}, allows_private=True)
            supervisor = gate.add("everything", start=start, asks_caller=True)
            # A gateway answers in both eras; what this one is asked in must be that of the callers.
            supervisor._is_old = era == "handshake"
        else:
            gate.add("everything", "--era", era, asks_caller=True)
        await listeners.add("shim", listener, showing_the_token(gate))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp/everything"
        try:
            passed, failed = await suite.passed(url, revision, tmp_path)
        finally:
            await listeners.close()

    assert not failed
    assert len(passed) == scored
    assert {each.agent_id for each in gate.records} == {"agent_atlas"}
