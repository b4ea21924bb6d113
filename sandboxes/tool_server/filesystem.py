"""The filesystem tools: arguments to an operation inside, its answer to a result."""

from __future__ import annotations

from typing import Any

from agents.errors import Invalid
from sandboxes.tool_server import paths
from sandboxes.tool_server.results import Outcome, done
from sandboxes.tool_server.room import Room

Arguments = dict[str, Any]


async def read(room: Room, given: Arguments) -> Outcome:
    """filesystem.read"""
    where = paths.parsed(given["path"])
    found = await room.ask("read", path=paths.sent(where), offset=given["offset"], length=given["length"])
    text = found.get("text")
    shown = text if isinstance(text, str) else f"{found.get('bytes', 0)} bytes that are no text, as base64 in the data."
    return done({"path": paths.canonical(given["path"]), **found}, shown or "The file is empty.")


async def write(room: Room, given: Arguments) -> Outcome:
    """filesystem.write"""
    where = paths.parsed(given["path"])
    if ("text" in given) == ("base64" in given):
        raise Invalid("Give either text or base64.", field="text", reason="invalid_arguments")
    found = await room.ask(
        "write", path=paths.sent(where), text=given.get("text"), raw=given.get("base64"), mode=given["mode"],
        directories=given["directories"],
    )  # fmt: skip
    path = paths.canonical(given["path"])
    return done({"path": path, **found}, f"{path}: {found.get('bytes')} bytes written, {found.get('size')} in all.")


async def listing(room: Room, given: Arguments) -> Outcome:
    """filesystem.list"""
    where = paths.parsed(given.get("path", ""), may_be_root=True)
    after = paths.parsed(given["after"], "after") if given.get("after") else ()
    if len(after) > 1:
        raise Invalid("This is not the `next` of a page.", field="after", reason="invalid_arguments")
    found = await room.ask(
        "list", path=paths.sent(where), after="".join(paths.sent(after)), limit=given["limit"]
    )  # fmt: skip
    rows = found.get("entries")
    entries = [_named(row) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    data = {**found, "path": paths.canonical(given.get("path", "")), "entries": entries,
            "next": paths.received(found.get("next"))}  # fmt: skip
    lines = [f"{row['name']}{'/' if row.get('kind') == 'directory' else ''}" for row in entries]
    return done(data, "\n".join(lines) or "The directory is empty.")


async def look(room: Room, given: Arguments) -> Outcome:
    """filesystem.stat"""
    where = paths.parsed(given["path"], may_be_root=True)
    found = await room.ask("stat", path=paths.sent(where), digest=given["digest"])
    if "target" in found:
        found["target"] = paths.received(found["target"])
    return done({**_named(found), "path": paths.canonical(given["path"])})


async def search(room: Room, given: Arguments) -> Outcome:
    """filesystem.search"""
    if not given.get("text") and not given.get("name"):
        raise Invalid("Give a text to look for, or a name, or both.", field="text", reason="invalid_arguments")
    where = paths.parsed(given.get("path", ""), may_be_root=True)
    found = await room.ask(
        "search", path=paths.sent(where), text=given.get("text", ""), regex=given["regex"],
        name=given.get("name", ""), limit=given["limit"],
    )  # fmt: skip
    rows = found.get("finds")
    finds = [{**row, "path": paths.received_path(row.get("path"))} for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []  # fmt: skip
    lines = [f"{each['path']}:{each['line']}: {each.get('text')}" if "line" in each else each["path"] for each in finds]
    if found.get("is_cut"):
        lines.append("There may be more: it ended at a limit.")
    return done({**found, "finds": finds}, "\n".join(lines) or "Nothing was found.")


async def move(room: Room, given: Arguments) -> Outcome:
    """filesystem.move"""
    source, target = paths.parsed(given["path"]), paths.parsed(given["to"], "to")
    await room.ask("move", path=paths.sent(source), to=paths.sent(target))
    data = {"from": paths.canonical(given["path"]), "path": paths.canonical(given["to"])}
    return done(data, f"{data['from']} is now {data['path']}.")


async def delete(room: Room, given: Arguments) -> Outcome:
    """filesystem.delete"""
    where = paths.parsed(given["path"])
    found = await room.ask("delete", path=paths.sent(where), recursive=given["recursive"])
    path = paths.canonical(given["path"])
    return done({"path": path, **found}, f"{path} is deleted.")


async def diff(room: Room, given: Arguments) -> Outcome:
    """filesystem.diff"""
    if ("text" in given) == ("other" in given):
        raise Invalid("Give either other or text to compare with.", field="other", reason="invalid_arguments")
    first = paths.parsed(given["path"])
    second = paths.parsed(given["other"], "other") if "other" in given else ()
    names = [paths.canonical(given["path"]), paths.canonical(given["other"]) if second else "the text"]
    found = await room.ask(
        "diff", path=paths.sent(first), other=paths.sent(second), text=given.get("text"), names=names
    )  # fmt: skip
    shown = found.get("diff")
    return done(found, shown if isinstance(shown, str) and shown else "They are the same.")


def _named(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "name": paths.received(row.get("name"))}
