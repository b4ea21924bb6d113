"""Halts on the hot paths: nothing is asked of a provider, streams are cut, tunnels closed, and doubt stops everything."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents.halts import NOTHING, Halts, Held
from agents.reach import Reach
from sandboxes import halts as watching
from sandboxes.claimants import host
from sandboxes.halts import HaltWatch, refusal
from tests.sandboxes.egress.test_proxy import bench, echo
from tests.sandboxes.inference.conftest import House, house

__all__ = ["house"]

EVERYTHING = Halts((Held("h", "everything", reason="the rate limit of context length"),))


class Rows:
    """Stands for the database: what is stopped, how often it was asked, and whether it answers."""

    def __init__(self, found: Halts = NOTHING) -> None:
        self.found, self.asked, self.is_broken = found, 0, False

    async def __call__(self, function: Any, *args: Any) -> Halts:
        self.asked += 1
        if self.is_broken:
            raise OSError("database is locked")
        return self.found


@pytest.mark.parametrize(
    ("held", "agent_id", "persons", "is_refused"),
    [
        (Held("h", "everything"), "agent_a", (), True),
        (Held("h", "everything"), "agent_a", (1, None), True),
        (Held("h", "agent", "agent_a"), "agent_a", (1,), True),
        (Held("h", "agent", "agent_a"), "agent_b", (1,), False),
        (Held("h", "person", "1"), "agent_a", (1,), True),
        (Held("h", "person", "1"), "agent_a", (1, 1), True),
        (Held("h", "person", "1"), "agent_a", (1, 2), False),
        (Held("h", "person", "1"), "agent_a", (), False),
        (Held("h", "server", host()), "agent_a", (), True),
        (Held("h", "server", "elsewhere"), "agent_a", (), False),
        (Held("h", "everything", stage="deciding"), "agent_a", (), True),
        (Held("h", "everything", stage="chosen", chosen=frozenset({"agent_a"})), "agent_a", (), False),
        (Held("h", "everything", stage="chosen", chosen=frozenset({"agent_b"})), "agent_a", (), True),
    ],
)
def test_a_sandbox_is_closed_when_all_who_asked_in_it_are_stopped(
    held: Held, agent_id: str, persons: tuple[int | None, ...], is_refused: bool
) -> None:
    assert bool(refusal(Halts((held,)), agent_id, persons, (host(),))) == is_refused


async def test_what_is_stopped_is_asked_for_at_most_twice_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows()
    watch = HaltWatch(rows)
    for _ in range(100):
        await watch.refusal("agent_a")
    assert rows.asked == 1

    monkeypatch.setattr(watching, "BELIEVED_S", 0.0)
    rows.found = EVERYTHING

    assert await watch.refusal("agent_a") is not None
    assert rows.asked == 2


async def test_what_cannot_be_read_is_stopped_and_goes_on_when_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "BELIEVED_S", 0.0)
    rows = Rows()
    watch = HaltWatch(rows)
    rows.is_broken = True
    held = await watch.refusal("agent_a")
    assert held is not None
    assert "cannot be read" in held.message

    rows.is_broken = False

    assert await watch.refusal("agent_a") is None


# the router ----------------------------------------------------------------------------------------
async def test_a_stopped_run_reaches_no_provider_and_the_runtime_reads_no_reason(house: House) -> None:
    house.router._halts = HaltWatch(Rows(EVERYTHING))

    reply = await house.ask(house.lease("text"))

    assert (reply.status, reply.error["code"]) == (400, "halted")
    assert "rate limit" not in reply.error["message"]
    assert house.provider.requests == []


async def test_others_are_asked_as_before(house: House) -> None:
    house.router._halts = HaltWatch(Rows(Halts((Held("h", "agent", "agent_other"),))))

    assert (await house.ask(house.lease("text"))).status == 200


@pytest.mark.parametrize(("model", "status", "broke_off"), [("hang", 400, False), ("idle", 200, True)])
async def test_a_call_that_goes_on_is_cut(house: House, model: str, status: int, broke_off: bool) -> None:
    lease = house.lease(model)
    asking = asyncio.create_task(house.ask(lease))
    async with asyncio.timeout(30):
        while not (house.provider.requests and lease.waiting):
            await asyncio.sleep(0.01)

    for patience in list(lease.waiting):
        patience.give_up("halted")
    reply = await asyncio.wait_for(asking, 30)

    assert (reply.status, reply.broke_off) == (status, broke_off)
    assert [record.error_code for record in house.story.records] == ["halted"]
    assert lease.waiting == set()
    assert lease.open_calls == 0


# the proxy -----------------------------------------------------------------------------------------
async def test_an_open_tunnel_is_cut_at_once_and_says_why() -> None:
    async with bench(echo, {"hosts": ["example.org"]}) as these:
        reader, writer = await these.open()
        writer.write(b"CONNECT example.org:443 HTTP/1.1\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")

        these.reach = Reach((), closed="Everything is stopped.")
        assert await these.proxy.decide_again() == 1

        assert await asyncio.wait_for(reader.read(), 30) == b""
        [over] = await these.over()
        assert (over.allowed, over.reason) == (False, "Cut: Everything is stopped.")
        assert await these.proxy.decide_again() == 0
        writer.close()
