"""One call's way into the sandbox: our own small program for files and processes, or a command, both without environment.

What comes back was said inside, where the agent may have had its hands on it: it is read as data of an expected shape,
within bounds, and nothing here depends on its being true.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files as package_files
from typing import Any

from agents.errors import LogosError
from sandboxes import execute
from sandboxes.driver import Attachment, SandboxError
from sandboxes.execute import Completed
from sandboxes.hermes.configuration import EGRESS_PORT, proxy_environment

PYTHON = "/usr/bin/python3"
WORKSPACE = "/workspace"
ANSWER_MOST = 3 * 1024 * 1024
OPERATION_S = 60.0

ENVIRONMENT: Mapping[str, str] = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/home/agent",
    "USER": "agent",
    "LOGNAME": "agent",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    **proxy_environment(),
}
PROXY = ("127.0.0.1", EGRESS_PORT)

_MODULES = (
    ("sandboxes.beneath", "sandboxes", "beneath.py"),
    *(
        (f"sandboxes.tool_server.inside.{name}", "sandboxes.tool_server.inside", f"{name}.py")
        for name in ("answers", "files", "searching", "processes", "fetching", "repository", "main")
    ),
)
# Makes the modules it reads from standard input, in order, and hands the request to the last one.
_START = """
import json, sys, types
told = json.loads(sys.stdin.buffer.read())
for name, source in told["modules"]:
    above = None
    for part in name.split("."):
        full = part if above is None else above.__name__ + "." + part
        module = sys.modules.get(full)
        if module is None:
            module = sys.modules[full] = types.ModuleType(full)
            module.__path__ = []
            if above is not None:
                setattr(above, part, module)
        above = module
    exec(compile(source, name, "exec"), module.__dict__)
module.answer(told["request"])
"""


class ToolRefusal(LogosError):
    """The tool could not do it; said to whoever called, as the result."""


@dataclass(frozen=True, slots=True)
class Room:
    """A running sandbox, for one call. ``call_id`` names what is begun in the background."""

    attachment: Attachment
    call_id: str
    agent_id: str
    agent_name: str
    run_id: str = ""
    known: frozenset[str] = field(repr=False, default=frozenset())

    async def ask(self, operation: str, timeout_s: float = OPERATION_S, **arguments: Any) -> dict[str, Any]:
        """Carry an operation of ``inside`` out. ToolRefusal with its reason; SandboxError when the sandbox is gone."""
        told = {"modules": _modules(), "request": {"operation": operation, "arguments": arguments}}
        argv = bare([PYTHON, "-I", "-S", "-c", _START])
        raw = await asyncio.to_thread(lambda: json.dumps(told).encode())
        try:
            done = await execute.run(self.attachment, argv, input=raw, timeout_s=timeout_s, limit_bytes=ANSWER_MOST)
        except SandboxError as error:
            raise _as_refusal(error, timeout_s) from error
        return _read(done)

    async def run(
        self,
        argv: list[str],
        *,
        input: bytes = b"",
        env: Mapping[str, str] | None = None,
        directory: str = WORKSPACE,
        timeout_s: float,
        limit_bytes: int,
    ) -> Completed:
        """Run a command; of each output one byte more than ``limit_bytes``, so that a cut shows. ToolRefusal when it
        did not end in time."""
        try:
            return await execute.run(
                self.attachment, bare(argv, env), input=input, cwd=directory, timeout_s=timeout_s,
                limit_bytes=limit_bytes + 1,
            )  # fmt: skip
        except SandboxError as error:
            raise _as_refusal(error, timeout_s) from error


def bare(argv: list[str], env: Mapping[str, str] | None = None) -> list[str]:
    """The command with nothing in its environment but ours and ``env``."""
    variables = {**ENVIRONMENT, **(env or {})}
    return ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in variables.items()), *argv]


def _as_refusal(error: SandboxError, timeout_s: float) -> LogosError:
    if error.reason != "exec_timeout":
        return error
    return ToolRefusal(f"It did not end within {timeout_s:g} seconds and was stopped.", reason="timeout")


def _read(done: Completed) -> dict[str, Any]:
    try:
        outcome = json.loads(done.stdout, parse_constant=_none)
        if isinstance(outcome, dict) and isinstance(outcome.get("ok"), dict):
            found: dict[str, Any] = outcome["ok"]
            return found
        if isinstance(outcome, dict) and isinstance(outcome.get("error"), str):
            reason = outcome.get("reason")
            raise ToolRefusal(outcome["error"][:2_000], reason=reason[:40] if isinstance(reason, str) else "failed")
    except (ValueError, RecursionError):
        pass
    raise ToolRefusal(
        "The sandbox gave no answer that can be read.",
        reason="unreadable",
        detail=f"exit {done.code}: {done.stderr[-500:].decode(errors='replace')}",
        action="It may be out of memory or processes; look at its page.",
    )


def _none(name: str) -> None:
    """NaN and the infinities, which JSON does not know."""


@cache
def _modules() -> list[tuple[str, str]]:
    return [(name, package_files(package).joinpath(file).read_text()) for name, package, file in _MODULES]
