"""List, start and stop sandboxes, run commands in them, read their logs."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from pathlib import Path
from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import CommandParser

from agents import composition, permissions, secrets
from agents.command_line import LogosCommand, add_person, plain, reader
from agents.errors import Invalid, LogosError
from agents.models import Agent
from sandboxes import drivers, lifecycle
from sandboxes.api import SandboxOut
from sandboxes.driver import SandboxError
from sandboxes.models import Sandbox
from sandboxes.standard_streams import StandardStreams

FOLLOW_S = 0.2
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Command(LogosCommand):
    """``sandbox list|start|stop|exec|logs``."""

    help = "List, start and stop sandboxes, run commands in them, read their logs. NAME is an agent's name or id."
    exits = (
        "exit codes: 0 done, 1 refused (one sentence on standard error says why);\n"
        "            exec: the command's own, 128 + n after signal n, 127 if it cannot be started"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|start|stop|exec|logs")
        listing = verbs.add_parser("list", help="list sandboxes and their states")
        listing.add_argument("--json", action="store_true")
        start = verbs.add_parser("start", help="start one and wait until the agent runtime in it answers")
        start.add_argument("--json", action="store_true")
        stop = verbs.add_parser("stop", help="end everything in it; files stay")
        stop.add_argument("--now", action="store_true", help="do not wait for processes to end by themselves")
        stop.add_argument("--json", action="store_true")
        execute = verbs.add_parser("exec", help="run a command in it: exec -i NAME -- CMD…")
        execute.add_argument("-i", action="store_true", dest="interactive", help="connect standard input")
        logs = verbs.add_parser("logs", help="what the agent runtime in it wrote")
        logs.add_argument("-f", action="store_true", dest="follow", help="go on as more is written")
        logs.add_argument("-n", type=int, default=50, dest="lines", metavar="N", help="last lines (default 50)")
        for verb in (listing, start, stop, execute, logs):
            add_person(verb)
        for verb in (start, stop, execute, logs):
            verb.add_argument("name", metavar="NAME")
        execute.add_argument("command", metavar="CMD", nargs=argparse.REMAINDER)

    def do_list(self, options: dict[str, Any]) -> None:
        rows = Sandbox.objects.filter(agent__deleted_at=None).select_related("agent")
        seen = permissions.visible(reader(options["user"]), rows).order_by("agent__name", "pk")
        if options["json"]:
            self.print_json([SandboxOut.from_orm(row).model_dump(mode="json") for row in seen])
            return
        self.print_table(
            ("AGENT", "STATE", "DRIVER", "LAYERS", "ID", "REASON"),
            ((r.agent.name, r.get_state_display().lower(), r.driver, ",".join(r.layers), r.pk, r.reason) for r in seen),
        )

    def do_start(self, options: dict[str, Any]) -> None:
        agent = _agent(options)
        async_to_sync(lifecycle.ensure_running)(agent.pk, progress=self.say)
        self._report(agent, options)

    def do_stop(self, options: dict[str, Any]) -> None:
        agent = _agent(options)
        async_to_sync(lifecycle.stop)(agent.pk, now=options["now"])
        self._report(agent, options)

    def do_exec(self, options: dict[str, Any]) -> None:
        argv = options["command"][1:] if options["command"][:1] == ["--"] else options["command"]
        if not argv:
            raise Invalid("Say which command to run, for instance: sandbox exec atlas -- ls -l", field="command")
        row = _row(_agent(options))
        sys.stdout.flush()
        self.end(asyncio.run(execute(row.driver, row.driver_state, argv, interactive=options["interactive"])))

    def do_logs(self, options: dict[str, Any]) -> None:
        path = lifecycle.root_of(_row(_agent(options)).pk) / "engine" / "gateway.log"
        try:
            position = self._print_tail(path, options["lines"])
        except OSError as error:
            why = "There is no log yet." if isinstance(error, FileNotFoundError) else f"{error.strerror}."
            raise LogosError(f"The log cannot be read. {why}", reason="not_found") from error
        try:
            while options["follow"]:
                time.sleep(FOLLOW_S)
                position = self._print_from(path, position)
        except KeyboardInterrupt:
            return

    def _print_tail(self, path: Path, lines: int) -> int:
        content = path.read_bytes()
        wanted = content.splitlines(keepends=True)[-lines:] if lines > 0 else []
        self._print_log(b"".join(wanted))
        return len(content)

    def _print_from(self, path: Path, position: int) -> int:
        try:
            size = path.stat().st_size
            with path.open("rb") as file:
                # A restarted sandbox begins its log anew.
                file.seek(position if size >= position else 0)
                self._print_log(file.read())
                return file.tell()
        except FileNotFoundError:
            return 0

    def _print_log(self, content: bytes) -> None:
        if content:
            self.stdout.write(secrets.redact(plain(content.decode(errors="replace"))), ending="")
            self.stdout.flush()

    def _report(self, agent: Agent, options: dict[str, Any]) -> None:
        row = _row(agent)
        if options["json"]:
            self.print_json(SandboxOut.from_orm(row).model_dump(mode="json"))
        else:
            self.stdout.write(f"{agent.name} is {row.get_state_display().lower()}.")


async def execute(driver_name: str, state: dict[str, Any], argv: list[str], *, interactive: bool) -> int:
    """Run ``argv`` in a sandbox, joined to our own standard descriptors; its exit code, 128 + n after signal n.

    Signals that would end us are passed on to it instead. Raises SandboxError when the sandbox is gone."""
    driver = drivers.get(driver_name)
    if not state or await driver.poll(state) is not None:
        raise SandboxError(
            "This sandbox is not running.", reason="sandbox_unavailable", action="Start it with: sandbox start NAME"
        )
    attachment = await driver.attach(state)
    loop, passing = asyncio.get_running_loop(), set()
    streams = StandardStreams(interactive=interactive)
    try:
        with streams:
            execution = await attachment.exec(argv, stdio=streams.stdio)
            streams.handed_in()

            def pass_on(number: int) -> None:
                passing.add(asyncio.ensure_future(execution.signal(number)))

            for number in PASSED_ON:
                loop.add_signal_handler(number, pass_on, number)
            code = await execution.wait()
    finally:
        for number in PASSED_ON:
            loop.remove_signal_handler(number)
        await attachment.close()
    return code if code >= 0 else 128 - code


def _agent(options: dict[str, Any]) -> Agent:
    """The agent named, or the one whose sandbox is, if the person may operate it. NotFound otherwise."""
    name = options["name"]
    owner_of_box = Sandbox.objects.filter(pk=name).values_list("agent_id", flat=True).first()
    return composition.find(reader(options["user"]), owner_of_box or name, "sandbox.operate")


def _row(agent: Agent) -> Sandbox:
    row = Sandbox.objects.filter(agent=agent).select_related("agent").first()
    if row is None:
        raise SandboxError(
            f"{agent.name} has no sandbox yet.",
            reason="sandbox_unavailable",
            action=f"Start it with: sandbox start {agent.name}",
        )
    return row
