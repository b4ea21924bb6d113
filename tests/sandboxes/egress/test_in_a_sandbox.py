"""The proxy on a real sandbox's own descriptor: which program asked, seen from the host."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agents.reach import Reach, parse
from sandboxes.driver import Attachment
from sandboxes.egress.proxy import Decision, EgressProxy
from sandboxes.execute import run
from sandboxes.local.driver import LocalDriver
from tests.sandboxes.local_specs import local_spec

pytestmark = [pytest.mark.sandbox]

PORT = 3128
PYTHON = "/usr/bin/python3"
ASK = """
import socket, sys
s = socket.create_connection(("127.0.0.1", 3128))
s.sendall(b"CONNECT example.org:443 HTTP/1.1\\r\\n\\r\\n")
print(s.recv(65536).split(b"\\r\\n")[0].decode())
"""


class Box:
    """A running sandbox whose port 3128 is served by a proxy; every public address leads to a server that says nothing."""

    def __init__(self, attachment: Attachment) -> None:
        self.attachment = attachment
        self.notes: list[Decision] = []
        self.reach = Reach(())

    def allow(self, *binaries: str) -> None:
        self.reach = Reach(parse([{"name": "web", "hosts": ["example.org"], "binaries": list(binaries)}]))

    async def inside(self, *argv: str) -> str:
        done = await run(self.attachment, list(argv), timeout_s=30)
        return done.stdout.decode().strip() or done.stderr.decode()


def a_directory() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="logos-egress-", dir="/var/tmp"))
    directory.chmod(0o755)
    return directory


@pytest.fixture
async def box() -> AsyncIterator[Box]:
    directory = a_directory()
    driver = LocalDriver()
    handle = await driver.start(local_spec(directory, listen=(PORT,)))
    attachment = await driver.attach(handle.state)
    made = Box(attachment)
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)

    async def lookup(host: str, port: int) -> list[str]:
        return ["1.1.1.1"]

    async def connect(address: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])

    async def reach() -> Reach:
        return made.reach

    proxy = EgressProxy(reach, made.notes.append, attachment, lookup=lookup, connect=connect)
    await proxy.serve((await attachment.listeners())[PORT])
    try:
        yield made
    finally:
        await proxy.close()
        server.close()
        await attachment.close()
        await driver.stop(handle.state, now=True)
        shutil.rmtree(directory)


async def interpreter(box: Box) -> str:
    return await box.inside(PYTHON, "-c", "import os; print(os.path.realpath('/proc/self/exe'))")


async def test_the_program_that_asks_is_told_by_its_path(box: Box) -> None:
    python = await interpreter(box)
    box.allow(python)

    assert await box.inside(PYTHON, "-c", ASK) == "HTTP/1.1 200 Connection established"
    assert box.notes[0].binary == python


async def test_another_program_is_denied(box: Box) -> None:
    box.allow("/usr/bin/git")

    assert await box.inside(PYTHON, "-c", ASK) == "HTTP/1.1 403 Forbidden"
    assert box.notes[0].reason.startswith("example.org is allowed for other programs, not for /usr/")


async def test_a_program_copied_to_where_the_agent_writes_is_nobody(box: Box) -> None:
    python = await interpreter(box)
    box.allow(python)

    said = await box.inside("/bin/sh", "-c", f'cp {python} /workspace/python3 && /workspace/python3 -c "$0"', ASK)

    assert said == "HTTP/1.1 403 Forbidden"
    assert box.notes[0].binary == ""


async def test_a_socket_shared_by_two_programs_belongs_to_neither(box: Box) -> None:
    python = await interpreter(box)
    box.allow(python)
    shared = """
import os, socket, subprocess
s = socket.create_connection(("127.0.0.1", 3128))
os.set_inheritable(s.fileno(), True)
subprocess.Popen(["sleep", "3"], close_fds=False)
import time; time.sleep(0.3)
s.sendall(b"CONNECT example.org:443 HTTP/1.1\\r\\n\\r\\n")
print(s.recv(65536).split(b"\\r\\n")[0].decode())
"""

    assert await box.inside(PYTHON, "-c", shared) == "HTTP/1.1 403 Forbidden"


async def test_a_program_that_turns_into_another_before_it_asks_is_neither(box: Box) -> None:
    """It connects, waits until that was seen, and becomes what is allowed with the connection in its hands."""
    python = await interpreter(box)
    box.allow(python)
    turns = f"""
exec 3<>/dev/tcp/127.0.0.1/3128; sleep 0.4
exec {python} -c 'import socket; s = socket.socket(fileno=3)
s.sendall(b"CONNECT example.org:443 HTTP/1.1\\r\\n\\r\\n"); print(s.recv(65536).split(b"\\r\\n")[0].decode())'
"""

    assert await box.inside("/bin/bash", "-c", turns) == "HTTP/1.1 403 Forbidden"
    assert box.notes[0].binary == ""


async def test_a_child_that_left_its_parents_is_found_too(box: Box) -> None:
    python = await interpreter(box)
    box.allow(python)
    orphan = f"""
import os, sys, time
if os.fork():
    time.sleep(1); sys.exit()
os.setsid()
if os.fork():
    os._exit(0)
{ASK}
"""

    assert await box.inside(PYTHON, "-c", orphan) == "HTTP/1.1 200 Connection established"


async def test_many_at_once_are_told_apart(box: Box) -> None:
    python = await interpreter(box)
    box.allow(python)

    said = await asyncio.gather(*[box.inside(PYTHON, "-c", ASK) for _ in range(12)])

    assert set(said) == {"HTTP/1.1 200 Connection established"}
    assert {note.binary for note in box.notes} == {python}
