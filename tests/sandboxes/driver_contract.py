"""What every sandbox driver must pass. A test class of a driver inherits ``DriverContract`` and gives fixtures:

``new_driver``  a callable that makes a driver object, as a restarted process would
``spec``        a SandboxSpec with a fresh root, a writable ``/workspace``, a PATH, and ``listen=(listening_port,)``

Python must be callable inside as ``python3``.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from sandboxes.driver import Attachment, SandboxDriver, SandboxError, SandboxHandle, SandboxSpec
from sandboxes.execute import run
from tests.ports import free_port

ECHO_SERVER = """
import socket
listener = socket.socket(); listener.bind(("127.0.0.1", 0)); listener.listen()
print(listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    while data := connection.recv(65536):
        connection.sendall(data)
    connection.close()
"""


@contextlib.asynccontextmanager
async def echo_server(attachment: Attachment) -> AsyncIterator[int]:
    """A little server inside, on a port it chooses; it is killed at the end."""
    output, stdout = os.pipe()
    try:
        execution = await attachment.exec(["python3", "-c", ECHO_SERVER], stdio=(stdout, stdout, stdout))
        os.close(stdout)
        line = await asyncio.to_thread(os.read, output, 100)
        yield int(line)
        await execution.signal(9)
        await execution.wait()
    finally:
        os.close(output)


class DriverContract:
    @pytest.fixture
    def listening_port(self) -> int:
        return free_port()

    @pytest.fixture
    def driver(self, new_driver: Callable[[], SandboxDriver]) -> SandboxDriver:
        return new_driver()

    @pytest.fixture
    async def handle(self, driver: SandboxDriver, spec: SandboxSpec) -> AsyncIterator[SandboxHandle]:
        handle = await driver.start(spec)
        yield handle
        await driver.stop(handle.state, now=True)

    @pytest.fixture
    async def attachment(self, driver: SandboxDriver, handle: SandboxHandle) -> AsyncIterator[Attachment]:
        attachment = await driver.attach(handle.state)
        yield attachment
        await attachment.close()

    # Start, find, stop

    async def test_a_started_sandbox_runs_and_a_stopped_one_does_not(
        self, driver: SandboxDriver, spec: SandboxSpec
    ) -> None:
        handle = await driver.start(spec)
        assert await driver.poll(handle.state) is None

        await driver.stop(handle.state)

        assert await driver.poll(handle.state) == 0

    async def test_starting_twice_is_refused_and_the_first_goes_on(
        self, driver: SandboxDriver, handle: SandboxHandle, spec: SandboxSpec
    ) -> None:
        with pytest.raises(SandboxError) as refused:
            await driver.start(spec)

        assert refused.value.reason == "sandbox_running"
        assert await driver.poll(handle.state) is None

    async def test_two_starts_at_once_give_one_sandbox(self, driver: SandboxDriver, spec: SandboxSpec) -> None:
        results = await asyncio.gather(driver.start(spec), driver.start(spec), return_exceptions=True)

        started = [result for result in results if isinstance(result, SandboxHandle)]
        refused = [result for result in results if isinstance(result, SandboxError)]
        for handle in started:
            await driver.stop(handle.state, now=True)
        assert len(started) == 1
        assert [problem.reason for problem in refused] == ["sandbox_running"]

    async def test_stopping_twice_is_not_an_error(self, driver: SandboxDriver, spec: SandboxSpec) -> None:
        handle = await driver.start(spec)

        await driver.stop(handle.state)
        await driver.stop(handle.state, now=True)

        assert await driver.poll(handle.state) == 0

    async def test_a_stopped_sandbox_can_be_started_again_with_its_files(
        self, driver: SandboxDriver, spec: SandboxSpec
    ) -> None:
        first = await driver.start(spec)
        attachment = await driver.attach(first.state)
        await run(attachment, ["sh", "-c", "echo kept > note"])
        await attachment.close()
        await driver.stop(first.state)

        second = await driver.start(spec)
        attachment = await driver.attach(second.state)
        found = await run(attachment, ["cat", "note"])
        await attachment.close()
        await driver.stop(second.state)

        assert found.stdout == b"kept\n"
        assert await driver.poll(first.state) == 0

    async def test_the_saved_state_finds_the_sandbox_in_a_new_driver_object(
        self, new_driver: Callable[[], SandboxDriver], handle: SandboxHandle
    ) -> None:
        state = json.loads(json.dumps(handle.state))
        restarted = new_driver()

        assert await restarted.poll(state) is None
        attachment = await restarted.attach(state)
        assert (await run(attachment, ["echo", "found"])).stdout == b"found\n"
        await attachment.close()

    async def test_a_sandbox_whose_state_was_lost_is_found_again(
        self, new_driver: Callable[[], SandboxDriver], spec: SandboxSpec
    ) -> None:
        assert await new_driver().find(spec.root) is None
        started = await new_driver().start(spec)

        found = await new_driver().find(spec.root)

        assert found is not None
        assert found.state == started.state
        await new_driver().stop(found.state)
        assert await new_driver().find(spec.root) is None

    async def test_what_runs_is_told_of_by_its_directory_and_nothing_else(
        self, driver: SandboxDriver, spec: SandboxSpec, tmp_path: Path
    ) -> None:
        handle = await driver.start(spec)

        (found,) = [each for each in await driver.survivors(spec.root.parent) if each.name == spec.root.name]
        assert found.state == handle.state
        assert await driver.survivors(tmp_path / "another installation") == []
        await driver.stop(found.state, now=True)
        assert spec.root.name not in [each.name for each in await driver.survivors(spec.root.parent)]

    async def test_a_cancelled_start_leaves_nothing_behind(self, driver: SandboxDriver, spec: SandboxSpec) -> None:
        starting = asyncio.create_task(driver.start(spec))
        await asyncio.sleep(0)  # it has begun

        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

        handle = await driver.start(spec)
        await driver.stop(handle.state)

    # Commands

    @pytest.mark.parametrize(
        ("argv", "code"),
        [
            (["true"], 0),
            (["sh", "-c", "exit 7"], 7),
            (["sh", "-c", "kill -9 $$"], -9),
            (["no-such-command"], 127),
        ],
    )
    async def test_a_command_ends_with_its_exit_code(self, attachment: Attachment, argv: list[str], code: int) -> None:
        assert (await run(attachment, argv)).code == code

    async def test_a_megabyte_makes_the_round_trip_through_stdin_and_stdout(self, attachment: Attachment) -> None:
        text = os.urandom(1 << 20)

        assert await run(attachment, ["cat"], input=text, limit_bytes=2 << 20) == (0, text, b"")

    async def test_stdout_and_stderr_are_two(self, attachment: Attachment) -> None:
        done = await run(attachment, ["sh", "-c", "echo out; echo err >&2"])

        assert done == (0, b"out\n", b"err\n")

    async def test_output_beyond_the_limit_is_dropped_and_the_command_still_ends(self, attachment: Attachment) -> None:
        done = await run(attachment, ["sh", "-c", "head -c 300000 /dev/zero"], limit_bytes=1000)

        assert (done.code, len(done.stdout)) == (0, 1000)

    async def test_a_command_that_takes_too_long_is_stopped(self, attachment: Attachment) -> None:
        with pytest.raises(SandboxError) as stopped:
            await run(attachment, ["sleep", "100"], timeout_s=0.05)

        assert stopped.value.reason == "exec_timeout"

    async def test_a_background_process_does_not_hold_up_the_answer(self, attachment: Attachment) -> None:
        done = await run(attachment, ["sh", "-c", "sleep 100 & echo started"], timeout_s=60)

        assert done.stdout == b"started\n"

    async def test_environment_and_directory_of_one_command(self, attachment: Attachment) -> None:
        await run(attachment, ["mkdir", "-p", "deep"])

        done = await run(attachment, ["sh", "-c", 'echo "$COLOUR"; basename "$PWD"'], env={"COLOUR": "blue"},
                         cwd="/workspace/deep")  # fmt: skip

        assert done.stdout == b"blue\ndeep\n"

    async def test_a_signal_reaches_the_whole_group(self, attachment: Attachment) -> None:
        output, stdout = os.pipe()
        execution = await attachment.exec(["sh", "-c", "sleep 100 & echo ready; wait"], stdio=(stdout, stdout, stdout))
        os.close(stdout)
        assert await asyncio.to_thread(os.read, output, 100) == b"ready\n"

        await execution.signal(15)

        assert await execution.wait() == -15
        # The sleep in the background held the pipe; its end is ours to see only when it is gone too.
        assert await asyncio.to_thread(os.read, output, 100) == b""
        os.close(output)
        await execution.signal(15)

    async def test_waiting_twice_answers_twice(self, attachment: Attachment) -> None:
        null = os.open(os.devnull, os.O_RDWR)
        execution = await attachment.exec(["sh", "-c", "exit 3"], stdio=(null, null, null))
        os.close(null)

        assert [await execution.wait(), await execution.wait()] == [3, 3]

    # Connections

    async def test_a_dial_reaches_a_server_inside(self, attachment: Attachment) -> None:
        async with echo_server(attachment) as port:
            connection = await attachment.dial(port)
            loop = asyncio.get_running_loop()
            with connection:
                assert connection.getblocking() is False
                await loop.sock_sendall(connection, b"hello")
                assert await loop.sock_recv(connection, 100) == b"hello"

    async def test_a_dial_to_nobody_is_refused(self, attachment: Attachment) -> None:
        with pytest.raises(ConnectionRefusedError):
            await attachment.dial(free_port())

    async def test_a_program_inside_reaches_the_host_through_a_listener(
        self, attachment: Attachment, listening_port: int
    ) -> None:
        listener = (await attachment.listeners())[listening_port]
        loop = asyncio.get_running_loop()
        code = f"import socket; s = socket.create_connection(('127.0.0.1', {listening_port})); s.sendall(b'ping')"
        asking = asyncio.create_task(run(attachment, ["python3", "-c", code]))

        connection, _ = await loop.sock_accept(listener)
        with listener, connection:
            assert await loop.sock_recv(connection, 100) == b"ping"
        assert (await asking).code == 0

    async def test_listeners_have_one_holder_until_it_closes(
        self, driver: SandboxDriver, handle: SandboxHandle
    ) -> None:
        first, second = await driver.attach(handle.state), await driver.attach(handle.state)
        mine = await first.listeners()
        with pytest.raises(SandboxError) as busy:
            await second.listeners()
        assert busy.value.reason == "sandbox_busy"

        for listener in mine.values():
            listener.close()
        await first.close()
        async with asyncio.timeout(120):
            theirs = await self._listeners_when_free(second)

        assert theirs.keys() == mine.keys()
        for listener in theirs.values():
            listener.close()
        await second.close()

    async def _listeners_when_free(self, attachment: Attachment) -> dict[int, socket.socket]:
        while True:  # the driver may hear of the other's end a moment later
            try:
                return await attachment.listeners()
            except SandboxError:
                await asyncio.sleep(0.01)

    # Attachments

    async def test_two_attachments_work_side_by_side(self, driver: SandboxDriver, handle: SandboxHandle) -> None:
        first, second = await driver.attach(handle.state), await driver.attach(handle.state)

        answers = await asyncio.gather(run(first, ["echo", "one"]), run(second, ["echo", "two"]))

        assert [answer.stdout for answer in answers] == [b"one\n", b"two\n"]
        await first.close()
        await second.close()

    async def test_closing_an_attachment_ends_nothing_inside(
        self, driver: SandboxDriver, handle: SandboxHandle
    ) -> None:
        first, second = await driver.attach(handle.state), await driver.attach(handle.state)
        output, stdout = os.pipe()
        await first.exec(["sh", "-c", "read line; echo survived"], stdio=(output, stdout, stdout))
        await first.close()

        os.write(stdout, b"go on\n")

        assert (await run(second, ["echo", "still here"])).stdout == b"still here\n"
        os.close(stdout)
        os.close(output)
        await second.close()

    async def test_what_waits_ends_with_an_error_when_the_sandbox_goes(
        self, driver: SandboxDriver, spec: SandboxSpec
    ) -> None:
        handle = await driver.start(spec)
        attachment = await driver.attach(handle.state)
        null = os.open(os.devnull, os.O_RDWR)
        execution = await attachment.exec(["sleep", "100"], stdio=(null, null, null))
        os.close(null)
        waiting = asyncio.create_task(execution.wait())
        await asyncio.sleep(0)

        await driver.stop(handle.state, now=True)

        async with asyncio.timeout(120):
            with pytest.raises(SandboxError) as gone:
                await waiting
            await attachment.wait_gone()
        assert gone.value.reason == "sandbox_disconnected"
        for call in (attachment.dial(1), attachment.listeners(), run(attachment, ["true"])):
            with pytest.raises(SandboxError) as gone:
                await call
            assert gone.value.reason == "sandbox_disconnected"
        await attachment.close()

    async def test_a_guarded_command_takes_everything_else_with_it(self, attachment: Attachment) -> None:
        null = os.open("/dev/null", os.O_RDWR)
        guarded = await attachment.exec(["sleep", "100"], stdio=(null, null, null))
        await attachment.exec(["sleep", "101"], stdio=(null, null, null))
        os.close(null)
        await guarded.guard()

        await guarded.signal(9)

        async with asyncio.timeout(60):
            await attachment.wait_gone()

    async def test_guarding_a_command_that_has_ended_ends_the_sandbox(self, attachment: Attachment) -> None:
        null = os.open("/dev/null", os.O_RDWR)
        ended = await attachment.exec(["true"], stdio=(null, null, null))
        os.close(null)
        await ended.wait()

        await ended.guard()

        async with asyncio.timeout(60):
            await attachment.wait_gone()

    async def test_attaching_to_a_stopped_sandbox_is_an_error(self, driver: SandboxDriver, spec: SandboxSpec) -> None:
        handle = await driver.start(spec)
        await driver.stop(handle.state)

        with pytest.raises(SandboxError) as gone:
            await driver.attach(handle.state)

        assert gone.value.reason == "sandbox_disconnected"

    async def test_two_agents_have_two_sandboxes(
        self, driver: SandboxDriver, handle: SandboxHandle, spec: SandboxSpec
    ) -> None:
        other_root = spec.root.with_name("other")
        mounts = tuple(dataclasses.replace(m, source=other_root / m.source.name) for m in spec.mounts)
        other = await driver.start(dataclasses.replace(spec, root=other_root, mounts=mounts, listen=()))

        await driver.stop(other.state)

        assert await driver.poll(other.state) == 0
        assert await driver.poll(handle.state) is None

    async def test_the_doctor_names_what_it_looked_at(self, driver: SandboxDriver) -> None:
        checks = await driver.doctor()

        assert checks
        assert all(check.name for check in checks)
        assert not [check for check in checks if check.mandatory and not check.ok]
