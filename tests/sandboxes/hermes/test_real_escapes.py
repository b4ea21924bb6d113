"""The escape suite once more, from the terminal tool of the running agent runtime, where an agent would try it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from sandboxes.escapes import source
from sandboxes.hermes.events import Completed
from tests.sandboxes.escape_baits import laid
from tests.sandboxes.hermes.real_sandbox import RealSandbox
from tests.sandboxes.hermes.test_real_runtime import whole_run

pytestmark = [pytest.mark.sandbox, pytest.mark.runtime, pytest.mark.asyncio(loop_scope="module")]

CATEGORIES = ["files", "writes", "privileges", "processes", "sockets", "network", "credentials", "control"]
# Of the suite's own sandbox, not of an agent's.
NOT_HERE = {"network: take the proxy's port for itself"}


async def test_what_the_agents_own_terminal_may_not(sandbox: RealSandbox, walkable_dir: Path) -> None:
    directory = walkable_dir / "baits"
    directory.mkdir()
    directory.chmod(0o755)
    with laid(directory) as (baits, told):
        engine = str(sandbox.root / "engine")
        bait = {**told, "engine": engine, "keeper_socket": f"{engine}/keeper.sock", "only": CATEGORIES}
        program = sandbox.root / "workspace/escapes.py"
        await asyncio.to_thread(program.write_text, source.program(bait))
        program.chmod(0o644)
        command = "run: /usr/bin/python3 -I -S /workspace/escapes.py > /workspace/escapes.jsonl 2>&1; echo ended"
        events = await whole_run(sandbox, command, 14, "escapes")
        said = (sandbox.root / "workspace/escapes.jsonl").read_text().splitlines()
        evidence = baits.evidence()

    assert "ended" in next(event for event in reversed(events) if isinstance(event, Completed)).output
    # The runtime's own name for the conversation, which opens nothing.
    known = "['HERMES_SESSION_KEY']"
    rows = [row for row in map(json.loads, said) if row["attempt"] not in NOT_HERE and row["detail"] != known]
    wrong = [row for row in rows if (row["outcome"] == "through") != row["attempt"].startswith("control")]
    assert len(rows) > 350
    assert wrong == []
    assert evidence == []
