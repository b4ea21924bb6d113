"""The local driver: one bubblewrap sandbox per agent on this machine, kept alive by a keeper process of its own."""

from __future__ import annotations

import asyncio
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandboxes.driver import Check, SandboxDriver, SandboxError, SandboxHandle, SandboxSpec, Survivor, Usage
from sandboxes.local import attachment, doctor, groups, machine, measuring, prepare, processes, survivors, tree, wire
from sandboxes.local.starting import start_keeper

GRACE_S = 5.0  # what runs inside has this long to end by itself when asked
END_TIMEOUT_S = 10.0
LOCK_PATIENCE_S = 0.5


class LocalDriver(SandboxDriver):
    """See ``docs/writing-a-driver.md`` for the contract and ``keeper`` for who holds what."""

    name = "local"
    protocol = f" {wire.VERSION}"
    isolates = frozenset({"filesystem", "network", "process", "credentials"})
    keeps_files_on_host = True

    def __init__(self, *, use_groups: bool = True) -> None:
        self._use_groups = use_groups  # control groups, where this machine offers any

    async def start(self, spec: SandboxSpec) -> SandboxHandle:
        bubblewrap = machine.require_all()
        tree.check(spec)
        _check_user(spec)
        lock = await _take_lock(spec)
        try:
            await _end_leftovers(tree.engine_directory(spec.root))
            prepare.make_sources(spec)
            state = await start_keeper(spec, lock, bubblewrap, self._use_groups)
        finally:
            os.close(lock)  # the keeper has its own copy
        return SandboxHandle(state=state, layers=tuple(state["layers"]))

    async def poll(self, state: Mapping[str, Any]) -> int | None:
        return None if state and processes.is_running(state["keeper"]) else 0

    async def stop(self, state: Mapping[str, Any], *, now: bool = False) -> None:
        grace_s = 0.0 if now else GRACE_S
        if processes.is_running(state["keeper"]):
            try:
                await _ask_to_end(await self.attach(state), grace_s)
            except (SandboxError, TimeoutError):
                processes.kill(state["keeper"])
        await _end(state["init"])
        await _end(state["keeper"])
        await asyncio.to_thread(groups.remove, state.get("groups", []))

    async def attach(self, state: Mapping[str, Any]) -> attachment.LocalAttachment:
        connection = await attachment.connect(Path(state["engine"]))
        if (await connection.hello())["keeper"] != state["keeper"]:
            await connection.close()
            raise attachment.disconnected("another sandbox was started in its place")
        return connection

    def is_of(self, state: Mapping[str, Any], root: Path) -> bool:
        return bool(state.get("engine") == str(tree.engine_directory(root)))

    async def find(self, root: Path) -> SandboxHandle | None:
        state = survivors.written_state(tree.engine_directory(root))
        if state is None or not self.is_of(state, root) or await self.poll(state) is not None:
            return None
        return SandboxHandle(state=state, layers=tuple(state["layers"]))

    async def survivors(self, agents: Path) -> list[Survivor]:
        return await asyncio.to_thread(survivors.below, agents)

    async def usage(self, state: Mapping[str, Any]) -> Usage | None:
        if not state or not processes.is_running(state["init"]):
            return None
        return await asyncio.to_thread(measuring.usage, state["init"]["pid"])

    def versions(self) -> dict[str, str]:
        bubblewrap = ".".join(map(str, machine.require_bubblewrap().version))
        return {"keeper": str(wire.VERSION), "bubblewrap": bubblewrap, "kernel": platform.release()}

    async def doctor(self) -> list[Check]:
        return await doctor.examine(self)


async def _take_lock(spec: SandboxSpec) -> int:
    """The agent's lock; a keeper that has just died may hold it for another moment."""
    deadline = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            return prepare.take_lock(spec)
        except SandboxError as problem:
            if problem.reason != "sandbox_running" or time.monotonic() > deadline:
                raise
            if await attachment.is_answered(tree.engine_directory(spec.root)):
                raise
        await asyncio.sleep(0.01)


def _check_user(spec: SandboxSpec) -> None:
    if os.geteuid() == 0 and not spec.uid:
        raise SandboxError(
            "Logos runs as root, so every sandbox needs a user of its own; none was given.",
            reason="sandbox_user",
            action="Give the agent a user number (uid) of its own, not 0.",
        )
    if os.geteuid() != 0 and spec.uid not in (None, os.geteuid()):
        raise SandboxError(
            "Only root can start a sandbox as another user.",
            reason="sandbox_user",
            detail=f"running as {os.geteuid()}, asked for {spec.uid}",
        )


async def _end_leftovers(engine: Path) -> None:
    """After a keeper was killed, its sandbox may need another moment; two must never share a home."""
    if state := survivors.written_state(engine):
        await _end(state["init"])


async def _ask_to_end(connection: attachment.LocalAttachment, grace_s: float) -> None:
    try:
        connection.ask_to_stop(grace_s)
        async with asyncio.timeout(grace_s + END_TIMEOUT_S):
            await connection.wait_gone()
    finally:
        await connection.close()


async def _end(process: dict[str, Any]) -> None:
    """Return when it is gone; if it does not go by itself (a moment is enough by now), kill it."""
    if not processes.is_running(process):
        return
    if not await asyncio.to_thread(processes.wait_gone, process, 1.0):
        processes.kill(process)
        if not await asyncio.to_thread(processes.wait_gone, process, END_TIMEOUT_S):
            raise SandboxError(
                "The sandbox does not end; the kernel still holds one of its processes.",
                reason="sandbox_stuck",
                detail=f"process {process['pid']}",
                action="Look for a hanging disk or mount on this machine.",
            )
