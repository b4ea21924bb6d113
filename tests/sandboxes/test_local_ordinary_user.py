"""The local driver as an ordinary user: the same walls without a user of the sandbox's own."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.sandbox

PROJECT = Path(__file__).resolve().parents[2]
PYTHON = "/usr/bin/python3"
NEEDED = ("agents/__init__.py", "agents/errors.py", "sandboxes/__init__.py", "sandboxes/driver.py",
          "sandboxes/execute.py")  # fmt: skip

SCRIPT = """
import asyncio, json, os, sys
from pathlib import Path
from sandboxes.driver import Mount, SandboxError, SandboxSpec
from sandboxes.execute import run
from sandboxes.local import prepare
from sandboxes.local.driver import LocalDriver

async def main():
    root = Path(sys.argv[1]) / "state" / "atlas"
    spec = SandboxSpec("atlas", root, (Mount(root / "workspace", "/workspace", writable=True),), listen=(8081,),
                       environment={"PATH": "/usr/bin:/bin"})
    driver = LocalDriver()
    handle = await driver.start(spec)
    found = {"layers": handle.layers, "root": oct(root.stat().st_mode & 0o777)}
    try:
        await driver.start(spec)
    except SandboxError as problem:
        found["twice"] = problem.reason
    attachment = await driver.attach(handle.state)
    found["id"] = (await run(attachment, ["id", "-u"])).stdout.decode().strip()
    found["home"] = (await run(attachment, ["ls", "-d", str(root)])).code
    found["unshare"] = (await run(attachment, ["unshare", "--user", "true"])).code
    found["listeners"] = list(await attachment.listeners())
    found["round"] = len((await run(attachment, ["cat"], input=bytes(1 << 20))).stdout)
    await attachment.close()
    await driver.stop(handle.state)
    found["poll"] = await driver.poll(handle.state)
    found["doctor"] = [check.name for check in await driver.doctor() if not check.ok and check.mandatory]
    try:
        await driver.start(SandboxSpec("other", root, uid=12345))
    except SandboxError as problem:
        found["uid"] = problem.reason
    print(json.dumps(found))

asyncio.run(main())
"""


def account() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        return None


def too_old() -> bool:
    trial = [PYTHON, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    return not Path(PYTHON).exists() or subprocess.run(trial).returncode != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.skipif(account() is None, reason="this machine has no user nobody")
@pytest.mark.skipif(too_old(), reason="the distribution's Python is older than Logos needs")
def test_the_contract_in_short_as_an_ordinary_user(walkable_dir: Path) -> None:
    user = account()
    assert user is not None
    code = walkable_dir / "code"
    shutil.copytree(PROJECT / "sandboxes/local", code / "sandboxes/local")
    for name in NEEDED:
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT / name, code / name)
    state = walkable_dir / "state"
    state.mkdir()
    os.chown(state, user.pw_uid, user.pw_gid)

    done = subprocess.run(
        [PYTHON, "-c", SCRIPT, str(walkable_dir)],
        user=user.pw_uid, group=user.pw_gid, extra_groups=[], cwd=code, capture_output=True, text=True, timeout=240,
        env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    layers = set(found.pop("layers"))
    assert {"userns", "mnt", "pid", "net", "ipc", "uts", "rlimits", "seccomp"} <= layers
    assert "uid" not in layers
    assert found == {
        "root": "0o700",
        "twice": "sandbox_running",
        "id": "10001",
        "home": 2,
        "unshare": 1,
        "listeners": [8081],
        "round": 1 << 20,
        "poll": 0,
        "doctor": [],
        "uid": "sandbox_user",
    }
