"""``manage.py sandbox files ls|get|put NAME``: the workspace from a shell."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agents.command_line import LogosCommand, add_person, plain
from agents.errors import Invalid
from agents.models import Agent, User
from sandboxes import file_names, files
from sandboxes.files_api import FileOut
from sandboxes.workspace import PIECE


def add(verbs: Any) -> None:
    """The verb and what comes after it."""
    doing = verbs.add_parser("files", help="list, fetch and put files of its workspace")
    acts = doing.add_subparsers(dest="act", required=True, metavar="WHAT", help="ls, get or put")
    ls = acts.add_parser("ls", help="list a directory")
    ls.add_argument("--json", action="store_true")
    get = acts.add_parser("get", help="fetch a file")
    put = acts.add_parser("put", help="put a file, whole or not at all")
    put.add_argument("--replace", action="store_true", help="replace a file of this name")
    for act in (ls, get, put):
        add_person(act)
        act.add_argument("name", metavar="NAME")
    ls.add_argument("path", metavar="PATH", nargs="?", default="", help="default: the workspace itself")
    get.add_argument("path", metavar="PATH", help="below the workspace")
    get.add_argument("local", metavar="LOCAL", nargs="?", default="-", help="where to; - (default) is standard output")
    put.add_argument("local", metavar="LOCAL", type=argparse.FileType("rb"), help="a file here; - is standard input")
    put.add_argument("path", metavar="PATH", nargs="?", default="", help="below the workspace; default: its own name")


def ls(command: LogosCommand, user: User, agent: Agent, options: dict[str, Any]) -> None:
    """Every page of the directory."""
    entries, after, is_first = [], "", True
    while after or is_first:
        found = files.listing(user, agent, options["path"], after)
        entries += found.entries
        after, is_first = found.next, False
    if options["json"]:
        command.print_json([FileOut.from_orm(entry).model_dump(mode="json") for entry in entries])
        return
    command.print_table(
        ("KIND", "BYTES", "CHANGED", "PATH"),
        ((e.kind, e.size, f"{e.changed_at:%Y-%m-%d %H:%M}", plain(e.path)) for e in entries),
    )
    if found.is_cut:
        command.say(f"Only the first {found.total} names are listed.")


def get(command: LogosCommand, user: User, agent: Agent, options: dict[str, Any]) -> None:
    """To standard output, or to a new file."""
    opened = files.download(user, agent, options["path"])
    try:
        if options["local"] == "-":
            command.stdout.flush()
            for piece in opened.pieces():
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            return
        with Path(options["local"]).open("xb") as file:
            for piece in opened.pieces():
                file.write(piece)
    except FileExistsError as error:
        raise Invalid(f"{options['local']} is there already.", action="Name another file, or remove it.") from error
    except OSError as error:
        raise Invalid(f"{options['local']} cannot be written: {error.strerror}.") from error
    finally:
        opened.close()


def put(command: LogosCommand, user: User, agent: Agent, options: dict[str, Any]) -> None:
    """From a file, or standard input."""
    source = options["local"]
    path = options["path"] or (
        "" if source.name in ("-", "<stdin>") else file_names.written(Path(source.name).name.encode())
    )
    with source:
        entry = files.upload(user, agent, path, _read(source), replace=options["replace"])
    command.stdout.write(f"{plain(entry.path)}: {entry.size} bytes.")


def _read(source: Any) -> Iterator[bytes]:
    while piece := source.read(PIECE):
        yield piece


ACTS = {"ls": ls, "get": get, "put": put}
