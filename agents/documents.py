"""Write the documents of an agent: which paths and texts are taken, and every version kept."""

from __future__ import annotations

import hashlib
import unicodedata
from pathlib import PurePosixPath

from django.db import IntegrityError, transaction

from agents import permissions
from agents.editing import check_version
from agents.errors import Conflict, Invalid
from agents.invisible import first_hidden
from agents.models import Agent, AgentDocument, User

MAX_BYTES = 128 * 1024
MAX_TOTAL_BYTES = 1024 * 1024
MAX_DOCUMENTS = 50
MAX_PARTS = 6

# What the runtime reads by itself; everything else is a file the agent finds in its workspace.
PURPOSES = {
    "AGENTS.md": "Instructions for the work, read at the start of every run.",
    "USER.md": "What the agent knows about the person; the runtime's user profile, which the memory tool may rewrite.",
}
PROFILE = "USER.md"
MAX_PROFILE_CHARS = 1_375  # the runtime's own limit of the profile

# Other names under which the runtime looks for instructions: they would silently win over AGENTS.md.
RUNTIME_NAMES = frozenset({"soul.md", "hermes.md", "memory.md", "claude.md", "agents.override.md"})


def check_path(path: str) -> str:
    """The path, if it can name a file below the workspace. Raises Invalid."""
    path = unicodedata.normalize("NFC", path.strip())
    hint = "For instance AGENTS.md or notes/style.md."
    if not path:
        raise Invalid("A document needs a path.", field="path", action=hint)
    if len(path) > 200 or any(len(part.encode(errors="replace")) > 200 for part in path.split("/")):
        raise Invalid("A path may have 200 characters.", field="path")
    if "\\" in path or not path.isprintable() or first_hidden(path) is not None:
        raise Invalid("The path holds a backslash or a character that cannot be seen.", field="path", action=hint)
    parts = path.split("/")
    if path.startswith("/") or "" in parts or "." in parts or ".." in parts:
        raise Invalid("A path is relative to the workspace and stays in it.", field="path", action=hint)
    if len(parts) > MAX_PARTS:
        raise Invalid(f"A path may have {MAX_PARTS} parts.", field="path")
    if any(part.startswith(".") or part.startswith("-") or part != part.strip() for part in parts):
        raise Invalid(
            "Parts of a path begin with a letter, a digit or an underscore: hidden files steer programs.",
            field="path",
            action=hint,
        )
    _check_runtime_names(path)
    return path


def _check_runtime_names(path: str) -> None:
    name = PurePosixPath(path).name.casefold()
    if name == "soul.md":
        raise Invalid("SOUL.md is the soul's text.", field="path", action="Change the agent's soul instead.")
    own = {purpose.casefold(): purpose for purpose in PURPOSES}
    if "/" not in path and name in own and path != own[name]:
        raise Invalid(f"The runtime reads {own[name]}, in exactly these letters.", field="path")
    if "/" not in path and name in RUNTIME_NAMES:
        raise Invalid("The runtime keeps this name for itself.", field="path", action="Use AGENTS.md for instructions.")


def check_text(path: str, text: str) -> str:
    """The text with plain line ends. Raises Invalid."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    if "\x00" in text:
        raise Invalid("The text holds a NUL byte; documents are texts.", field="text")
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise Invalid("The text is not valid Unicode.", field="text") from error
    if size > MAX_BYTES:
        raise Invalid(f"A document may have {MAX_BYTES // 1024} KB.", field="text", reason="too_large")
    if path == PROFILE and len(text) > MAX_PROFILE_CHARS:
        raise Invalid(f"The profile may have {MAX_PROFILE_CHARS:,} characters.", field="text", reason="too_large")
    return text


def text_of(content: bytes) -> str:
    """An uploaded file as a text. Raises Invalid when it is none."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(
            "This file is not UTF-8 text.", field="file", action="Give other files to the agent in a chat."
        ) from error


def put(
    user: User, agent: Agent, path: str, text: str, *, is_restored: bool | None = None, version: int | None = None
) -> AgentDocument:
    """Write a document, new or in place of the one of this path; the same text changes nothing.

    ``version`` is what the person had read, 0 when they meant to make a new one, None to write whatever is there.
    ``is_restored`` None keeps what was chosen; a new one is put back, the profile is not. Raises Invalid, Conflict
    (the path is taken), Stale."""
    permissions.require(user, "document.edit", agent)
    path = check_path(path)
    text = check_text(path, text)
    try:
        with transaction.atomic():
            if Agent.objects.select_for_update().alive().filter(pk=agent.pk).first() is None:
                raise Invalid("This agent was deleted.", reason="conflict")
            row = AgentDocument.objects.select_for_update().filter(agent=agent, path=path).first()
            if row is not None and version == 0:
                raise _taken(path)
            if row is None:
                _check_room(agent, path)
                row = AgentDocument(agent=agent, path=path, is_restored=path != PROFILE)
            else:
                check_version(row, version)
            return _write(row, user, text, is_restored)
    except IntegrityError as error:
        raise _taken(path) from error


def _write(row: AgentDocument, user: User, text: str, is_restored: bool | None) -> AgentDocument:
    restored = row.is_restored if is_restored is None else is_restored
    digest = hashlib.sha256(text.encode()).hexdigest()
    if row._state.adding or (row.sha256, row.is_restored) != (digest, restored):
        _check_total(row, text)
        row.text, row.sha256, row.is_restored, row.updated_by = text, digest, restored, user
        row.save()
    return row


def remove(user: User, agent: Agent, path: str) -> None:
    """Take a document away. The agent's copy goes with it before the next run, unless the agent has changed it."""
    permissions.require(user, "document.edit", agent)
    with transaction.atomic():
        rows = AgentDocument.objects.select_for_update()
        permissions.fetch(user, "document.edit", rows, agent=agent, path=path).delete()


def _check_room(agent: Agent, path: str) -> None:
    paths = list(AgentDocument.objects.filter(agent=agent).values_list("path", flat=True))
    if len(paths) >= MAX_DOCUMENTS:
        raise Invalid(f"An agent may have {MAX_DOCUMENTS} documents.", field="path", reason="too_many")
    for other in paths:
        if other.startswith(f"{path}/") or path.startswith(f"{other}/"):
            raise Invalid(f"{other} is a document already, so it cannot be a folder too.", field="path")


def _check_total(row: AgentDocument, text: str) -> None:
    others = AgentDocument.objects.filter(agent=row.agent).exclude(pk=row.pk).values_list("text", flat=True)
    if sum(len(other.encode()) for other in others) + len(text.encode()) > MAX_TOTAL_BYTES:
        raise Invalid(
            f"The documents of an agent may have {MAX_TOTAL_BYTES // 1024} KB together.",
            field="text",
            reason="too_large",
        )


def _taken(path: str) -> Conflict:
    return Conflict(f"There is a document {path} already.", reason="path_taken", action="Open it and change it there.")
