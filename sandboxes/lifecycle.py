"""Start, keep and stop sandboxes: the only caller of drivers' start and stop.

``ensure_running`` is safe to call from any process, any number of times: one caller claims the row, the
others wait for it. What runs already and answers is left alone.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings

from agents import halting
from agents.agent_secrets import Granted
from agents.errors import Conflict, LogosError
from agents.logcontext import about
from sandboxes import documents, drivers, identity, records
from sandboxes.claimants import host
from sandboxes.driver import Limits, SandboxDriver, SandboxError, SandboxSpec
from sandboxes.hermes import gateway, runtime
from sandboxes.hermes.configuration import HermesConfig
from sandboxes.hermes.spec import sandbox_spec, write_live_files
from sandboxes.models import Desired, State
from sandboxes.records import Wanted

logger = logging.getLogger(__name__)

# Host users of sandboxes when Logos runs as root: far above people and services, one per agent.
FIRST_UID = 200_000
WAIT_FOR_OTHER_S = 60.0

# The runtime's name for whatever model the router chooses per run: were it the real one, another model
# would mean another configuration, and a restart in the middle of other runs.
MODEL_LABEL = "logos"

Progress = Callable[[str], None]
Db = Callable[..., Awaitable[Any]]
Probe = Callable[[Wanted], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Running:
    """A sandbox whose runtime answers."""

    sandbox_id: str
    driver: str
    driver_state: Mapping[str, Any]
    layers: tuple[str, ...]
    api_key: str = field(repr=False)
    known_values: frozenset[str] = field(repr=False, default=frozenset())


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """The database hop of processes without an engine (commands, background work)."""
    return await sync_to_async(function, thread_sensitive=True)(*args)


def root_of(sandbox_id: str) -> Path:
    """The directory of one sandbox on the host."""
    return Path(settings.LOGOS_HOME) / "agents" / sandbox_id


async def wanted_of(agent_id: str, db: Db) -> Wanted:
    """What the agent's sandbox should be, and what is known of it here: a recorded state of another
    installation's sandbox is none. NotFound for a deleted agent."""
    wanted: Wanted = await db(records.wanted, agent_id)
    if drivers.get(wanted.driver).is_of(wanted.driver_state, root_of(wanted.sandbox_id)):
        return wanted
    return replace(wanted, driver_state={}, configuration_hash="")


async def answers(wanted: Wanted) -> bool:
    """Does the recorded sandbox run, and does its runtime take our key?"""
    driver = drivers.get(wanted.driver)
    if await driver.poll(wanted.driver_state) is not None:
        logger.info("The sandbox has ended since it was last seen")
        return False
    try:
        attachment = await driver.attach(wanted.driver_state)
    except SandboxError as error:
        logger.info("The sandbox cannot be attached to: %s %s", error.message, error.detail)
        return False
    try:
        return await gateway.is_alive(attachment, wanted.api_key)
    finally:
        await attachment.close()


async def ensure_running(
    agent_id: str,
    progress: Progress = lambda sentence: None,
    db: Db = in_thread,
    probe: Probe = answers,
    *,
    if_desired: bool = False,
) -> Running:
    """The agent's sandbox, started if need be, with its files in step with the agent's rows.

    ``progress`` gets sentences for the person who waits; ``probe`` says whether the recorded sandbox answers.
    ``if_desired`` is for Logos acting by itself: what somebody has stopped meanwhile stays stopped.
    Raises SandboxError or LogosError with the exact fix; the row then says why."""
    only_if = {"desired": Desired.RUNNING} if if_desired else {}
    wanted = await wanted_of(agent_id, db)
    if wanted.is_archived:
        raise Conflict(
            "This agent is archived, so its sandbox stays stopped.",
            reason="archived",
            action="Take it out of the archive first.",
        )
    await db(partial(halting.require_running, agent_id=agent_id, server=host()))
    with about(sandbox=wanted.sandbox_id):
        config, spec, digest = _composed(wanted)
        await asyncio.to_thread(_write_files, spec, config, wanted)
        if not await db(partial(records.touch, wanted.sandbox_id, **only_if)):
            return await _wait_for_other(wanted, progress, db, probe, if_desired=if_desired)
        if running := await _answering(wanted, digest, probe):
            return running
        if if_desired and wanted.state == State.RUNNING:
            # Somebody has started it meanwhile. Whether it stays silent is for ``probing`` to find out, with patience:
            # on a busy machine one late answer must not end the runs in it.
            return _as_recorded(wanted)
        if wanted.state == State.RUNNING:
            progress("The sandbox has changed or does not answer any more: it is started anew")
        if not await db(partial(records.claim, wanted.sandbox_id, State.STARTING, starts=wanted.starts, **only_if)):
            return await _wait_for_other(wanted, progress, db, probe, if_desired=if_desired)
        return await _start(wanted, spec, digest, progress, db)


async def needs_new_start(agent_id: str, db: Db) -> bool:
    """Is the sandbox composed otherwise than when it was started?"""
    return bool(await why_new_start(agent_id, db))


async def why_new_start(agent_id: str, db: Db) -> str:
    """What of it is composed otherwise than when it was started, for a sentence; "" for nothing."""
    wanted = await wanted_of(agent_id, db)
    return identity.differing(wanted.configuration_hash, _composed(wanted)[2])


def _composed(wanted: Wanted) -> tuple[HermesConfig, SandboxSpec, str]:
    installed = runtime.require(Path(settings.LOGOS_HOME))
    config = HermesConfig(MODEL_LABEL, wanted.toolsets, wanted.context_length)
    spec, driver = _spec(wanted, installed, config), drivers.get(wanted.driver)
    return config, spec, identity.digest(spec, wanted.secrets, driver.name + driver.protocol)


async def stop(agent_id: str, db: Db = in_thread, *, now: bool = False, and_stay: bool = True) -> None:
    """End the agent's sandbox; stopping what is stopped is not an error. Its files stay. With ``and_stay`` it
    is started again by the next message only, else also by ``reconciling`` if it should run."""
    known: records.Recorded | None = await db(records.recorded, agent_id)
    if known is None:
        return
    desired = Desired.STOPPED if and_stay else ""
    if not await db(partial(records.claim, known.sandbox_id, desired=desired)):
        raise SandboxError(
            "This sandbox is being started or stopped already.", reason="conflict", action="Try again in a moment."
        )
    await stop_claimed(known, db, now=now)


async def stop_claimed(known: records.Recorded, db: Db = in_thread, *, now: bool = False, reason: str = "") -> None:
    """End a sandbox this process has claimed, and give the claim back. ``reason`` is why, for people."""
    try:
        driver = drivers.get(known.driver)
        if known.driver_state and driver.is_of(known.driver_state, root_of(known.sandbox_id)):
            await driver.stop(known.driver_state, now=now)
    except LogosError as error:
        await db(records.ended, known.sandbox_id, State.FAILED, error.message)
        raise
    except BaseException:
        await db(records.ended, known.sandbox_id, State.FAILED, "Its end was interrupted.")
        raise
    await db(records.ended, known.sandbox_id, State.STOPPED, reason)


async def _answering(wanted: Wanted, digest: str, probe: Probe) -> Running | None:
    """The sandbox as recorded, if it runs, is composed as wanted, and its runtime answers."""
    if (
        wanted.state != State.RUNNING
        or wanted.is_claimed
        or wanted.configuration_hash != digest
        or not await probe(wanted)
    ):
        return None
    return _as_recorded(wanted)


def _as_recorded(wanted: Wanted) -> Running:
    return Running(
        wanted.sandbox_id, wanted.driver, wanted.driver_state, wanted.layers, wanted.api_key, wanted.known_values
    )


async def _start(wanted: Wanted, spec: SandboxSpec, digest: str, progress: Progress, db: Db) -> Running:
    driver = drivers.get(wanted.driver)
    try:
        progress("Preparing the sandbox")
        await _clear(driver, wanted, spec)
        handle = await driver.start(spec)
        try:
            progress("Starting the agent runtime")
            attachment = await driver.attach(handle.state)
            try:
                started = await gateway.start(attachment, spec.root, given=_given(wanted.secrets))
                # An agent may kill its runtime; it must not be able to answer in its place.
                await started.execution.guard()
            finally:
                await attachment.close()
        except BaseException:
            await driver.stop(handle.state, now=True)
            raise
    except (LogosError, OSError) as error:
        await db(records.ended, wanted.sandbox_id, State.FAILED, getattr(error, "message", str(error)))
        raise as_unavailable(error) from error
    except BaseException:
        await db(records.ended, wanted.sandbox_id, State.STOPPED, "Its start was interrupted.")
        raise
    await db(records.delivered, wanted.secrets)
    versions = {"agent runtime": started.version, **driver.versions()}
    await db(records.started, wanted.sandbox_id, dict(handle.state), handle.layers, started.key, digest, versions)
    logger.info("The sandbox runs, its runtime answered after %.2f s", started.ready_s)
    return Running(wanted.sandbox_id, wanted.driver, handle.state, handle.layers, started.key, wanted.known_values)


async def _clear(driver: SandboxDriver, wanted: Wanted, spec: SandboxSpec) -> None:
    """End what runs of this sandbox: composed otherwise, silent, or started by a process that died before
    it could write down what it had started."""
    states = [wanted.driver_state] if wanted.driver_state else []
    if found := await driver.find(spec.root):
        states.append(dict(found.state))
    for state in states:
        if await driver.poll(state) is None:
            await driver.stop(state, now=True)


async def _wait_for_other(wanted: Wanted, progress: Progress, db: Db, probe: Probe, *, if_desired: bool) -> Running:
    """Somebody else is starting or stopping it: wait until that is done, then look again."""
    if if_desired and not await db(records.is_desired, wanted.sandbox_id):
        raise Conflict("Somebody has stopped this sandbox.", reason="not_desired", action="The next message starts it.")
    progress("Waiting for the sandbox that is being prepared")
    deadline = asyncio.get_running_loop().time() + WAIT_FOR_OTHER_S
    while asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.1)
        if not await db(records.is_held, wanted.sandbox_id):
            return await ensure_running(wanted.agent_id, progress, db, probe, if_desired=if_desired)
    raise SandboxError(
        "The sandbox was not ready in time.",
        reason="sandbox_unavailable",
        action="Try again; ./logos doctor says what is wrong if it happens twice.",
    )


def _spec(wanted: Wanted, installed: runtime.Runtime, config: HermesConfig) -> SandboxSpec:
    uid = FIRST_UID + wanted.number if os.getuid() == 0 else None
    return sandbox_spec(
        name=wanted.sandbox_id,
        root=root_of(wanted.sandbox_id),
        runtime=installed,
        config=config,
        uid=uid,
        limits=Limits(**wanted.limits),
    )


def _given(granted: Iterable[Granted]) -> gateway.Given:
    return gateway.Given(
        tools={each.name: each.value for each in granted if "tools" in each.to},
        commands={each.name: each.value for each in granted if "commands" in each.to},
    )


def _write_files(spec: SandboxSpec, config: HermesConfig, wanted: Wanted) -> None:
    # The agents' users walk through both directories; what is in an agent's own is guarded further down.
    for directory in (spec.root.parent, spec.root):
        directory.mkdir(mode=0o711, parents=True, exist_ok=True)
    try:
        write_live_files(spec.root, config, wanted.soul)
        documents.install(spec.root, wanted.documents, spec.uid)
    except OSError as error:
        raise as_unavailable(error) from error


def as_unavailable(error: Exception) -> LogosError:
    """The error of a start as one that names the sandbox, the cause and the fix."""
    if isinstance(error, LogosError):
        return error
    full = isinstance(error, OSError) and error.errno in (28, 122)  # ENOSPC, EDQUOT
    return SandboxError(
        "The disk is full, so the sandbox could not be prepared." if full else "The sandbox could not be prepared.",
        reason="disk_full" if full else "sandbox_unavailable",
        detail=f"{type(error).__name__}: {error}",
        action="Free some space, then try again." if full else "Run ./logos doctor for the exact fix.",
        permanent=False,
    )
