"""Fixtures of the real runtime.

runtime   the installed runtime (once per machine)
sandbox   a real sandbox with the runtime answering in it (once per module, about two seconds)
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandboxes.hermes.configuration import HermesConfig
from sandboxes.hermes.runtime import Runtime
from tests.sandboxes.hermes.installed import installed_runtime
from tests.sandboxes.hermes.real_sandbox import RealSandbox, real_sandbox


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    return installed_runtime()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox(runtime: Runtime) -> AsyncIterator[RealSandbox]:
    config = HermesConfig("scripted", toolsets=("terminal", "file", "todo"), max_concurrent_runs=4)
    async with real_sandbox(runtime, config) as started:
        yield started
