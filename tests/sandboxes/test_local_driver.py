"""The local driver passes the contract with real sandboxes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sandboxes.driver import SandboxDriver, SandboxSpec
from sandboxes.local.driver import LocalDriver
from tests.sandboxes.driver_contract import DriverContract
from tests.sandboxes.local_specs import local_spec

pytestmark = pytest.mark.sandbox


class TestLocalDriver(DriverContract):
    @pytest.fixture
    def new_driver(self) -> Callable[[], SandboxDriver]:
        return LocalDriver

    @pytest.fixture
    def spec(self, walkable_dir: Path, listening_port: int) -> SandboxSpec:
        return local_spec(walkable_dir, listen=(listening_port,))
