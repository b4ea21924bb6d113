"""A run whose agent is reviewed, the parts of an engine that ask, and a scripted reviewer behind the real router."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, cast

import pytest

from agents.models import Agent, ModelRoute, Provider, User
from runs import dispatch
from runs.asking import Asking
from runs.budgets.limits import Spender
from runs.budgets.purse import RunPurse
from runs.budgets.purser import Purser
from runs.models import Approval, ReviewerOpinion, Run, Status
from runs.recorder import Recorder
from runs.reviewing import setting
from runs.reviewing.asking import RunReviewer
from runs.settling import Figures
from runs.shared import Tools
from runs.sink import RunSink
from runs.work import Work
from sandboxes.halts import HaltWatch
from sandboxes.inference.lanes import Lanes
from sandboxes.inference.meter import Meter
from sandboxes.inference.router import Router
from sandboxes.inference.rows import write_rows
from sandboxes.lifecycle import in_thread
from tests.runs.reviewing.judge import Judge, running_judge

# Its severity is medium: the gate finds that a file is emptied.
MILD = "truncate -s 0 app.log"
OWNER = "engine-of-this-test"


@dataclass
class Record:
    """A recorder that remembers, and a runtime that takes every answer."""

    said: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    known: frozenset[str] = frozenset()

    def emit(self, kind: str, data: dict[str, Any]) -> None:
        self.said.append((kind, data))

    async def approve(self, run_id: str, choice: str, reason: str = "") -> None:
        self.said.append(("told", {"choice": choice, "reason": reason}))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [data for name, data in self.said if name == kind]


@dataclass
class Court:
    """What an engine has of one run."""

    run: Run
    judge: Judge
    asking: Asking
    reviewer: RunReviewer
    record: Record
    sink: Any
    tools: Any
    meter: Any
    purser: Purser

    async def ask(self, command: str = MILD) -> Approval:
        """The runtime asks; returns at once."""
        await self.asking.ask(command, "the runtime found it dangerous")
        return await in_thread(lambda: Approval.objects.latest("created_at"))

    async def over(self) -> None:
        """Until nothing is asked of the reviewer any more."""
        while tasks := [task for task, _ in self.reviewer._reviews.values()]:
            async with asyncio.timeout(120):
                await asyncio.wait(tasks)

    async def asked(self, command: str = MILD) -> tuple[Approval, ReviewerOpinion]:
        """Asked and answered: the request and what the reviewer said."""
        pk = (await self.ask(command)).pk
        await self.over()
        return await self.now(pk)

    async def now(self, pk: str) -> tuple[Approval, ReviewerOpinion]:
        def read() -> tuple[Approval, ReviewerOpinion]:
            return Approval.objects.get(pk=pk), ReviewerOpinion.objects.get(pk=pk)

        return cast(tuple[Approval, ReviewerOpinion], await in_thread(read))


def reviewed(ada: User, agent: Agent, base_url: str = "http://127.0.0.1:9/v1", **more: Any) -> ModelRoute:
    """Switch the reviewer on for ``agent``, with a model of its own."""
    kind = more.pop("provider", "openai-compatible")
    maker = Provider.objects.create(name=f"Judges by {kind}", kind=kind, base_url=base_url)
    route = ModelRoute.objects.create(
        provider=maker, model="judge-1", price_input=Decimal("2"), price_output=Decimal("10"), owner=ada
    )
    setting.change(ada, None, is_on=True, route=route, **more)
    setting.switch(ada, agent, True)
    return route


@pytest.fixture
def run_of(ada: User, alice: User, atlas: Agent) -> Callable[..., Run]:
    """A running run of alice's that began when the reviewer was on."""

    def make(base_url: str = "http://127.0.0.1:9/v1", origin: str = "web", text: str = "Tidy up.", **more: Any) -> Run:
        reviewed(ada, atlas, base_url, **more)
        run = dispatch.start(alice, text, agent=atlas, origin=origin).run
        Run.objects.filter(pk=run.pk).update(status=Status.RUNNING)
        return run

    return make


@pytest.fixture
async def court(run_of: Callable[..., Run]) -> AsyncIterator[Callable[..., Any]]:
    """Makes a ``Court``; what it opened is closed afterwards."""
    courts: list[Court] = []
    async with running_judge() as judge:

        async def make(
            origin: str = "web", text: str = "Tidy up.", known: frozenset[str] = frozenset(), **more: Any
        ) -> Court:
            run = await in_thread(lambda: run_of(judge.base_url, origin, text, **more))
            lanes, meter, purser = Lanes(), Meter(write_rows), Purser(in_thread, OWNER)
            router = Router(lanes, meter, halts=HaltWatch(in_thread))
            tools = cast(Tools, _Parts(in_thread, router, OWNER, asyncio.Semaphore(4), lanes))
            record = Record(known=known)
            spender = Spender(run.pk, run.conversation_id, run.agent_id, run.actor_id)
            sink = RunSink(cast(Recorder, record), cast(Any, None), Figures())
            job = cast(Work, _Job(run.pk, run.agent_id, run.actor_id))
            purse = RunPurse(purser, spender, record.emit)
            reviewer = RunReviewer(tools, job, purse, cast(Recorder, record), sink)
            asking = Asking(run.pk, cast(Recorder, record), in_thread, [], reviewer)
            courts.append(Court(run, judge, asking, reviewer, record, sink, tools, meter, purser))
            return courts[-1]

        yield make
        for each in courts:
            each.reviewer.abandon()
            await each.over()
            await each.tools.router.close()
            await each.meter.close()
            await each.purser.close()


@dataclass
class _Parts:
    db: Any
    router: Router
    owner: str
    reviews: asyncio.Semaphore
    lanes: Lanes


@dataclass
class _Job:
    run_id: str
    agent_id: str
    actor_id: int | None
