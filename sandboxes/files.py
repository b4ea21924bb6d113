"""Who may do what to the files in an agent's workspace, how large they may be, and what the audit is told.

Pages, API and command come here. Files are the agent's: whatever other people's runs left in the workspace is seen by
everyone who may look into it, and nobody owns a file alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings

from agents import audit, permissions
from agents.errors import Invalid, NotFound
from agents.models import Agent, User
from sandboxes import drivers, lifecycle
from sandboxes.driver import SandboxError
from sandboxes.models import Sandbox
from sandboxes.workspace import Entry, Listing, Opened, Workspace

MEGABYTE = 1024**2
PAGE = 36
SHOWN_BYTES = 256 * 1024
# What browsers draw without running anything in it, by how the file begins.
_PICTURES = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))


@dataclass(frozen=True, slots=True)
class Shown:
    """The beginning of a file as people can read it. ``picture`` is its type when it is one, ``text`` None when it is
    no text; ``is_cut``: there is more."""

    entry: Entry
    text: str | None
    picture: str
    is_cut: bool


def uploads_most() -> int:
    """The largest upload, in bytes."""
    return settings.LOGOS_UPLOAD_MB * MEGABYTE


def downloads_most() -> int:
    """The largest download, in bytes."""
    return settings.LOGOS_DOWNLOAD_MB * MEGABYTE


def workspace_of(agent: Agent) -> Workspace:
    """The agent's workspace; NotFound while it has none, SandboxError when its driver keeps it elsewhere."""
    row = Sandbox.objects.filter(agent=agent, files_removed_at=None).first()
    if row is None:
        raise NotFound("The workspace", action="It is made when the sandbox is first prepared.")
    if not drivers.get(row.driver).keeps_files_on_host:
        raise SandboxError(
            f"The sandbox driver {row.driver} does not keep files where Logos can read them.",
            reason="not_supported",
            action="Ask the agent for the file, or use its terminal.",
        )
    return Workspace(lifecycle.root_of(row.pk), lifecycle.FIRST_UID + row.number if os.getuid() == 0 else None)


def listing(user: User, agent: Agent, path: str, after: str = "", most: int = PAGE) -> Listing:
    """A page of a directory."""
    permissions.require(user, "workspace.view", agent)
    with workspace_of(agent) as workspace:
        return workspace.listing(path, after, most)


def show(user: User, agent: Agent, path: str) -> Shown:
    """The beginning of a file."""
    permissions.require(user, "workspace.view", agent)
    with workspace_of(agent) as workspace:
        opened = workspace.file(path)
    content = opened.beginning(SHOWN_BYTES)
    picture = picture_type(content)
    is_cut = opened.entry.size > len(content)
    return Shown(opened.entry, None if picture else text_of(content, is_cut), picture, is_cut)


def download(user: User, agent: Agent, path: str) -> Opened:
    """The file, open; whoever asks closes it. Invalid (reason "too_large") beyond the cap."""
    permissions.require(user, "workspace.view", agent)
    with workspace_of(agent) as workspace:
        opened = workspace.file(path)
    if opened.entry.size > downloads_most():
        opened.close()
        raise Invalid(
            f"Files of more than {settings.LOGOS_DOWNLOAD_MB} MB are not sent from here.",
            field="path",
            reason="too_large",
            action="Have the agent split or pack it, or raise LOGOS_DOWNLOAD_MB.",
        )
    return opened


def upload(user: User, agent: Agent, path: str, pieces: Iterable[bytes], *, replace: bool = False) -> Entry:
    """A file into the workspace, whole or not at all."""
    permissions.require(user, "workspace.write", agent)
    with workspace_of(agent) as workspace:
        entry = workspace.put(path, pieces, uploads_most(), replace=replace)
    audit.note("file_put", about=agent, actor=user, path=entry.path, bytes=entry.size, replaced=replace)
    return entry


def make_directory(user: User, agent: Agent, path: str) -> Entry:
    """A new directory."""
    permissions.require(user, "workspace.write", agent)
    with workspace_of(agent) as workspace:
        entry = workspace.make_directory(path)
    audit.note("file_directory", about=agent, actor=user, path=entry.path)
    return entry


def move(user: User, agent: Agent, path: str, to: str) -> Entry:
    """Another name or place for a file or directory."""
    permissions.require(user, "workspace.write", agent)
    with workspace_of(agent) as workspace:
        entry = workspace.move(path, to)
    audit.note("file_moved", about=agent, actor=user, path=path, to=entry.path)
    return entry


def remove(user: User, agent: Agent, path: str) -> None:
    """Delete a file, or a directory with all that is in it."""
    permissions.require(user, "workspace.write", agent)
    with workspace_of(agent) as workspace:
        workspace.remove(path)
    audit.note("file_removed", about=agent, actor=user, path=path)


def picture_type(content: bytes) -> str:
    """The type of a picture browsers draw, by its first bytes; "" for anything else, drawings that hold scripts too."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for begins, kind in _PICTURES if content.startswith(begins)), "")


def text_of(content: bytes, is_cut: bool = False) -> str | None:
    """The content as text, None when it is none. The last character may have been cut in the middle."""
    if b"\x00" in content:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        if is_cut and error.start >= len(content) - 3:
            return content[: error.start].decode()
        return None
