"""One real sandbox with the real runtime in it and a scripted model behind its router port."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from sandboxes.documents import Document, install
from sandboxes.driver import Attachment, SandboxHandle
from sandboxes.hermes import gateway
from sandboxes.hermes.client import HermesClient
from sandboxes.hermes.configuration import ROUTER_PORT, HermesConfig
from sandboxes.hermes.gateway import Gateway, Given
from sandboxes.hermes.runtime import Runtime
from sandboxes.hermes.spec import sandbox_spec, write_live_files
from sandboxes.local.driver import LocalDriver
from tests.sandboxes.hermes.scripted_model import ScriptedModel

SOUL = "You are the first soul."


@dataclass
class RealSandbox:
    root: Path
    config: HermesConfig
    driver: LocalDriver
    handle: SandboxHandle
    attachment: Attachment
    gateway: Gateway
    model: ScriptedModel
    start_ms: float
    uid: int | None

    def client(self) -> HermesClient:
        return gateway.client_for(self.attachment, self.gateway.key)

    async def run(self, *command: str) -> tuple[int, str]:
        """Run a command inside as ``sandbox exec`` does; its code and what it printed."""
        with tempfile.TemporaryFile() as nothing, tempfile.TemporaryFile() as output:
            stdio = (nothing.fileno(), output.fileno(), output.fileno())
            code = await (await self.attachment.exec(list(command), stdio=stdio)).wait()
            output.seek(0)
            return code, output.read().decode()


@contextlib.contextmanager
def walkable_directory() -> Iterator[Path]:
    """A directory that the agent's user can walk into; pytest's own are closed to others."""
    top = Path(tempfile.mkdtemp(prefix="logos-hermes-", dir="/var/tmp"))
    top.chmod(0o755)
    try:
        yield top
    finally:
        shutil.rmtree(top, ignore_errors=True)


@contextlib.asynccontextmanager
async def real_sandbox(
    runtime: Runtime,
    config: HermesConfig,
    given: Given | None = None,
    documents: Sequence[Document] = (),
    model: ScriptedModel | None = None,
) -> AsyncIterator[RealSandbox]:
    """A started sandbox whose gateway answers; everything is gone afterwards."""
    uid = 299_001 if os.geteuid() == 0 else None
    async with contextlib.AsyncExitStack() as stack:
        top = stack.enter_context(walkable_directory())
        root = top / "a1"
        write_live_files(root, config, SOUL)
        install(root, documents, uid)
        driver = LocalDriver()
        spec = sandbox_spec(name="a1", root=root, runtime=runtime, config=config, uid=uid)
        began = time.perf_counter()
        handle = await driver.start(spec)
        start_ms = (time.perf_counter() - began) * 1000
        stack.push_async_callback(driver.stop, handle.state, now=True)
        attachment = await driver.attach(handle.state)
        stack.push_async_callback(attachment.close)
        model = model or ScriptedModel()
        runner = web.AppRunner(model.application(), handle_signals=False, shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, (await attachment.listeners())[ROUTER_PORT]).start()
        started = await gateway.start(attachment, root, given=given)
        await gateway.warm_up(attachment, started.key)
        yield RealSandbox(root, config, driver, handle, attachment, started, model, start_ms, uid)
