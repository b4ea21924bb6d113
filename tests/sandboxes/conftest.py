"""Fixtures for tests in real sandboxes.

sandbox     one running local sandbox, shared by a module's tests: its handle
inside      run a command in it: ``await inside("id")``, ``await inside("python3", "-c", code)``
attempt     run Python source in it that ends by printing one line; the line
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from sandboxes.driver import Attachment, SandboxHandle
from sandboxes.execute import Completed, run
from sandboxes.local.driver import LocalDriver
from tests.sandboxes.local_specs import local_spec

Inside = Callable[..., Awaitable[Completed]]
Attempt = Callable[[str], Awaitable[str]]

PREAMBLE = """
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    return "ok" if result >= 0 else errno.errorcode[ctypes.get_errno()]
def errno_of(what):
    try:
        what()
    except OSError as problem:
        return errno.errorcode[problem.errno]
    return "ok"
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxHandle]:
    directory = Path(tempfile.mkdtemp(prefix="logos-walls-", dir="/var/tmp"))
    directory.chmod(0o755)
    driver = LocalDriver()
    spec = local_spec(
        directory,
        files={"/hermes/config.yaml": "fixed\n"},
        empty_dirs=("/hermes/plugins",),
    )
    handle = asyncio.run(driver.start(spec))
    yield handle
    asyncio.run(driver.stop(handle.state, now=True))
    shutil.rmtree(directory)


@pytest.fixture
async def attached(sandbox: SandboxHandle) -> AsyncIterator[Attachment]:
    attachment = await LocalDriver().attach(sandbox.state)
    yield attachment
    await attachment.close()


@pytest.fixture
def inside(attached: Attachment) -> Inside:
    async def call(*argv: str, **options: object) -> Completed:
        return await run(attached, list(argv), **options)  # type: ignore[arg-type]

    return call


@pytest.fixture
def attempt(inside: Inside) -> Attempt:
    async def call(source: str) -> str:
        done = await inside("python3", "-c", PREAMBLE + textwrap.dedent(source))
        assert done.code == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    return call
