"""``manage.py sandbox shell NAME``: the caller's terminal, joined to a shell in a sandbox."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable

from agents import halting
from agents.agent_secrets import known_values
from agents.errors import Invalid
from agents.models import Agent, User
from sandboxes import lifecycle, shells
from sandboxes.claimants import host
from sandboxes.halts import HaltWatch
from sandboxes.models import Sandbox
from sandboxes.shell_records import Recorded
from sandboxes.terminal import Terminal

_TYPED_BYTES = 4096
HALTS_S = 0.5


def run(user: User, agent: Agent, row: Sandbox) -> int:
    """Until the shell ends; its exit code. Invalid without a terminal, SandboxError when the sandbox does not run."""
    if not (os.isatty(0) and os.isatty(1)):
        raise Invalid(
            "A shell needs a terminal on standard input and output.",
            reason="no_terminal",
            action=f"For scripts: sandbox exec -i {agent.name} -- CMD",
        )
    halting.require_running(agent_id=agent.pk, person_id=user.pk, server=host())
    if not asyncio.run(shells.is_running(row)):
        raise shells.not_running(f"Start it with: sandbox start {agent.name}")
    recorded = Recorded(user, agent, lifecycle.root_of(row.pk), known_values(agent))
    before, code = termios.tcgetattr(0), None
    sys.stdout.flush()
    try:
        tty.setraw(0)
        code = asyncio.run(_joined(user, row, recorded))
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        recorded.end(code)
    return code


async def _joined(user: User, row: Sandbox, recorded: Recorded) -> int:
    def heard(data: bytes) -> None:
        recorded.heard(data)
        while data:
            data = data[os.write(1, data) :]

    loop = asyncio.get_running_loop()
    attachment = await shells.attached(row)
    terminal = Terminal(heard)
    wanting = asyncio.create_task(shells.keep_wanted(row.pk, lifecycle.in_thread))
    halting_it = asyncio.create_task(_close_when_halted(user, row, terminal))
    try:
        columns, rows = os.get_terminal_size(0)
        await terminal.open(attachment, rows, columns, os.environ.get("TERM", "xterm"))
        loop.add_signal_handler(signal.SIGWINCH, lambda: terminal.resize(*reversed(os.get_terminal_size(0))))
        loop.add_reader(0, _pass_on(loop, terminal))
        return await terminal.wait()
    finally:
        wanting.cancel()
        halting_it.cancel()
        loop.remove_reader(0)
        loop.remove_signal_handler(signal.SIGWINCH)
        await terminal.close()
        await attachment.close()


async def _close_when_halted(user: User, row: Sandbox, terminal: Terminal) -> None:
    """A halt ends the shell; what it says stands below what the shell showed."""
    watch = HaltWatch(lifecycle.in_thread)
    while not (held := await watch.refusal(row.agent_id, (user.pk,))):
        await asyncio.sleep(HALTS_S)
    os.write(1, f"\r\n{held.message}\r\n".encode())
    await terminal.close()


def _pass_on(loop: asyncio.AbstractEventLoop, terminal: Terminal) -> Callable[[], None]:
    def typed() -> None:
        data = os.read(0, _TYPED_BYTES)
        if not data or not terminal.type(data):
            loop.remove_reader(0)
            if data:
                loop.call_later(0.05, again, data)

    def again(data: bytes) -> None:
        if terminal.type(data):
            loop.add_reader(0, typed)
        else:
            loop.call_later(0.05, again, data)

    return typed
