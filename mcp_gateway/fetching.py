"""Launchers that fetch what they run, in a sandbox: how npx and uvx are told to, and when what they fetched is enough.

A version that is named does not change, so what was fetched of it once is used from then on: the next start needs no
registry, and nothing that it is made of is another one tomorrow.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from mcp_gateway import launchers

# Those of the machine, under the names that programs look for: Node, uv and Python bring lists of their own, which know
# nothing of a company's proxy or mirror.
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
_TRUST = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
# After so many starts without an answer what was fetched is not believed any more.
ENOUGH = 2
_NPM = {
    # Each asks the registry for something that is no part of the server.
    "npm_config_update_notifier": "false",
    "npm_config_audit": "false",
    "npm_config_fund": "false",
    # By itself npm goes on for 70 seconds before it says that a registry does not answer.
    "npm_config_fetch_retry_mintimeout": "1000",
    "npm_config_fetch_retry_maxtimeout": "5000",
}


@cache
def trust() -> dict[str, str]:
    """What makes programs believe the certificates that this machine believes."""
    bundle = next((path for path in _BUNDLES if Path(path).is_file()), "")
    return {**dict.fromkeys(_TRUST, bundle), "UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"} if bundle else {}


@dataclass(slots=True)
class Fetched:
    """What one launch keeps in its folder: ``file`` says of which launch it is known to be all, and how often that was
    not so since. ``told`` is the environment to start it with."""

    file: Path
    mark: str
    told: Mapping[str, str]
    failures: int | None = None
    is_over: bool = False

    def works(self) -> None:
        """The server has answered: everything it needs is there."""
        if not self.is_over and self.mark and self.failures != 0:
            _write(self.file, f"{self.mark} 0")
        self.is_over = True

    def fails(self) -> str:
        """It ended without an answer. A sentence when the next start fetches again: some servers die of a question they
        do not know, and say nothing about what was fetched, so that it takes two."""
        if self.is_over or self.failures is None:
            return ""
        self.is_over = True
        if self.failures + 1 < ENOUGH:
            _write(self.file, f"{self.mark} {self.failures + 1}")
            return ""
        with contextlib.suppress(OSError):
            self.file.unlink(missing_ok=True)
        return "[Logos] What it had fetched was not enough; at the next start it may fetch again."


def prepared(root: Path, command: str, args: Sequence[str], env: Mapping[str, str]) -> Fetched:
    """For a launch in the sandbox below ``root``. What people said in ``env`` stays as they said it."""
    name, file = PurePosixPath(command).name, root / "fetched"
    is_fixed = not launchers.warning(command, args)
    told: dict[str, str] = {}
    if name in ("npx", "npm"):
        # Looks into its own cache before it asks, and asks for what is not there.
        told = {**_NPM, **({"npm_config_prefer_offline": "true"} if is_fixed else {})}
    mark = _mark(command, args, env) if is_fixed and name in ("uvx", "uv") and _is_tool(name, args) else ""
    failures = _failures(file, mark) if mark else None
    if failures is not None:
        # uv has no such middle way: with or without the network.
        told["UV_OFFLINE"] = "1"
    said = {each.lower() for each in env}
    return Fetched(file, mark, {key: value for key, value in told.items() if key.lower() not in said}, failures)


def _is_tool(name: str, args: Sequence[str]) -> bool:
    return name == "uvx" or [arg for arg in args if not arg.startswith("-")][:2] == ["tool", "run"]


def _mark(command: str, args: Sequence[str], env: Mapping[str, str]) -> str:
    said = [command, *args, sorted((key, value) for key, value in env.items() if key.startswith("UV_"))]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _failures(file: Path, mark: str) -> int | None:
    """How often the start of just this has failed since it last worked; None when it never did."""
    try:
        known, _, failures = file.read_text(errors="replace").partition(" ")
        return int(failures) if known == mark else None
    except (OSError, ValueError):
        return None


def _write(file: Path, text: str) -> None:
    with contextlib.suppress(OSError):
        file.write_text(text)
