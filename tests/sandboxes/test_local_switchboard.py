"""Many clients of one keeper: each gets its own answers, and none can hold up the others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from pathlib import Path

import pytest

from sandboxes.driver import SandboxError, SandboxHandle
from sandboxes.execute import run
from sandboxes.local.driver import LocalDriver
from tests.sandboxes.keeping import handle as handle
from tests.sandboxes.keeping import output_of, raw_client
from tests.sandboxes.keeping import spec as spec
from tests.sandboxes.local_specs import local_spec

pytestmark = pytest.mark.sandbox


async def test_many_clients_share_the_sandbox_and_each_gets_its_own_answers(handle: SandboxHandle) -> None:
    attachments = [await LocalDriver().attach(handle.state) for _ in range(8)]

    answers = await asyncio.gather(
        *(run(attachment, ["echo", f"{n}-{k}"]) for n, attachment in enumerate(attachments) for k in range(5))
    )

    assert [answer.stdout.decode().strip() for answer in answers] == [f"{n}-{k}" for n in range(8) for k in range(5)]
    for attachment in attachments:
        await attachment.close()


async def test_a_client_that_does_not_read_is_dropped_and_harms_nobody(handle: SandboxHandle) -> None:
    deaf = raw_client(handle)
    deaf.setblocking(False)

    async def shout() -> None:
        with contextlib.suppress(OSError):
            for number in range(100_000):
                try:
                    deaf.send(json.dumps({"op": "dial", "id": number, "port": 1}).encode())
                except BlockingIOError:
                    await asyncio.sleep(0.001)

    async with asyncio.timeout(240):
        shouting = asyncio.create_task(shout())
        assert await output_of(handle, "echo", "served") == b"served\n"
        await shouting

    deaf.setblocking(True)
    while deaf.recv(4096):  # what was left for it, then the end
        pass
    deaf.close()
    assert await output_of(handle, "echo", "still served") == b"still served\n"


@pytest.mark.parametrize(
    "nonsense",
    [
        b"not json",
        b"{}",
        b'{"op":"unknown","id":1}',
        b'{"op":"dial","id":1,"port":"80"}',
        b'{"op":"dial","id":1,"port":70000}',
        b'{"op":"dial","id":-1,"port":80}',
        b'{"op":"exec","id":1,"argv":[]}',
        b'{"op":"exec","id":1,"argv":"ls"}',
        b'{"op":"exec","id":1,"argv":["ls"],"env":{"A":1}}',
        b'{"op":"exec","id":1,"argv":["ls"],"cwd":3}',
        b'{"op":"signal","id":1,"signal":999}',
        b'{"op":"stop","id":1,"grace_s":"soon"}',
        b'{"op":"stop","id":1,"grace_s":-1}',
    ],
)
async def test_a_client_that_makes_no_sense_is_dropped_and_harms_nobody(handle: SandboxHandle, nonsense: bytes) -> None:
    client = raw_client(handle)
    assert json.loads(client.recv(4096))["version"] == 1

    client.send(nonsense)

    assert client.recv(4096) == b""
    client.close()
    assert await output_of(handle, "echo", "served") == b"served\n"


async def test_a_command_without_its_descriptors_is_refused(handle: SandboxHandle) -> None:
    client = raw_client(handle)
    client.recv(4096)

    client.send(b'{"op":"exec","id":5,"argv":["true"]}')

    answer = json.loads(client.recv(4096))
    assert (answer["id"], answer["code"]) == (5, 126)
    client.close()


async def test_a_keeper_of_another_version_is_not_spoken_to(
    handle: SandboxHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandboxes.local.wire.VERSION", 2)

    with pytest.raises(SandboxError) as refused:
        await LocalDriver().attach(handle.state)

    assert refused.value.reason == "sandbox_version"


async def test_a_command_line_that_is_too_long_is_refused(handle: SandboxHandle) -> None:
    attachment = await LocalDriver().attach(handle.state)

    with pytest.raises(SandboxError) as refused:
        await run(attachment, ["echo", "x" * 200_000])

    assert refused.value.reason == "exec_too_long"
    assert (await run(attachment, ["echo", "x" * 100_000])).code == 0
    await attachment.close()


async def test_descriptors_do_not_pile_up(handle: SandboxHandle) -> None:
    attachment = await LocalDriver().attach(handle.state)
    await run(attachment, ["true"])
    before = [len(os.listdir(f"/proc/{pid}/fd")) for pid in (os.getpid(), handle.state["keeper"]["pid"])]

    for _ in range(50):
        await run(attachment, ["true"])
        with contextlib.suppress(ConnectionRefusedError):
            await attachment.dial(1)
        (await attachment.dial(8081)).close()

    async with asyncio.timeout(60):  # the keeper may still be closing its copies of the last ones
        while True:
            after = [len(os.listdir(f"/proc/{pid}/fd")) for pid in (os.getpid(), handle.state["keeper"]["pid"])]
            if all(count <= earlier + 3 for count, earlier in zip(after, before, strict=True)):
                break
            await asyncio.sleep(0.02)
    await attachment.close()


# What an agent tries against PID 1


async def test_three_hundred_quick_commands_all_report_their_end(handle: SandboxHandle) -> None:
    attachment = await LocalDriver().attach(handle.state)
    null = os.open(os.devnull, os.O_RDWR)
    started = [await attachment.exec(["/bin/true"], stdio=(null, null, null)) for _ in range(300)]
    os.close(null)

    async with asyncio.timeout(60):
        codes = await asyncio.gather(*(execution.wait() for execution in started))

    assert codes == [0] * 300
    await attachment.close()


HOG = """
import os, time
children = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(100)
            os._exit(0)
        children += 1
except OSError:
    print("full", flush=True)
time.sleep(100)
"""


async def test_pid_1_survives_an_agent_that_holds_every_process(walkable_dir: Path) -> None:
    from sandboxes.driver import Limits

    driver = LocalDriver()
    handle = await driver.start(local_spec(walkable_dir, limits=Limits(processes=30)))
    attachment = await driver.attach(handle.state)
    output, stdout = os.pipe()
    hog = await attachment.exec(["python3", "-c", HOG], stdio=(stdout, stdout, stdout))
    os.close(stdout)
    assert await asyncio.to_thread(os.read, output, 100) == b"full\n"
    os.close(output)

    assert (await run(attachment, ["true"])).code == 126
    await hog.signal(signal.SIGKILL)
    await hog.wait()
    async with asyncio.timeout(60):
        while (await run(attachment, ["true"])).code != 0:
            pass

    await attachment.close()
    await driver.stop(handle.state, now=True)


FULL_BACKLOG = """
import socket
server = socket.socket(); server.bind(("127.0.0.1", 8642)); server.listen(0)
waiting = [socket.socket() for _ in range(20)]
for client in waiting:
    client.setblocking(False); client.connect_ex(("127.0.0.1", 8642))
print("full", flush=True)
import time; time.sleep(100)
"""


async def test_a_server_that_does_not_accept_holds_up_no_other_request(handle: SandboxHandle) -> None:
    attachment = await LocalDriver().attach(handle.state)
    output, stdout = os.pipe()
    await attachment.exec(["python3", "-c", FULL_BACKLOG], stdio=(stdout, stdout, stdout))
    os.close(stdout)
    assert await asyncio.to_thread(os.read, output, 100) == b"full\n"
    os.close(output)
    dialling = [asyncio.create_task(attachment.dial(8642)) for _ in range(5)]

    async with asyncio.timeout(15):  # each of the five is given up after 5: one after the other they take longer
        assert (await run(attachment, ["echo", "quick"])).stdout == b"quick\n"

    assert not any(task.done() and not task.exception() for task in dialling)
    for task in dialling:
        task.cancel()
    await asyncio.gather(*dialling, return_exceptions=True)
    await attachment.close()
