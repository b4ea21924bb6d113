"""Fixtures: a real sandbox of atlas, and a way to call its tools."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from agents.models import Agent
from sandboxes.driver import SandboxHandle
from sandboxes.local.driver import LocalDriver
from sandboxes.models import Sandbox, State
from sandboxes.tool_server import asking, calls
from sandboxes.tool_server.asking import Question, Word
from sandboxes.tool_server.calls import Answer
from sandboxes.tool_server.records import Caller
from tests.sandboxes.local_specs import local_spec

Call = Callable[..., Answer]
PROGRAM = Caller("program")


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[SandboxHandle, Path]]:
    """One sandbox for a module's tests: its handle and its root."""
    directory = Path(tempfile.mkdtemp(prefix="logos-tools-", dir="/var/tmp"))
    directory.chmod(0o755)
    handle = asyncio.run(LocalDriver().start(local_spec(directory)))
    yield handle, directory / "atlas"
    asyncio.run(LocalDriver().stop(handle.state, now=True))
    shutil.rmtree(directory)


@pytest.fixture
def box(atlas: Agent, running: tuple[SandboxHandle, Path]) -> Sandbox:
    """Atlas's sandbox, which runs."""
    return Sandbox.objects.create(agent=atlas, number=1, state=State.RUNNING, driver_state=running[0].state)


@pytest.fixture
def space(box: Sandbox, running: tuple[SandboxHandle, Path]) -> Iterator[Path]:
    """The workspace as the host sees it, empty."""
    workspace = running[1] / "workspace"
    yield workspace
    for path in workspace.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@pytest.fixture
def call(atlas: Agent) -> Call:
    """Call a tool of atlas: ``call("filesystem.read", path="notes.md")``."""

    def made(tool: str, /, *, caller: Caller = PROGRAM, hold_s: float = 0.0, **given: Any) -> Answer:
        return async_to_sync(calls.call)(atlas.pk, tool, given, caller, hold_s=hold_s)

    return made


def owned(path: Path) -> Path:
    """Give a file the test made to the sandbox's user."""
    if os.geteuid() == 0:
        uid = path.parent.stat().st_uid
        os.chown(path, uid, uid, follow_symlinks=False)
    return path


@dataclass
class PretendDesk:
    """Takes questions; the test decides them by setting ``state``."""

    state: str = "pending"
    note: str = ""
    asked: list[Question] = field(default_factory=list)

    def ask(self, question: Question) -> Word:
        self.asked.append(question)
        return Word(f"appr_{len(self.asked)}", self.state, self.note)

    def look(self, approval_id: str) -> Word:
        return Word(approval_id, self.state, self.note)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> PretendDesk:
    """Where questions go in this test."""
    made = PretendDesk()
    monkeypatch.setattr(asking, "_desks", [made])
    return made
