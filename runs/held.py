"""What halts mean for runs: which are held, which are asked to stop, and what became of the asking."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from agents import halting
from agents.halts import Halts, Held
from agents.models import Halt, HaltStop
from agents.numbers import whole
from runs import approvals, dispatch
from runs.models import ACTIVE, Approval, EngineBeat, Run, Status
from sandboxes.claimants import host, is_dead
from sandboxes.models import Sandbox, State

# Nothing and nobody: what no row is.
NONE = Q(pk__in=())
# An engine that has said nothing for so long is asked nothing: it would never confirm.
ALIVE = timedelta(minutes=1)
BEGUN = tuple(status for status in ACTIVE if status != Status.QUEUED)


def connect() -> None:
    """Listen to what is stopped."""
    halting.halted.connect(ask_to_stop)
    halting.resumed.connect(let_decide)
    halting.CONFIRM.append(confirm)


def held_now() -> Q:
    """The runs that may not go on now."""
    return of_halts(halting.current())


def of_halts(halts: Halts) -> Q:
    """The runs that these halts are about."""
    found = NONE
    for each in halts:
        found |= _of(each)
    return found


def _of(held: Held) -> Q:
    if held.scope == "agent":
        return Q(agent=held.subject)
    if held.scope == "person":
        return Q(actor=whole(held.subject))
    if held.scope == "server" and held.subject != host():
        return NONE
    everything = ~NONE
    return everything & ~Q(agent__in=held.chosen) if held.stage == "chosen" else everything


def ask_to_stop(halt: Halt, **rest: Any) -> None:
    """Receiver of ``halted``: ask what goes on to stop, and write down what was asked. May be called again."""
    freeze(halting.value(halt))
    for run_id in ask_runs(halting.value(halt), halt.by_id):
        dispatch.announce(run_id)
    now = timezone.now()
    agents: dict[str, Any] = {"agent_id": halt.agent_id} if halt.agent_id else {}
    boxes = Sandbox.objects.filter(state__in=(State.RUNNING, State.STARTING), **agents).values_list("pk", "agent_id")
    lately = EngineBeat.objects.filter(seen_at__gt=now - ALIVE).values_list("owner", flat=True)
    engines = [owner for owner in lately if not is_dead(owner)]
    asked = [
        HaltStop(kind="engine", subject=owner, note="refuses new work", halt=halt, requested_at=now)
        for owner in engines
    ]
    if halt.scope != "person" and (halt.scope != "server" or halt.subject == host()):
        asked += [
            HaltStop(
                kind="sandbox", subject=pk, agent_id=agent_id, note="nothing goes out", halt=halt, requested_at=now
            )
            for pk, agent_id in boxes
        ]
    HaltStop.objects.bulk_create(asked, ignore_conflicts=True)


def ask_runs(held: Held, by_id: int | None) -> list[str]:
    """Ask the runs that have begun, and that this halt is about, to stop; those that had not been asked."""
    now = timezone.now()
    begun = Run.objects.filter(_of(held), status__in=BEGUN)
    rows = list(begun.values_list("pk", "agent_id", "cancel_requested_at"))
    begun.filter(cancel_requested_at=None).update(cancel_requested_at=now, cancelled_by=by_id)
    stops = [
        HaltStop(halt_id=held.id, kind="run", subject=pk, agent_id=agent, requested_at=now) for pk, agent, _ in rows
    ]
    HaltStop.objects.bulk_create(stops, ignore_conflicts=True)
    return [pk for pk, _, asked_at in rows if asked_at is None]


def confirm(halt: Halt) -> None:
    """Runs that have ended since they were asked, and sandboxes that have: both can be read from rows."""
    open_ones = HaltStop.objects.filter(halt=halt, confirmed_at=None)
    runs = list(open_ones.filter(kind="run").values_list("subject", flat=True))
    for pk, ended in Run.objects.filter(pk__in=runs).exclude(status__in=ACTIVE).values_list("pk", "finished_at"):
        open_ones.filter(kind="run", subject=pk).update(confirmed_at=ended or timezone.now())
    boxes = list(open_ones.filter(kind="sandbox").values_list("subject", flat=True))
    gone = Sandbox.objects.filter(pk__in=boxes).exclude(state__in=(State.RUNNING, State.STARTING))
    for pk in gone.values_list("pk", flat=True):
        open_ones.filter(kind="sandbox", subject=pk).update(confirmed_at=timezone.now(), note="it runs no more")


def terminal_closed(halt_id: str, sandbox_id: str, agent_id: str, username: str) -> None:
    """A terminal was closed because of a halt: asked and confirmed in one, by the process that had it."""
    halt = Halt.objects.filter(pk=halt_id).first()
    if halt is not None:
        facts = {"agent_id": agent_id, "requested_at": halt.at, "confirmed_at": timezone.now(), "note": "closed"}
        subject = f"{username[:30]} in {sandbox_id}"
        HaltStop.objects.update_or_create(halt=halt, kind="terminal", subject=subject, defaults=facts)


def freeze(held: Held) -> None:
    """What waits for a person about this waits longer, and cannot be decided, while the halt forbids decisions."""
    if held.forbids_decisions:
        approvals.freeze(Approval.objects.filter(_asked(held)))


def let_decide(halt: Halt, **rest: Any) -> None:
    """Receiver of ``resumed``: whatever no halt holds any more can be decided, and has the time back it was frozen."""
    frozen = Approval.objects.filter(frozen_at__isnull=False)
    for row in Halt.objects.filter(lifted_at=None):
        if (held := halting.value(row)).forbids_decisions:
            frozen = frozen.exclude(_asked(held))
    approvals.thaw(frozen)


def _asked(held: Held) -> Q:
    """The requests to people that this halt is about."""
    if held.scope == "agent":
        return Q(agent=held.subject)
    if held.scope == "person":
        return Q(asked_for=whole(held.subject))
    if held.scope == "server" and held.subject != host():
        return NONE
    return ~NONE


def enforce(owner: str, served: Iterable[str], cut: str) -> list[str]:
    """One engine's part, again and again while something is stopped: ask what began in the same moment, and say that it
    refuses. ``served`` are the sandboxes for which it refuses; the runs that are to be told."""
    halting.take_up()
    told: list[str] = []
    served, now = list(served), timezone.now()
    for row in Halt.objects.filter(lifted_at=None):
        freeze(halting.value(row))
        told += ask_runs(halting.value(row), row.by_id)
        mine = HaltStop.objects.filter(halt=row, confirmed_at=None)
        HaltStop.objects.get_or_create(halt=row, kind="engine", subject=owner, defaults={"requested_at": row.at})
        mine.filter(kind="engine", subject=owner).update(confirmed_at=now, note=cut)
        mine.filter(kind="sandbox", subject__in=served).update(confirmed_at=now)
        confirm(row)
    return told
