"""The process tools: a command with an environment made from nothing, what runs, and the end of what was begun."""

from __future__ import annotations

import base64
import re
import shlex
from typing import Any

from agents.errors import Invalid
from sandboxes.tool_server import paths
from sandboxes.tool_server.results import Outcome, done
from sandboxes.tool_server.room import ENVIRONMENT, Room

OUTPUT_MOST = 256 * 1024
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}\Z")


def argv_of(given: dict[str, Any]) -> list[str]:
    """The program and its arguments. Invalid unless exactly one of the two ways is used."""
    if ("argv" in given) == ("command" in given):
        raise Invalid("Give either argv or command.", field="argv", reason="invalid_arguments")
    argv: list[str] = given["argv"] if "argv" in given else ["/bin/sh", "-c", given["command"]]
    if not argv[0] or not (given.get("command", "x")).strip():
        raise Invalid("There is no command.", field="command", reason="invalid_arguments")
    if any("\x00" in word for word in argv):
        raise Invalid("A command has no NUL.", field="argv", reason="invalid_arguments")
    return argv


def check(given: dict[str, Any]) -> None:
    """Invalid for what cannot be a command."""
    argv_of(given)
    _variables(given)
    paths.parsed(given.get("directory", ""), "directory", may_be_root=True)


def command_of(given: dict[str, Any]) -> str:
    """The command as one line, for rules and for people."""
    return given["command"] if "command" in given else shlex.join(given.get("argv", ()))


async def run(room: Room, given: dict[str, Any]) -> Outcome:
    """process.run"""
    argv, env = argv_of(given), _variables(given)
    where = paths.parsed(given.get("directory", ""), "directory", may_be_root=True)
    directory = paths.inside(where)
    if given["background"]:
        found = await room.ask(
            "begin", id=room.call_id, argv=argv, environment={**ENVIRONMENT, **env},
            directory="/".join(paths.sent(where)) or ".", input=given.get("stdin", ""),
        )  # fmt: skip
        return done({"id": room.call_id, "pid": found.get("pid")}, f"It runs in the background as {room.call_id}.")
    ended = await room.run(
        argv, input=given.get("stdin", "").encode(), env=env, directory=directory, timeout_s=given["timeout_s"],
        limit_bytes=OUTPUT_MOST,
    )  # fmt: skip
    data = {"exit_code": ended.code, **shown("stdout", ended.stdout), **shown("stderr", ended.stderr)}
    return done(data, _told(data))


async def listing(room: Room, given: dict[str, Any]) -> Outcome:
    """process.list"""
    found = await room.ask("processes")
    rows = [row for row in found.get("processes", ()) if isinstance(row, dict)]
    lines = [f"{row.get('pid')} {row.get('command')} {row.get('id') or ''}".rstrip() for row in rows]
    return done({"processes": rows}, "\n".join(lines))


async def stop(room: Room, given: dict[str, Any]) -> Outcome:
    """process.stop"""
    found = await room.ask("stop", id=given["id"], name=given["signal"])
    return done(found, f"{given['id']} was sent {given['signal']}.")


def shown(name: str, raw: bytes) -> dict[str, Any]:
    """One output, as text or base64, and whether it was cut."""
    kept = raw[:OUTPUT_MOST]
    found: dict[str, Any] = {f"{name}_is_cut": len(raw) > len(kept)}
    if b"\x00" in kept:
        return {**found, name: "", f"{name}_base64": base64.b64encode(kept).decode()}
    return {**found, name: kept.decode("utf-8", "replace")}


def _variables(given: dict[str, Any]) -> dict[str, str]:
    env: dict[str, str] = given.get("env") or {}
    for name, value in env.items():
        if not _VARIABLE.match(name) or "\x00" in value:
            raise Invalid(f"{name[:60]!r} is no name of a variable.", field="env", reason="invalid_arguments")
    return env


def _told(data: dict[str, Any]) -> str:
    parts = [data["stdout"]]
    if data["stdout_is_cut"]:
        parts.append("… the rest of the output is left out")
    if data["stderr"]:
        parts.append(f"Standard error:\n{data['stderr']}")
    parts.append(f"Exit code {data['exit_code']}.")
    return "\n".join(part.rstrip("\n") for part in parts if part)
