"""/api/agents/{id}/files: list, download, upload, move and delete what is in an agent's workspace."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest, HttpResponseBase
from ninja import Field, Query, Router, Schema, Status

from agents import permissions
from agents.api.asking import asker
from agents.api.shapes import NEXT, PageQuery, Text
from agents.models import Agent
from sandboxes import files
from sandboxes.views.files import as_response
from sandboxes.workspace import PIECE, Entry

router = Router(tags=["Files of an agent"])

PATH = Field("", description="Below the workspace; empty is the workspace. %XX is a byte that is no text.")
_BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
SENT: dict[str, Any] = {"responses": {200: {"description": "The file", "content": _BYTES}}}
TAKEN: dict[str, Any] = {"requestBody": {"required": True, "content": _BYTES}}


class FileOut(Schema):
    """One name in a directory. Links are not followed, what is neither file nor directory is not opened."""

    name: str = Field(description="For people: what is no text is a replacement character.")
    path: str = Field(description="Names it exactly, also when its name is no text.")
    kind: Literal["file", "directory", "link", "other"]
    size: int
    changed_at: datetime

    model_config = {
        "json_schema_extra": {
            "example": {
                "name": "report.md",
                "path": "notes/report.md",
                "kind": "file",
                "size": 2048,
                "changed_at": "2026-11-20T09:15:02.655Z",
            }
        }
    }


class FilePage(Schema):
    """A page of a directory, directories first, then by name. ``is_cut``: it holds more names than are read."""

    items: list[FileOut]
    total: int
    is_cut: bool
    next: str | None = NEXT


class FilesQuery(PageQuery):
    """Which directory, and which page of it."""

    path: Text = PATH


class FileQuery(Schema):
    """Which file."""

    path: Text = PATH


class PutQuery(FileQuery):
    """Where to, and whether a file there is replaced."""

    replace: bool = Field(False, description="Replace a file of this name; else 409.")


class DirectoryIn(Schema):
    """A directory to make, in one that is there."""

    path: Text

    model_config = {"json_schema_extra": {"example": {"path": "notes"}}}


class MoveIn(Schema):
    """From where to where; nothing is replaced."""

    path: Text
    target: Text

    model_config = {"json_schema_extra": {"example": {"path": "notes/report.md", "target": "notes/old.md"}}}


@router.get("/{agent_id}/files", response=FilePage, operation_id="list_files", summary="List a directory")
def list_files(request: HttpRequest, agent_id: Text, query: Query[FilesQuery]) -> dict[str, Any]:
    """What is in a directory of the agent's workspace now. Whatever other people's runs left is there too."""
    agent = _agent(request, agent_id)
    found = files.listing(asker(request), agent, query.path, query.after, query.limit)
    return {"items": found.entries, "total": found.total, "is_cut": found.is_cut, "next": found.next or None}


@router.get(
    "/{agent_id}/files/content",
    operation_id="download_file",
    summary="Download a file",
    response={200: None},
    openapi_extra=SENT,
)
def download_file(request: HttpRequest, agent_id: Text, query: Query[FileQuery]) -> HttpResponseBase:
    """The file's bytes, up to `LOGOS_DOWNLOAD_MB`."""
    return as_response(request, files.download(asker(request), _agent(request, agent_id), query.path))


@router.put(
    "/{agent_id}/files/content",
    response={201: FileOut},
    operation_id="upload_file",
    summary="Upload a file",
    openapi_extra=TAKEN,
)
def upload_file(request: HttpRequest, agent_id: Text, query: Query[PutQuery]) -> Status[Entry]:
    """The body is the file, up to `LOGOS_UPLOAD_MB`. It is there whole or not at all."""
    agent = _agent(request, agent_id, "workspace.write")
    return Status(201, files.upload(asker(request), agent, query.path, _body(request), replace=query.replace))


@router.post(
    "/{agent_id}/files/directories",
    response={201: FileOut},
    operation_id="make_directory",
    summary="Make a directory",
)
def make_directory(request: HttpRequest, agent_id: Text, data: DirectoryIn) -> Status[Entry]:
    """In a directory that is there."""
    return Status(201, files.make_directory(asker(request), _agent(request, agent_id, "workspace.write"), data.path))


@router.post("/{agent_id}/files/move", response=FileOut, operation_id="move_file", summary="Rename or move")
def move_file(request: HttpRequest, agent_id: Text, data: MoveIn) -> Entry:
    """Another name or place in the workspace."""
    return files.move(asker(request), _agent(request, agent_id, "workspace.write"), data.path, data.target)


@router.delete("/{agent_id}/files", response={204: None}, operation_id="delete_file", summary="Delete")
def delete_file(request: HttpRequest, agent_id: Text, query: Query[FileQuery]) -> Status[None]:
    """A file, or a directory with all that is in it. There is no copy."""
    files.remove(asker(request), _agent(request, agent_id, "workspace.write"), query.path)
    return Status(204, None)


def _agent(request: HttpRequest, agent_id: str, action: str = "workspace.view") -> Agent:
    return permissions.fetch(asker(request), action, Agent.objects.alive(), pk=agent_id)


def _body(request: HttpRequest) -> Iterator[bytes]:
    while piece := request.read(PIECE):
        yield piece
