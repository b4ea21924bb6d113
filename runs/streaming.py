"""Follow one run live: subscribe, replay the rows after what the viewer has, drop doubles, follow to the end.

Used by the streams of ``channels_app``; knows nothing of HTTP.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from runs import events
from runs.events import ENDS
from runs.hub import Hub, Live

# A run carried out by this process rings for every event, and its rows are only looked at now and then;
# for any other the rows are all there is.
LOOK_CARRIED_S = 5.0
LOOK_ELSEWHERE_S = 0.2

Db = Callable[..., Awaitable[Any]]


async def follow(
    run_id: str, after: int, hub: Hub, db: Db, tell: Callable[[Live], bool] | None = None
) -> AsyncGenerator[list[Live], None]:
    """Batches of events with ``seq`` above ``after``, in order, each once; ends after the run's last event.

    An empty batch is a sign of life. Ends early when the viewer was too slow: it then resumes from rows; ends
    too when the last event is not above ``after``. ``tell`` may take an event in the moment it happens, without
    a turn of this generator's task; what it refuses comes in a batch."""
    seq = after

    def at_once(live: Live) -> bool:
        nonlocal seq
        if live.event.seq <= seq:
            return True
        if live.event.kind in ENDS or tell is None or not tell(live):
            return False
        seq = live.event.seq
        return True

    with hub.subscribe(run_id) as subscription:
        subscription.at_once = at_once if tell is not None else None
        batch = [Live(event) for event in await db(events.replay, run_id, seq)]
        while True:
            if not batch and seq == after > 0 and await db(events.has_ended, run_id, after):
                return  # the viewer has had the last event, or says so
            fresh = [live for live in batch if live.event.seq > seq]
            if fresh:
                seq = fresh[-1].event.seq
            yield fresh
            if fresh and fresh[-1].event.kind in ENDS:
                return
            if subscription.overflowed:
                return
            batch = await subscription.wait(LOOK_CARRIED_S if run_id in hub.carried else LOOK_ELSEWHERE_S)
            if not batch:
                batch = [Live(event) for event in await db(events.replay, run_id, seq)]
