"""What every run of an engine shares."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from runs.budgets.purser import Purser
from runs.hub import Hub
from runs.recorder import Writer
from sandboxes.inference.lanes import Lanes
from sandboxes.inference.router import Router
from sandboxes.residents import Residents

# Runs a function of the database in a thread.
Db = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Tools:
    """The parts an execution works with."""

    residents: Residents
    lanes: Lanes
    writer: Writer
    hub: Hub
    db: Db
    purser: Purser
    router: Router
    owner: str  # the engine's name
    reviews: asyncio.Semaphore  # how many requests the reviewer is asked about at the same time
