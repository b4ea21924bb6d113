"""Servers of the official SDK ask the model that they were lent, in both eras of the protocol."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.mcp_gateway.gate import a_gate
from tests.mcp_gateway.lending import BOUNDS, Kept, Small

# Marked with what needs real software of others, which ``./logos test`` fetches.
pytestmark = pytest.mark.services

ASKER = Path(__file__).with_name("sdk_asker.py")
PYTHON = sys.executable


@pytest.mark.parametrize("era", ["handshake", "modern"])
async def test_a_server_of_the_sdk_is_answered_refused_and_goes_on(era: str) -> None:
    small, kept = Small(), Kept()
    async with a_gate() as gate:
        sampler = gate.relay.carrier.sampler
        sampler.lends, sampler._store = small, kept.store
        # ``command`` is another than this interpreter as a text, so that its words are taken as they are.
        supervisor = gate.add(
            "asker", "-B", str(ASKER), command=f"{Path(PYTHON).parent}/./{Path(PYTHON).name}", sampling=BOUNDS
        )
        supervisor._is_old = era == "handshake"

        async def ask(**arguments: Any) -> Any:
            return await gate.call("asker", "capital", **arguments)

        answer = json.loads((await ask(tokens=5000))["result"]["content"][0]["text"])
        small.without_money()
        refused = await ask()
        small.refuses = None
        gate.rule("asker", sampling=replace(BOUNDS, tool_rounds=2))
        small.answer = {"tool_calls": [{"id": "c1", "function": {"name": "look_up", "arguments": '{"word": "Paris"}'}}]}
        used = json.loads((await ask(tools=True))["result"]["content"][0]["text"])

        assert supervisor.known.era == era
    assert (answer["model"], answer["content"]["text"], answer["stopReason"]) == ("small-1", "Paris.", "endTurn")
    assert small.asked[0][1]["max_tokens"] == 64
    # In the handshake era the SDK makes an error of the call out of it.
    assert "A budget has no room" in json.dumps(refused)
    use = used["content"] if isinstance(used["content"], dict) else used["content"][0]
    assert (used["stopReason"], use["name"], use["input"]) == ("toolUse", "look_up", {"word": "Paris"})
    assert [row.outcome for row in kept.rows] == ["ok", "refused", "ok"]
