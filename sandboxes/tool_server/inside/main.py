"""The one door inside: an operation's name and arguments in, its answer or refusal out."""

from __future__ import annotations

import base64
import binascii
import json
import sys
from collections.abc import Callable
from typing import Any

from sandboxes.tool_server.inside import fetching, files, processes, repository, searching
from sandboxes.tool_server.inside.answers import Names, Refused, Told, told


def write(path: Names, mode: str, directories: bool, text: str | None = None, raw: str | None = None) -> Told:
    """The bytes that were sent as text or base64, to a file."""
    try:
        content = text.encode() if text is not None else base64.b64decode(raw or "", validate=True)
    except binascii.Error:
        raise Refused("This is not base64.", "invalid_arguments") from None
    return files.write(path, content, mode, directories)


OPERATIONS: dict[str, Callable[..., Told]] = {
    "read": files.read,
    "write": write,
    "list": files.listing,
    "stat": files.look,
    "search": searching.search,
    "move": files.move,
    "delete": files.delete,
    "diff": files.diff,
    "processes": processes.listing,
    "begin": processes.begin,
    "stop": processes.stop,
    "fetch": fetching.fetch,
    "repository": repository.check,
    "clear": repository.clear,
}


def answer(request: dict[str, Any]) -> None:
    """Carry one request out and write what came of it."""
    try:
        outcome: Told = {"ok": OPERATIONS[request["operation"]](**request["arguments"])}
    except Refused as refusal:
        outcome = {"error": str(refusal), "reason": refusal.reason}
    except TimeoutError:
        outcome = {"error": "It took too long; a part of it may be done.", "reason": "timeout"}
    except OSError as error:
        outcome = {"error": told(error), "reason": "refused_by_disk"}
    except MemoryError:
        outcome = {"error": "The sandbox has no memory left for this.", "reason": "out_of_memory"}
    sys.stdout.write(json.dumps(outcome))
    sys.stdout.flush()
