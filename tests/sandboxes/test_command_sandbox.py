"""`manage.py sandbox` over a driver whose sandboxes are plain processes of this machine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from agents.models import Agent, User
from sandboxes import drivers, lifecycle
from sandboxes.driver import Attachment, Check, Execution, SandboxDriver, SandboxHandle, SandboxSpec
from sandboxes.management.commands.sandbox import execute
from sandboxes.models import Sandbox, State
from tests import shell


class HostExecution(Execution):
    def __init__(self, process: subprocess.Popen) -> None:
        self._process = process

    async def wait(self) -> int:
        return await asyncio.to_thread(self._process.wait)

    async def signal(self, number: int) -> None:
        os.killpg(self._process.pid, number)

    async def guard(self) -> None:
        """Nothing runs here that could take its place."""


class HostAttachment(Attachment):
    """Runs commands on the host itself; walls are other tests' subject."""

    async def dial(self, port: int) -> socket.socket:
        raise ConnectionRefusedError

    async def exec(
        self,
        argv: list[str],
        *,
        stdio: tuple[int, int, int],
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> Execution:
        streams = dict(zip(("stdin", "stdout", "stderr"), stdio, strict=True))
        return HostExecution(await asyncio.to_thread(subprocess.Popen, argv, start_new_session=True, **streams))

    async def listeners(self) -> dict[int, socket.socket]:
        return {}

    async def wait_gone(self) -> None: ...

    async def close(self) -> None: ...


class HostDriver(SandboxDriver):
    name = "host"

    async def start(self, spec: SandboxSpec) -> SandboxHandle:
        return SandboxHandle({"runs": True})

    async def poll(self, state: Mapping[str, Any]) -> int | None:
        return None if state.get("runs") else 0

    async def stop(self, state: Mapping[str, Any], *, now: bool = False) -> None: ...

    async def attach(self, state: Mapping[str, Any]) -> Attachment:
        return HostAttachment()

    async def doctor(self) -> list[Check]:
        return []


@pytest.fixture(autouse=True)
def _host_driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(drivers.FACTORIES, "host", HostDriver)
    yield
    drivers._made.pop("host", None)


@pytest.fixture
def box(ada: User, atlas: Agent) -> Sandbox:
    return Sandbox.objects.create(
        agent=atlas, number=1, driver="host", state=State.RUNNING, driver_state={"runs": True}, layers=["userns"]
    )


@pytest.mark.parametrize(
    ("command", "code"),
    [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 128 + 15), ("kill -KILL $$", 128 + 9)],
)
def test_the_exit_code_is_the_commands_own(box: Sandbox, command: str, code: int) -> None:
    assert shell.run("sandbox", "exec", "atlas", "--", "sh", "-c", command).code == code


def test_output_goes_to_our_own_descriptors(box: Sandbox, capfd: pytest.CaptureFixture) -> None:
    ended = shell.run("sandbox", "exec", box.pk, "--", "sh", "-c", "echo out; echo err >&2")

    assert ended.code == 0
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("out\n", "err\n")


def test_options_behind_the_name_belong_to_the_command(box: Sandbox, capfd: pytest.CaptureFixture) -> None:
    shell.run("sandbox", "exec", "atlas", "echo", "-i", "--json", "-n", "--", "x")

    assert capfd.readouterr().out == "-i --json -n -- x\n"


@pytest.mark.parametrize(("words", "seen"), [(("exec", "-i"), "typed"), (("exec",), "")])
def test_standard_input_is_connected_when_asked(
    box: Sandbox, capfd: pytest.CaptureFixture, words: tuple[str, ...], seen: str
) -> None:
    read, write = os.pipe()
    os.write(write, b"typed")
    os.close(write)
    kept = os.dup(0)
    os.dup2(read, 0)
    try:
        assert shell.run("sandbox", *words, "atlas", "--", "cat").code == 0
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(read)

    assert capfd.readouterr().out == seen


async def test_a_signal_is_passed_on_to_the_command() -> None:
    running = asyncio.ensure_future(execute("host", {"runs": True}, ["sleep", "60"], interactive=False))
    # The handlers are there once the command has been started.
    while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        await asyncio.sleep(0.01)

    os.kill(os.getpid(), signal.SIGTERM)

    assert await asyncio.wait_for(running, 120) == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("exec", "nobody", "--", "true"), "Agent was not found."),
        (("exec", "atlas"), "Say which command to run"),
        (("exec", "--user", "bob", "atlas", "--", "true"), "Agent was not found."),
        (("logs", "--user", "bob", "atlas"), "Agent was not found."),
        (("stop", "--user", "bob", "atlas"), "Agent was not found."),
    ],
)
def test_a_refusal_is_one_sentence(box: Sandbox, bob: User, words: tuple[str, ...], sentence: str) -> None:
    ended = shell.run("sandbox", *words)

    assert ended.code == 1
    assert sentence in ended.said


def test_a_sandbox_that_does_not_run_says_how_to_start_it(box: Sandbox, atlas: Agent) -> None:
    Sandbox.objects.update(driver_state={})
    assert "sandbox start" in shell.run("sandbox", "exec", "atlas", "--", "true").said

    Sandbox.objects.all().delete()
    assert "sandbox start atlas" in shell.run("sandbox", "exec", "atlas", "--", "true").said


def test_a_list_shows_states_and_walls_to_those_who_may_see_them(box: Sandbox, bob: User, mallory: User) -> None:
    assert "atlas  running  host    userns" in shell.run("sandbox", "list").out
    assert [it["id"] for it in shell.run("sandbox", "list", "--json", "--user", "bob").json] == [box.pk]
    assert shell.run("sandbox", "list", "--json", "--user", "mallory").json == []


def test_start_and_stop_go_through_the_lifecycle(box: Sandbox, atlas: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ensure_running(agent_id: str, progress: Any) -> None:
        progress("Preparing the sandbox")

    monkeypatch.setattr(lifecycle, "ensure_running", ensure_running)
    started = shell.run("sandbox", "start", "atlas")
    assert (started.out, started.said) == ("atlas is running.\n", "Preparing the sandbox\n")

    stopped = shell.run("sandbox", "stop", "atlas", "--json")

    assert stopped.json["state"] == "stopped"


def test_a_sandbox_that_was_never_started_can_be_stopped(box: Sandbox, atlas: Agent) -> None:
    Sandbox.objects.filter(pk=box.pk).update(driver="local", driver_state={})

    stopped = shell.run("sandbox", "stop", "atlas")

    assert (stopped.code, stopped.out) == (0, "atlas is stopped.\n")


def test_logs_end_with_the_last_lines_without_secrets_or_escape_sequences(box: Sandbox) -> None:
    path = lifecycle.root_of(box.pk) / "engine" / "gateway.log"
    path.parent.mkdir(parents=True)
    path.write_text("one\ntwo \x1b[31mred\nBearer a1b2c3d4e5f6g7h8\n")

    ended = shell.run("sandbox", "logs", "-n", "2", "atlas")

    assert ended.out.startswith("two [31mred\n")
    assert "a1b2c3d4e5f6g7h8" not in ended.out
    assert ended.out.count("\n") == 2


def test_a_log_that_is_not_there_is_explained(box: Sandbox) -> None:
    ended = shell.run("sandbox", "logs", "atlas")

    assert (ended.code, ended.out) == (0, "")
    assert "has not started yet" in ended.said


def test_status_says_how_it_is(box: Sandbox) -> None:
    Sandbox.objects.update(reason="The sandbox ended by itself.", crashes=2, versions={"kernel": "6.1"})

    ended = shell.run("sandbox", "status", "atlas")

    assert ended.code == 0
    assert "The sandbox ended by itself." in ended.out
    assert "kernel 6.1" in ended.out
    assert json.loads(shell.run("sandbox", "status", "--json", "atlas").out)["crashes"] == 2


def test_a_sandbox_is_kept_and_let_go(box: Sandbox) -> None:
    Sandbox.objects.update(state=State.RUNNING)

    assert shell.run("sandbox", "keep", "atlas").code == 0
    assert Sandbox.objects.get().keep_running
    assert shell.run("sandbox", "keep", "--off", "atlas").code == 0
    assert not Sandbox.objects.get().keep_running


@pytest.mark.django_db(transaction=True)
def test_logs_follow_what_is_written_also_after_a_new_start(box: Sandbox) -> None:
    path = lifecycle.root_of(box.pk) / "engine" / "gateway.log"
    path.parent.mkdir(parents=True)
    path.write_text("a first line\n")
    process = shell.start("sandbox", "logs", "-f", "atlas")
    assert process.stdout is not None

    assert process.stdout.readline() == "a first line\n", process.stderr.read()
    with path.open("a") as file:
        file.write("a second line\n")
    assert process.stdout.readline() == "a second line\n"
    path.write_text("anew\n")
    assert process.stdout.readline() == "anew\n"
    process.send_signal(signal.SIGINT)

    assert process.wait(120) == 0
