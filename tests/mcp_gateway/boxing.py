"""MCP servers in sandboxes of their own, below a directory that their users can walk to."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mcp_gateway import boxes
from mcp_gateway.boxed import BoxedLaunch

EVERYTHING = Path(__file__).with_name("everything.py")


@contextmanager
def a_place() -> Iterator[Path]:
    """A directory as LOGOS_HOME is one."""
    directory = Path(tempfile.mkdtemp(prefix="logos-boxed-", dir="/var/tmp"))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def boxed(home: Path, *args: str, name: str = "files", **more: Any) -> BoxedLaunch:
    """``everything.py``, copied into the server's own folder."""
    top = home / "mcp"
    root = boxes.folder(top, name)
    boxes.owner(top, root)
    (root / "files").mkdir(exist_ok=True)
    script = root / "files" / EVERYTHING.name
    shutil.copyfile(EVERYTHING, script)
    script.chmod(0o644)
    given: dict[str, Any] = {"command": "python3", "args": (EVERYTHING.name, *args), "secret_places": (home,), **more}
    return BoxedLaunch(name, top=top, root=root, **given)
