"""The escape suite in a real sandbox, by ``manage.py sandbox exec -i``, each attempt judged there and from the host."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from agents import composition, souls
from agents.models import Role
from agents.reach import Reach, parse
from sandboxes.driver import SandboxHandle, SandboxSpec
from sandboxes.egress.proxy import Decision, EgressProxy
from sandboxes.escapes import on_files, on_network, on_privileges, on_secrets, source  # noqa: F401 (they add attempts)
from sandboxes.escapes.attempt import ALL, CATEGORIES, CONTROL
from sandboxes.local import bwrap, machine, prepare, starting
from sandboxes.local.driver import LocalDriver
from sandboxes.models import Sandbox, State
from tests import shell
from tests.conftest import person
from tests.sandboxes.escape_baits import LIMITS, Baits, laid, odd_files, silent_server
from tests.sandboxes.local_specs import UID, local_spec

pytestmark = [pytest.mark.sandbox, pytest.mark.django_db]

PYTHON = "/usr/bin/python3"
ATTEMPTS = [one.key for one in ALL if one.category != CONTROL]
CONTROLS = [one.key for one in ALL if one.category == CONTROL]


@dataclass
class Tried:
    """What the suite said inside, and what the host saw meanwhile."""

    baits: Baits
    said: dict[str, dict[str, str]] = field(default_factory=dict)
    output: str = ""
    errors: str = ""
    evidence: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    looked_up: list[str] = field(default_factory=list)
    is_alive: bool = False
    peak_mb: int | None = None

    def read(self, output: str) -> None:
        self.output = output
        for line in output.splitlines():
            row = json.loads(line)
            self.said[row["attempt"]] = row


@pytest.fixture(scope="module")
def tried(django_db_setup: None, django_db_blocker: Any) -> Iterator[Tried]:
    directory = Path(tempfile.mkdtemp(prefix="logos-escapes-", dir="/var/tmp"))
    directory.chmod(0o755)
    with laid(directory) as (baits, told), django_db_blocker.unblock():
        result, driver = Tried(baits), LocalDriver()
        handle = asyncio.run(driver.start(_spec(directory)))
        engine = handle.state["engine"]
        bait = {**told, "engine": engine, "keeper_socket": f"{engine}/keeper.sock", "proxy": True}
        with _rows(handle) as name:
            asyncio.run(_by_the_command(handle, name, source.program(bait), result))
        result.is_alive = asyncio.run(driver.poll(handle.state)) is None
        result.evidence = baits.evidence()
        result.odd = list(odd_files(directory / "atlas"))
        for peak in [Path(group, "memory.max_usage_in_bytes") for group in handle.state["groups"]]:
            result.peak_mb = int(peak.read_text()) >> 20 if peak.exists() else result.peak_mb
        asyncio.run(driver.stop(handle.state, now=True))
        yield result


def _spec(directory: Path) -> SandboxSpec:
    return local_spec(
        directory, limits=LIMITS, listen=(on_network.PROXY,), files={"/hermes/config.yaml": "fixed\n"},
        empty_dirs=("/hermes/plugins",),
    )  # fmt: skip


@contextlib.contextmanager
def _rows(handle: SandboxHandle) -> Iterator[str]:
    """An agent whose sandbox this is, for as long as the command needs it."""
    owner = person("escape-owner", Role.ADMIN)
    soul = souls.create(souls.STARTER_NAME, souls.STARTER_TEXT, owner)
    agent = composition.create(owner, "escapist", soul)
    Sandbox.objects.create(
        agent=agent, number=4_000_000, driver="local", state=State.RUNNING, driver_state=handle.state
    )
    try:
        yield agent.pk
    finally:
        call_command("flush", interactive=False, verbosity=0)  # as after every test that commits


async def _by_the_command(handle: SandboxHandle, name: str, program: str, result: Tried) -> None:
    """As an operator would run it, while the host serves the proxy's port as it does for a real agent."""
    attachment = await LocalDriver().attach(handle.state)
    server = await silent_server()

    async def lookup(host: str, port: int) -> list[str]:
        result.looked_up.append(host)
        return ["1.1.1.1"]

    async def connect(address: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])

    async def reach() -> Reach:
        return Reach(parse([{"name": "web", "hosts": [on_network.ALLOWED], "ports": [80, 443]}]))

    proxy = EgressProxy(reach, result.decisions.append, attachment, lookup=lookup, connect=connect)
    await proxy.serve((await attachment.listeners())[on_network.PROXY])
    process = shell.start("sandbox", "exec", "-i", name, "--", "python3", "-I", "-S", "-")
    output, result.errors = await asyncio.to_thread(process.communicate, program, timeout=150)
    result.read(output)
    await proxy.close()
    server.close()
    await attachment.close()


def test_the_suite_is_as_wide_as_it_says() -> None:
    counted = Counter(key.partition(":")[0] for key in ATTEMPTS)

    assert set(counted) == set(CATEGORIES)
    assert len(ATTEMPTS) == len(set(ATTEMPTS)) >= 150
    assert min(counted.values()) >= 15


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_refused(tried: Tried, attempt: str) -> None:
    assert attempt in tried.said, tried.errors[-2000:]
    said = tried.said[attempt]

    assert said["outcome"] == "refused", said
    assert said["detail"] != "no answer"
    assert tried.baits.secret not in said["detail"]
    assert [found for found in tried.evidence if attempt in found] == []


@pytest.mark.parametrize("work", CONTROLS)
def test_honest_work_goes_through(tried: Tried, work: str) -> None:
    assert tried.said[work]["outcome"] == "through", tried.said[work]


def test_the_host_saw_nothing_of_it(tried: Tried) -> None:
    assert tried.said
    assert tried.evidence == []
    assert tried.odd == []
    assert tried.baits.secret not in tried.output


def test_the_proxy_let_nothing_pass_but_what_there_is_a_rule_for(tried: Tried) -> None:
    allowed = {(decision.host, decision.port) for decision in tried.decisions if decision.allowed}

    assert allowed <= {(on_network.ALLOWED, 443), (on_network.ALLOWED, 80)}
    assert {host.removesuffix(".") for host in tried.looked_up} == {
        on_network.ALLOWED
    }  # a refused name is never looked up
    assert len({decision.id for decision in tried.decisions if not decision.allowed}) >= 50


def test_the_sandbox_is_still_there_afterwards_and_kept_to_its_memory(tried: Tried) -> None:
    assert tried.is_alive
    if tried.peak_mb is not None:
        assert tried.peak_mb <= LIMITS.memory_mb


# The suite can fail: the same program, with walls taken away.


def _bare(bait: dict[str, Any], only: list[str]) -> Counter[str]:
    """On this machine itself, as an ordinary user."""
    user = {"user": UID, "group": UID, "extra_groups": []} if os.geteuid() == 0 else {}
    done = subprocess.run(
        [PYTHON, "-I", "-S", "-"], input=source.program({**bait, "only": only}), text=True, capture_output=True,
        cwd=bait["open_directory"], env={"PATH": "/usr/bin:/bin"}, timeout=120, **user,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return Counter(row["attempt"].partition(":")[0] for row in rows if row["outcome"] == "through")


def test_without_a_sandbox_many_attempts_get_through_and_the_host_sees_it(walkable_dir: Path) -> None:
    directory = walkable_dir / "baits"
    directory.mkdir()
    directory.chmod(0o755)
    with laid(directory) as (baits, told):
        harmless = [key for key in ATTEMPTS if key.startswith("network: ") and "of the host" in key]
        through = _bare(
            {**told, "engine": str(walkable_dir), "keeper_socket": "/nowhere"},
            ["files", "sockets", "processes", "credentials", *harmless,
             "writes: make a file in a directory of the host that anybody may write"],
        )  # fmt: skip

        assert through["files"] >= 15, through
        assert through["sockets"] >= 4, through
        assert through["processes"] >= 5, through
        assert through["network"] >= 4, through
        assert through["credentials"] >= 1, through
        assert len(baits.evidence()) >= 5


def test_without_the_filter_what_only_the_filter_refuses_gets_through(walkable_dir: Path) -> None:
    spec = local_spec(walkable_dir, limits=LIMITS)
    os.close(prepare.take_lock(spec))
    prepare.make_sources(spec)
    version = machine.require_bubblewrap().version
    only = [key for key in ATTEMPTS if key.startswith(("privileges: call ", "privileges: plant", "sockets: make "))]
    with starting._data_descriptors() as data:
        options = [
            option if isinstance(option, str) else str(data.add(option.text.encode()))
            for option in bwrap.options(spec, version)
        ]
        user = {"user": UID, "group": UID, "extra_groups": []} if os.geteuid() == 0 else {}
        done = subprocess.run(
            ["bwrap", *options, "--", PYTHON, "-I", "-S", "-"], input=source.program({"only": only}), text=True,
            capture_output=True, pass_fds=data.descriptors, env={}, timeout=120, **user,
        )  # fmt: skip

    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    through = {row["attempt"] for row in rows if row["outcome"] == "through"}
    expected = {"privileges: call keyctl", "privileges: call kcmp", "privileges: call io_uring_setup", "privileges: plant a set-id file by chmod",
                "sockets: make a netlink audit socket"}  # fmt: skip
    assert expected <= through
