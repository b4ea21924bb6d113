"""List, start, keep, limit and stop sandboxes, see how they are, run commands in them, read logs, exchange files."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.core.management.base import CommandParser

from agents import composition, halting, permissions, sandbox_limits
from agents.agent_secrets import known_values
from agents.command_line import LogosCommand, actor, add_person, plain, reader
from agents.editing import editing
from agents.errors import Invalid
from agents.models import Agent
from agents.numbers import whole
from sandboxes import drivers, file_verbs, health, keeping, logs, operating, records, shell_verb
from sandboxes.api import SandboxOut
from sandboxes.claimants import host
from sandboxes.driver import SandboxError
from sandboxes.models import Sandbox
from sandboxes.standard_streams import StandardStreams

FOLLOW_S = 0.2
WANTED_S = 30.0
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Command(LogosCommand):
    """``sandbox list|status|start|stop|keep|exec|logs|limits|files|shell``."""

    help = "List, start, keep and stop sandboxes, see how they are, run commands in them, read their logs, exchange files. NAME is an agent's name or id."
    exits = (
        "exit codes: 0 done, 1 refused (one sentence on standard error says why);\n"
        "            exec: the command's own, 128 + n after signal n, 127 if it cannot be started"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(
            dest="verb", required=True, metavar="list|status|start|stop|keep|exec|logs|limits|files|shell"
        )
        listing = verbs.add_parser("list", help="list sandboxes and their states")
        listing.add_argument("--json", action="store_true")
        start = verbs.add_parser("start", help="start one and wait until the agent runtime in it answers")
        start.add_argument("--json", action="store_true")
        status = verbs.add_parser("status", help="how it is: phase and reason, uptime, versions, what it uses")
        status.add_argument("--json", action="store_true")
        keep = verbs.add_parser("keep", help="keep it running although nobody uses it")
        keep.add_argument("--off", action="store_true", help="stop it when nobody uses it, like others")
        keep.add_argument("--json", action="store_true")
        stop = verbs.add_parser("stop", help="end everything in it; files stay")
        stop.add_argument("--now", action="store_true", help="do not wait for processes to end by themselves")
        stop.add_argument("--json", action="store_true")
        execute = verbs.add_parser("exec", help="run a command in it: exec -i NAME -- CMD…")
        execute.add_argument("-i", action="store_true", dest="interactive", help="connect standard input")
        logs = verbs.add_parser("logs", help="what the agent runtime in it wrote, or its keeper")
        logs.add_argument("--log", choices=("runtime", "keeper"), default="runtime", help="which (default runtime)")
        logs.add_argument("-f", action="store_true", dest="follow", help="go on as more is written")
        logs.add_argument("-n", type=int, default=50, dest="lines", metavar="N", help="last lines (default 50)")
        limits = verbs.add_parser("limits", help="what it may use; with options, change it from its next start on")
        for limit in sandbox_limits.LIMITS.values():
            words = f"{limit.label}{f', {limit.unit}' if limit.unit else ''}; “site” takes the site's number"
            limits.add_argument(f"--{limit.name.replace('_', '-')}", metavar="N", help=words.replace("%", "%%"))
        limits.add_argument("--json", action="store_true")
        for verb in (listing, status, start, stop, keep, execute, logs, limits):
            add_person(verb)
        for verb in (status, start, stop, keep, execute, logs, limits):
            verb.add_argument("name", metavar="NAME")
        execute.add_argument("command", metavar="CMD", nargs=argparse.REMAINDER)
        file_verbs.add(verbs)
        shell = verbs.add_parser("shell", help="open a terminal in it; who, when and what it showed is kept")
        add_person(shell)
        shell.add_argument("name", metavar="NAME")

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
        operating.start(actor(options["user"]), agent, wait=True, progress=self.say)
        self._report(agent, options)

    def do_stop(self, options: dict[str, Any]) -> None:
        agent = _agent(options)
        operating.stop(actor(options["user"]), agent, now=options["now"])
        self._report(agent, options)

    def do_status(self, options: dict[str, Any]) -> None:
        found = health.as_json(_row(composition.find(reader(options["user"]), _named(options), "sandbox.view")))
        if options["json"]:
            self.print_json(found)
            return
        for name, value in found.items():
            said = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
            said = ", ".join(said) if isinstance(said, list) else said
            self.stdout.write(f"{name + ':':14} {'' if said is None else plain(str(said))}".rstrip())

    def do_keep(self, options: dict[str, Any]) -> None:
        agent = _agent(options)
        keeping.set_to(_row(agent), not options["off"])
        self._report(agent, options)

    def do_exec(self, options: dict[str, Any]) -> None:
        argv = options["command"][1:] if options["command"][:1] == ["--"] else options["command"]
        if not argv:
            raise Invalid("Say which command to run, for instance: sandbox exec atlas -- ls -l", field="command")
        row = _row(_agent(options))
        halting.require_running(agent_id=row.agent_id, server=host())
        sys.stdout.flush()
        wanted = partial(records.touch, row.pk)
        self.end(
            asyncio.run(execute(row.driver, row.driver_state, argv, interactive=options["interactive"], wanted=wanted))
        )

    def do_limits(self, options: dict[str, Any]) -> None:
        user = reader(options["user"])
        given = {name: options[name] for name in sandbox_limits.LIMITS if options[name] is not None}
        agent = composition.find(user, options["name"], "sandbox.limit" if given else "sandbox.view")
        if given:
            wanted = {name: None if text == "site" else _number(name, text) for name, text in given.items()}
            with editing(user, "sandbox.limit", Agent.objects.alive(), agent.pk, None) as agent:
                composition.change(user, agent, sandbox={**agent.limits, **wanted})
        told = sandbox_limits.told(agent)
        if options["json"]:
            self.print_json({each["name"]: {"value": each["value"], "is_own": each["is_own"]} for each in told})
            return
        self.print_table(
            ("LIMIT", "VALUE", "UNIT", "FROM"),
            ((e["name"], str(e["value"]), e["unit"], "the agent" if e["is_own"] else "the site") for e in told),
        )

    def do_logs(self, options: dict[str, Any]) -> None:
        agent = _agent(options)
        row, log = _row(agent), logs.which(options["log"])
        found = logs.tail(row, log, options["lines"], known=known_values(agent))
        if found.empty:
            self.say(found.empty)
        else:
            self.stdout.write(plain(found.text))
        place = found.place
        try:
            while options["follow"]:
                time.sleep(FOLLOW_S)
                text, place = logs.since(row, log, place, known=known_values(agent))
                if text:
                    self.stdout.write(plain(text), ending="")
                    self.stdout.flush()
        except KeyboardInterrupt:
            return

    def do_shell(self, options: dict[str, Any]) -> None:
        user = actor(options["user"])
        agent = composition.find(user, _named(options), "sandbox.shell")
        self.end(shell_verb.run(user, agent, _row(agent)))

    def do_files(self, options: dict[str, Any]) -> None:
        action = "workspace.write" if options["act"] == "put" else "workspace.view"
        user = actor(options["user"])
        file_verbs.ACTS[options["act"]](self, user, composition.find(user, _named(options), action), options)

    def _report(self, agent: Agent, options: dict[str, Any]) -> None:
        row = _row(agent)
        if options["json"]:
            self.print_json(SandboxOut.from_orm(row).model_dump(mode="json"))
        else:
            self.stdout.write(f"{agent.name} is {row.get_state_display().lower()}.")


async def execute(
    driver_name: str,
    state: dict[str, Any],
    argv: list[str],
    *,
    interactive: bool,
    wanted: Callable[[], Any] = lambda: None,
) -> int:
    """Run ``argv`` in a sandbox, joined to our own standard descriptors; its exit code, 128 + n after signal n.

    ``wanted`` is called now and then while it runs, so that the sandbox is not stopped for being idle. Signals that would end us are passed on to it instead. Raises SandboxError when the sandbox is gone."""
    driver = drivers.get(driver_name)
    if not state or await driver.poll(state) is not None:
        raise SandboxError(
            "This sandbox is not running.", reason="sandbox_unavailable", action="Start it with: sandbox start NAME"
        )
    attachment = await driver.attach(state)
    loop, passing = asyncio.get_running_loop(), set()
    wanting = asyncio.create_task(_want(wanted))
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
        wanting.cancel()
        for number in PASSED_ON:
            loop.remove_signal_handler(number)
        await attachment.close()
    return code if code >= 0 else 128 - code


def _number(name: str, text: str) -> int:
    if (number := whole(text, 11)) is None:
        raise Invalid(f"{sandbox_limits.LIMITS[name].label} must be a whole number, or “site”.", field=name)
    return number


async def _want(wanted: Callable[[], Any]) -> None:
    while True:
        await sync_to_async(wanted)()
        await asyncio.sleep(WANTED_S)


def _agent(options: dict[str, Any]) -> Agent:
    """The agent named, or the one whose sandbox is, if the person may operate it. NotFound otherwise."""
    return composition.find(reader(options["user"]), _named(options), "sandbox.operate")


def _named(options: dict[str, Any]) -> str:
    name: str = options["name"]
    return Sandbox.objects.filter(pk=name).values_list("agent_id", flat=True).first() or name


def _row(agent: Agent) -> Sandbox:
    row = Sandbox.objects.filter(agent=agent).select_related("agent").first()
    if row is None:
        raise SandboxError(
            f"{agent.name} has no sandbox yet.",
            reason="sandbox_unavailable",
            action=f"Start it with: sandbox start {agent.name}",
        )
    return row
