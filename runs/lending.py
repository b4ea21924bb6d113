"""Model calls that Logos makes for somebody else: at the expense of a run that goes on here, an agent, or a person.

They take the router's way like every other call: budgets are asked first, a halt cuts them, provider keys stay outside,
and each is a record and a charge. What belongs to no run is charged to the agent and its owner, or to the person alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from agents.models import Agent
from runs import work
from runs.budgets.limits import Spender
from runs.budgets.purse import RunPurse
from runs.shared import Tools
from runs.sink import call_data
from sandboxes.inference.calls import CallRecord, RouteTarget
from sandboxes.inference.lanes import Lease
from sandboxes.inference.tap import RunTap

if TYPE_CHECKING:
    from runs.execution import Execution


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays: the run if it goes on here, else the agent and its owner, else the person. ``by`` says in the run's
    timeline who asked, ``name`` which of those."""

    run_id: str = ""
    agent_id: str = ""
    person_id: int | None = None
    by: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Lent:
    """What came of it: the router's status and whole answer, and the record of the call if one was made or refused."""

    status: int
    body: bytes
    record: CallRecord | None = None


class Lends(Protocol):
    """Asks models for others; ``Lender`` where an engine runs."""

    async def target(self, route_id: str) -> RouteTarget | None: ...
    async def ask(self, payer: Payer, target: RouteTarget, body: bytes) -> Lent: ...


@dataclass(slots=True)
class _Sink:
    """Counts the call to the run it is made for, and tells nothing of its content."""

    payer: Payer
    run: Execution | None
    records: list[CallRecord] = field(default_factory=list)

    def call_finished(self, record: CallRecord) -> None:
        self.records.append(record)
        if self.run is not None:
            self.run.sink.figures.add(record)
            said = {**call_data(record), "by": self.payer.by, "name": self.payer.name}
            self.run.recorder.emit("model.call", said)

    def reasoning(self, text: str, *, conversation: str) -> None: ...
    def tool_proposed(self, call_id: str, name: str, *, conversation: str) -> None: ...
    def tool_requested(self, call_id: str, name: str, args: dict[str, Any], *, conversation: str) -> None: ...
    def tool_result(self, call_id: str, name: str, result: str, *, conversation: str) -> None: ...


class Lender:
    """Used on the engine's event loop. ``going`` finds a run that this engine carries out."""

    def __init__(self, tools: Tools, going: Callable[[str], Execution | None]) -> None:
        self._tools, self._going = tools, going

    async def target(self, route_id: str) -> RouteTarget | None:
        """Where calls on this route go, without others in its place; None when it is gone."""
        return await self._tools.db(work.alone, route_id)

    async def ask(self, payer: Payer, target: RouteTarget, body: bytes) -> Lent:
        """Ask once; what the budget does not allow comes back as the router's refusal. Cancel it to hang up."""
        run = self._going(payer.run_id) if payer.run_id else None
        person = run.job.actor_id if run is not None else await self._tools.db(_person_of, payer)
        sink = _Sink(payer, run)
        tap = RunTap(sink)
        tap.silent = True
        lease = Lease(
            sandbox_of(run), 0, run.job.run_id if run is not None else "", target, sink, tap,
            agent_id=payer.agent_id, person_id=person,
        )  # fmt: skip
        spender = run.job.spender if run is not None else Spender("", "", payer.agent_id or None, person)
        # A model of its own that a budget falls back on is for the run's own calls: this one is asked of one model only.
        lease.purse = RunPurse(self._tools.purser, spender, run.recorder.emit if run is not None else _nobody_hears)
        told = await self._tools.router.ask(lease, body)
        return Lent(told.status, told.body, sink.records[-1] if sink.records else None)


def sandbox_of(run: Execution | None) -> str:
    """The sandbox a run goes on in, "" before it has one."""
    return run.resident.running.sandbox_id if run is not None and run.resident is not None else ""


def _person_of(payer: Payer) -> int | None:
    """Who owns the agent, or the person that was named."""
    if not payer.agent_id:
        return payer.person_id
    return Agent.objects.filter(pk=payer.agent_id).values_list("owner_id", flat=True).first()


def _nobody_hears(kind: str, data: dict[str, Any]) -> None:
    return None
