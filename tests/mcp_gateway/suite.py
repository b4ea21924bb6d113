"""The official conformance suite of MCP: fetched once, pinned by its lock file, and run against an address."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from tests import npm

HERE = Path(__file__).with_name("conformance")
PROGRAM = "@modelcontextprotocol/conformance/dist/index.js"


def fetch() -> tuple[Path, Path]:
    """Node and the suite's program, fetched if need be; one process at a time does it."""
    return npm.fetch(HERE, "mcp-conformance", PROGRAM)


async def passed(url: str, revision: str, where: Path) -> tuple[list[str], list[str]]:
    """The scored scenarios of this revision that passed and those that failed at ``url``."""
    node, program = await asyncio.to_thread(fetch)
    process = await asyncio.create_subprocess_exec(
        *(str(node), str(program), "server", "--url", url, "--requirements", revision, "-o", str(where)),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=npm.environment(node),
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), npm.PATIENCE_S)
    said = out.decode()
    summary = said.partition("=== SUMMARY ===")[2]
    scored, _, unscored = summary.partition("Not scored for")
    assert scored, said[-4000:]
    not_counted = set(re.findall(r"^\s+[✓✗] ([\w-]+)", unscored, re.MULTILINE))
    found = [each for each in re.findall(r"^([✓✗]) ([\w-]+):", scored, re.MULTILINE) if each[1] not in not_counted]
    return [name for mark, name in found if mark == "✓"], [name for mark, name in found if mark == "✗"]
