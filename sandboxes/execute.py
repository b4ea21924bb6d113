"""Run one short command in a sandbox and keep what it says: the convenience above ``Attachment.exec``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from typing import NamedTuple

from sandboxes.driver import Attachment, Execution, SandboxError

DEFAULT_LIMIT_BYTES = 1 << 20
# After the command has ended, a process it left in the background may hold its output open for ever.
_LAST_WORDS_S = 0.25
_CHUNK_BYTES = 64 * 1024


class Completed(NamedTuple):
    code: int
    stdout: bytes
    stderr: bytes


async def run(
    attachment: Attachment,
    argv: list[str],
    *,
    input: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    timeout_s: float = 60.0,
    limit_bytes: int = DEFAULT_LIMIT_BYTES,
) -> Completed:
    """The exit code and both outputs; of each output the first ``limit_bytes``, the rest is read and dropped.

    SandboxError (reason "exec_timeout") after ``timeout_s``; the command's whole group is killed then, and also
    when the caller is cancelled.
    """
    (stdin, feed), (output, stdout), (errors, stderr) = os.pipe(), os.pipe(), os.pipe()
    pipes = (_Feeding(feed, input), _Reading(output, limit_bytes), _Reading(errors, limit_bytes))
    try:
        try:
            execution = await attachment.exec(argv, stdio=(stdin, stdout, stderr), env=env, cwd=cwd)
        finally:
            for descriptor in (stdin, stdout, stderr):
                os.close(descriptor)
        code = await _wait(execution, argv, timeout_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await asyncio.gather(pipes[1].ended, pipes[2].ended)
    finally:
        for pipe in pipes:
            pipe.close()
    return Completed(code, bytes(pipes[1].content), bytes(pipes[2].content))


async def _wait(execution: Execution, argv: list[str], timeout_s: float) -> int:
    try:
        async with asyncio.timeout(timeout_s):
            return await execution.wait()
    except TimeoutError:
        await execution.signal(signal.SIGKILL)
        raise SandboxError(
            f"“{argv[0]}” did not end within {timeout_s:g} seconds and was stopped.", reason="exec_timeout"
        ) from None
    except asyncio.CancelledError:
        with contextlib.suppress(SandboxError):
            await execution.signal(signal.SIGKILL)
        raise


class _Pipe:
    """Our end of one pipe, served by the running loop until it is closed."""

    def __init__(self, descriptor: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._descriptor: int | None = descriptor
        self.ended: asyncio.Future[None] = self._loop.create_future()
        os.set_blocking(descriptor, False)

    def close(self) -> None:
        if self._descriptor is None:
            return
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = None
        if not self.ended.done():
            self.ended.set_result(None)


class _Reading(_Pipe):
    def __init__(self, descriptor: int, limit_bytes: int) -> None:
        super().__init__(descriptor)
        self.content = bytearray()
        self._limit_bytes = limit_bytes
        self._loop.add_reader(descriptor, self._read)

    def _read(self) -> None:
        if self._descriptor is None:
            return
        try:
            data = os.read(self._descriptor, _CHUNK_BYTES)
        except BlockingIOError:
            return
        if not data:
            self.close()
        self.content += data[: self._limit_bytes - len(self.content)]


class _Feeding(_Pipe):
    def __init__(self, descriptor: int, content: bytes) -> None:
        super().__init__(descriptor)
        self._rest = memoryview(content)
        if content:
            self._loop.add_writer(descriptor, self._write)
        else:
            self.close()

    def _write(self) -> None:
        if self._descriptor is None:
            return
        try:
            written = os.write(self._descriptor, self._rest[:_CHUNK_BYTES])
        except BlockingIOError:
            return
        except BrokenPipeError:  # the command does not want to read it
            self.close()
            return
        self._rest = self._rest[written:]
        if not self._rest:
            self.close()
