"""Hold a server that would start something else than what somebody accepted: its files are compared at every start.

Who edits what is started accepts what is there at the next start. A file that has changed since, and no edit, is held
until somebody who may say what is started has looked.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import F

from agents import audit, permissions
from agents.errors import Conflict, NotFound
from agents.models import User
from agents.permissions import Person
from mcp_gateway import code_trees, started_files
from mcp_gateway.boxed import BoxedLaunch
from mcp_gateway.children import Launch
from mcp_gateway.models import McpHealth, McpServer
from mcp_gateway.peers import NeedsSomebody
from mcp_gateway.started_files import File

UNSEEN = {
    code_trees.TOO_LARGE: f"holds more code than is compared ({code_trees.MAX_FILES:,} files or "
    f"{code_trees.MAX_BYTES // 1024 // 1024} MB): of it only the lists of packages are.",
    code_trees.TOO_BROAD: "holds many things: of the code there only the script itself is compared. "
    "A folder of its own would be compared whole.",
}


class Changed(NeedsSomebody):
    """What would be started is not what was accepted."""

    state = "changed"


@dataclass(frozen=True, slots=True)
class Difference:
    """A file that is another, is gone ("" now) or was not there ("" before)."""

    path: str
    before: str
    now: str


def check(server_id: str, agent_id: str, launch: Launch | BoxedLaunch) -> None:
    """Raises Changed when this must not be started. The first start after an edit is what that edit accepted."""
    check_files(server_id, agent_id, started_files.of(launch, own=not agent_id))


def check_files(server_id: str, agent_id: str, files: list[File]) -> None:
    """The same for files that were looked at before."""
    if found := _compared(server_id, agent_id, files):
        raise Changed(_sentence(found))


@transaction.atomic
def _compared(server_id: str, agent_id: str, files: list[File]) -> list[Difference]:
    health = McpHealth.objects.select_for_update().filter(server_id=server_id).first()
    if health is None:
        return []
    row = McpServer.objects.get(pk=server_id)
    accepted: dict[str, Any] = health.launch_accepted
    if agent_id:
        known = {file["path"] for file in files}
        return differences([each for each in accepted.get("files", []) if each["path"] in known], files)
    spec = _spec(row)
    if accepted.get("spec") != spec or _is_same_without_trees(accepted, files):
        health.launch_accepted, health.launch_offered = {"spec": spec, "files": files, "trees": True}, {}
        health.save(update_fields=["launch_accepted", "launch_offered"])
        return []
    offered = {} if accepted["files"] == files else {"files": files, "digest": digest(files)}
    if offered != health.launch_offered:
        health.launch_offered = offered
        health.save(update_fields=["launch_offered"])
    return differences(accepted["files"], files)


def _is_same_without_trees(accepted: dict[str, Any], files: list[File]) -> bool:
    """Was this accepted before Logos looked at what scripts load, and is it the same as far as it looked then?"""
    known = {file["path"] for file in accepted["files"]}
    return not accepted.get("trees") and accepted["files"] == [file for file in files if file["path"] in known]


def differences(before: list[File], now: list[File]) -> list[Difference]:
    """File by file; of a folder with many, as one."""
    was, is_ = ({file["path"]: file for file in files} for files in (before, now))
    found: list[Difference] = []
    for path in dict.fromkeys([*was, *is_]):
        one, other = was.get(path, {}), is_.get(path, {})
        if one.get("real") == other.get("real") and "files" in one and "files" in other:
            names = sorted({*one["files"], *other["files"]} - {each.removeprefix(path) for each in (*was, *is_)})
            said = [(f"{path}{name}", *(each["files"].get(name, "")[:16] for each in (one, other))) for name in names]
        else:
            said = [(path, _said(one), _said(other))]
        found += [Difference(*each) for each in said if each[1] != each[2]]
    return found


def unseen(user: Person, server: McpServer) -> list[str]:
    """What of the code that it can load is not compared, in sentences; for who may edit it."""
    if not permissions.allows(user, "server.edit", server):
        return []
    files = server.health.launch_accepted.get("files", [])
    return [f"{file['path']} {UNSEEN[file['note']]}" for file in files if file.get("note") in UNSEEN]


def waiting(user: Person, server: McpServer) -> list[Difference]:
    """What of this server waits to be looked at, for who may edit it: what lies on the machine is for nobody else."""
    health = server.health
    if not health.launch_offered or not permissions.allows(user, "server.edit", server):
        return []
    return differences(health.launch_accepted["files"], health.launch_offered["files"])


@transaction.atomic
def accept(user: User, server_id: str, seen: str) -> McpServer:
    """Let it start as it is now. ``seen`` is the digest of what was looked at: Conflict when it is another by now, and
    LogosError(reason="forbidden") for who may not say what is started."""
    server = permissions.fetch(user, "server.edit", McpServer.objects.all(), pk=server_id)
    permissions.require(user, "server.launch")
    health = McpHealth.objects.select_for_update().get(server=server)
    if not health.launch_offered:
        raise NotFound("This change of what is started")
    if health.launch_offered["digest"] != seen:
        raise Conflict("What is started is another thing by now.", reason="stale", action="Look at it again.")
    health.launch_accepted = {**health.launch_accepted, "files": health.launch_offered["files"], "trees": True}
    health.launch_offered = {}
    health.restarts_asked = F("restarts_asked") + 1
    health.save(update_fields=["launch_accepted", "launch_offered", "restarts_asked"])
    audit.note("mcp_launch_accepted", actor=user, about=server)
    return server


def digest(files: list[File]) -> str:
    """Of what was found, for an answer about exactly that."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def _spec(row: McpServer) -> str:
    """What people say of the start; the values of variables are no part of it."""
    said = [row.command, row.args, sorted(row.env), row.cwd, row.place, row.shows, row.hosts, row.kind, row.url]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _said(file: File) -> str:
    if not file:
        return ""
    if "count" in file:
        return f"{file['sha256'][:16] or 'not compared'} ({file['count']:,} files)"
    where = "" if file["real"] == file["path"] or file["path"].startswith("/workspace/") else f" at {file['real']}"
    return f"{file['sha256'][:16] or 'unreadable'}{where}"


def _sentence(found: list[Difference]) -> str:
    """Agents and everybody who sees the server read it, so it names no file of the machine."""
    many = "one file" if len(found) == 1 else f"{len(found):,} files"
    return f"What is started changed: {many}. Somebody who may say what is started has to look at it."
