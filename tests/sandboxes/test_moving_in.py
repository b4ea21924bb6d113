"""A sandbox that the engine fails to take on: nothing of the attempt goes on serving it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from sandboxes import residents
from sandboxes.driver import SandboxError
from sandboxes.lifecycle import Running
from sandboxes.residents import Residents


@pytest.mark.parametrize("problem", [SandboxError("It is gone.", reason="gone"), asyncio.CancelledError()])
async def test_a_failed_attempt_gives_everything_back(monkeypatch: pytest.MonkeyPatch, problem: BaseException) -> None:
    told: list[str] = []

    def telling(what: str, answer: Any = None) -> Any:
        async def tell(*given: Any) -> Any:
            told.append(what)
            return answer

        return tell

    async def fails() -> None:
        raise problem

    sockets = {residents.ROUTER_PORT: object(), residents.EGRESS_PORT: object()}
    attachment = SimpleNamespace(listeners=telling("bound", sockets), close=telling("attachment closed"))
    proxy = SimpleNamespace(close=telling("proxy closed"))
    listeners = SimpleNamespace(add=telling("router serves"), remove=telling("router ends"))
    egress = SimpleNamespace(serve=telling("proxy serves", proxy))
    driver = SimpleNamespace(attach=telling("attached", attachment))
    monkeypatch.setattr(residents.drivers, "get", lambda name: driver)
    monkeypatch.setattr(residents.gateway, "client_for", lambda *given: SimpleNamespace(__aenter__=fails))
    moving: Any = Residents(listeners, None, lambda box: None, None, egress)  # type: ignore[arg-type]

    with pytest.raises(type(problem)):
        await moving._move_in("agent_1", Running("box_1", "fake", {"x": 1}, (), "key"))

    assert told == [
        "attached", "bound", "router serves", "proxy serves", "router ends", "proxy closed", "attachment closed",
    ]  # fmt: skip
    assert moving._by_agent == {}
