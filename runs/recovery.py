"""Take over a run whose engine died: follow it to its end, start it again if nothing was sent, or end it honestly.

Never stuck, never twice: a run that may have been sent once is not sent again.
"""

from __future__ import annotations

from runs import events
from runs.execution import Execution
from runs.recorder import RESUME_GAP
from runs.settling import Outcome
from runs.shared import Tools
from runs.work import Work


def execution_for(job: Work, tools: Tools, known: list[events.Event]) -> Execution:
    """The right kind of execution for a claimed run."""
    seq = known[-1].seq if known else 0
    if job.attempt <= 1:
        return Execution(job, tools, seq, known)
    seq += RESUME_GAP
    if job.runtime_run_id or job.runtime_session_id:
        return Resumed(job, tools, seq, known)
    return Execution(job, tools, seq, known)


class Resumed(Execution):
    """A run that was sent to the runtime before this engine lived. Its event stream is gone: tool steps and
    reasoning come from the router, the text from the runtime's status at the end."""

    def __init__(self, job: Work, tools: Tools, seq: int, known: list[events.Event]) -> None:
        super().__init__(job, tools, seq, known)
        self.ending.said = [text_since_last_tool(known)]

    def bind_lane(self, sandbox_id: str) -> None:
        """Take the run's lane again, before the router is served: calls that waited then find it."""
        if self.job.lane and self.job.runtime_run_id:
            self.lease = self.tools.lanes.lease(
                sandbox_id,
                self.job.run_id,
                self.job.target,
                self.sink,
                lane=self.job.lane,
                agent_id=self.job.agent_id,
                person_id=self.job.actor_id,
            )
            self.lease.runtime_run_id = self.job.runtime_run_id
            self.lease.purse = self.purse

    async def story(self) -> Outcome:
        if not self.job.runtime_run_id:
            return self.ending.lost("Logos stopped while the run was being handed to the agent runtime.")
        self.resident = await self.tools.residents.reattach(self.job.agent_id)
        if self.resident is None:
            return self.ending.lost("The sandbox ended while Logos was away.")
        self.review.sandbox_id = self.resident.running.sandbox_id
        self.recorder.emit("note", {"text": "Logos was restarted; the run went on in its sandbox."})
        await self.asking.take_over()
        if self.stop.is_set():  # asked before there was anybody to tell
            await self._stop_runtime()
        return await self.after_lost_stream(self.resident)


def text_since_last_tool(known: list[events.Event]) -> str:
    """What the agent had said after its last tool, as far as it was stored."""
    parts: list[str] = []
    for event in known:
        if event.kind == "text.delta":
            parts.append(event.data["text"])
        elif event.kind == "tool.started":
            parts.clear()
    return "".join(parts).lstrip("\n")
