"""Look at every running sandbox once a minute: does its runtime answer, how fast, and what does it use?

A failed look changes nothing but a count; ``reconciling`` starts anew what stays silent.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from datetime import timedelta
from pathlib import Path

from asgiref.sync import async_to_sync
from django.db.models import F
from django.utils import timezone

from agents import secrets
from agents.errors import LogosError
from sandboxes import drivers, lifecycle
from sandboxes.driver import Usage
from sandboxes.hermes import gateway
from sandboxes.models import HealthSample, Sandbox, State

logger = logging.getLogger(__name__)

KEPT = timedelta(hours=24)
# Long, because a busy machine answers late and starting anew would make it busier.
ANSWER_S = 15.0
DISK_EVERY = timedelta(minutes=10)
MOST_ENTRIES = 50_000
AT_ONCE = 8
WRITTEN = ("workspace", "home", "hermes")


def probe() -> str:
    """Look at all of them, and forget what is older than a day. What was seen, as a sentence for the record."""
    now = timezone.now()
    HealthSample.objects.filter(at__lt=now - KEPT).delete()
    rows = list(Sandbox.objects.filter(state=State.RUNNING, claimed_until=None).order_by("pk"))
    lately = HealthSample.objects.filter(at__gte=now - DISK_EVERY, disk_mb__isnull=False).order_by()
    measured = set(lately.values_list("sandbox_id", "start"))
    looks = async_to_sync(_look_at_all)(rows)
    for row, look in zip(rows, looks, strict=True):
        if look is not None:
            _note(row, *look, with_disk=(row.pk, row.starts) not in measured)
    return f"{len(rows)} looked at"


async def _look_at_all(rows: list[Sandbox]) -> list[tuple[Usage, float | None] | None]:
    few = asyncio.Semaphore(AT_ONCE)

    async def one(row: Sandbox) -> tuple[Usage, float | None] | None:
        async with few:
            try:
                return await look_at(row)
            except Exception:
                logger.exception("The sandbox %s could not be looked at", row.pk)
                return None

    return list(await asyncio.gather(*map(one, rows)))


async def look_at(row: Sandbox) -> tuple[Usage, float | None] | None:
    """What the sandbox uses and how long its runtime took to answer, None for never; None when it has ended or is
    another installation's."""
    driver = drivers.get(row.driver)
    if not driver.is_of(row.driver_state, lifecycle.root_of(row.pk)) or await driver.poll(row.driver_state) is not None:
        return None
    usage = await driver.usage(row.driver_state) or Usage(0.0, 0.0, 0)
    return usage, await _latency_ms(row)


async def _latency_ms(row: Sandbox) -> float | None:
    began = time.monotonic()
    try:
        async with asyncio.timeout(2 * ANSWER_S):
            attachment = await drivers.get(row.driver).attach(row.driver_state)
            try:
                is_alive = await gateway.is_alive(attachment, secrets.unseal(row.sealed_api_key), ANSWER_S)
            finally:
                await attachment.close()
    except (LogosError, TimeoutError):
        return None
    return (time.monotonic() - began) * 1000 if is_alive else None


def _note(row: Sandbox, usage: Usage, latency_ms: float | None, *, with_disk: bool) -> None:
    disk = disk_mb(lifecycle.root_of(row.pk)) if with_disk and drivers.get(row.driver).keeps_files_on_host else None
    now = timezone.now()
    still = Sandbox.objects.filter(pk=row.pk, state=State.RUNNING, starts=row.starts)
    silences = 0 if latency_ms is not None else F("silences") + 1
    if still.update(probed_at=now, silences=silences):
        HealthSample.objects.create(
            sandbox_id=row.pk, at=now, start=row.starts, cpu_s=usage.cpu_s, memory_mb=usage.memory_mb,
            processes=usage.processes, disk_mb=disk, latency_ms=latency_ms,
        )  # fmt: skip


def disk_mb(root: Path) -> float:
    """What the agent's own directories hold, as far as the first entries tell. No link is followed: whoever writes
    there may be changing it."""
    total = entries = 0
    for name in WRITTEN:
        try:
            for _, _, files, directory in os.fwalk(root / name, follow_symlinks=False):
                for file in files:
                    entries += 1
                    try:
                        total += os.stat(file, dir_fd=directory, follow_symlinks=False).st_blocks * 512
                    except OSError:
                        continue
                if entries > MOST_ENTRIES:
                    break
        except OSError:
            continue
    return total / (1 << 20)
