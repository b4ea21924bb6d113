"""What makes a sandbox another one, and what does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.agent_secrets import Granted
from sandboxes import identity
from sandboxes.driver import Limits, Mount, SandboxSpec
from sandboxes.hermes.configuration import HermesConfig, live_files
from sandboxes.hermes.runtime import Runtime
from sandboxes.hermes.spec import sandbox_spec


def a_runtime(version: str) -> Runtime:
    venv = Path(f"/state/runtime/hermes-{version}")
    return Runtime(version, venv, Path("/usr/bin/python3"), (Mount(venv, "/run/hermes/venv"),))


CONFIG = HermesConfig("logos", toolsets=("terminal",))


def spec_of(root: Path, config: HermesConfig = CONFIG, runtime: Runtime | None = None, **more: Any) -> SandboxSpec:
    return sandbox_spec(name="box", root=root, runtime=runtime or a_runtime("1.0"), config=config, uid=200_001, **more)


SPEC = spec_of(Path("/state/agents/box"))
SECRET = Granted(id="1", name="TOKEN", value="v", to=("commands",), version=1)


@pytest.mark.parametrize(
    "change",
    [
        {"limits": Limits(memory_mb=512)},
        {"mounts": (*SPEC.mounts, Mount(Path("/data"), "/data"))},
        {"mounts": SPEC.mounts[:-1]},
        {"files": {**SPEC.files, "/etc/motd": "new"}},
        {"empty_dirs": ()},
        {"listen": (*SPEC.listen, 3128)},
        {"environment": {**SPEC.environment, "ANOTHER": "variable"}},
        {"uid": 200_002},
        {"working_directory": "/home/agent"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_cannot_change_while_it_runs_makes_another_sandbox(change: dict[str, Any]) -> None:
    assert identity.digest(replace(SPEC, **change)) != identity.digest(SPEC)


def test_another_runtime_or_driver_makes_another_sandbox() -> None:
    assert identity.digest(spec_of(SPEC.root, runtime=a_runtime("1.1"))) != identity.digest(SPEC)
    assert identity.digest(SPEC, driver="local 2") != identity.digest(SPEC, driver="local 1")


def test_a_secret_makes_another_sandbox_by_its_version_and_its_value_is_not_in_it() -> None:
    with_secret = identity.digest(SPEC, (SECRET,))

    assert with_secret != identity.digest(SPEC)
    assert identity.digest(SPEC, (replace(SECRET, version=2),)) != with_secret
    assert identity.digest(SPEC, (replace(SECRET, to=("tools",)),)) != with_secret
    assert identity.digest(SPEC, (replace(SECRET, value="another value"),)) == with_secret
    assert "another value" not in repr(identity.parts(SPEC, (replace(SECRET, value="another value"),), "local"))


@pytest.mark.parametrize(
    "config",
    [replace(CONFIG, toolsets=("terminal", "web")), replace(CONFIG, toolsets=()), replace(CONFIG, context_length=8192)],
    ids=["more toolsets", "no toolsets", "context length"],
)
def test_toolsets_and_the_model_s_context_bite_live(config: HermesConfig) -> None:
    assert identity.digest(spec_of(SPEC.root, config)) == identity.digest(SPEC)
    assert live_files(config, "soul") != live_files(CONFIG, "soul")


def test_the_soul_bites_live() -> None:
    # The soul is a file whose path counts, and whose text is in no part of the specification.
    assert "managed/SOUL.md" in identity.parts(SPEC, (), "local")["mounts"]
    assert live_files(CONFIG, "one") != live_files(CONFIG, "another")


def test_the_order_of_what_has_none_does_not_count() -> None:
    turned = replace(
        SPEC, files=dict(reversed(SPEC.files.items())), environment=dict(reversed(SPEC.environment.items()))
    )

    assert identity.digest(turned) == identity.digest(SPEC)


def test_what_differs_is_named_so_that_whoever_waits_is_told_why() -> None:
    before = identity.digest(SPEC, (SECRET,), "local 1")
    limited, moved = replace(SPEC, limits=Limits(memory_mb=512)), replace(SPEC, files={})

    assert len(before) == 64
    assert identity.differing(before, before) == ""
    assert identity.differing(before, identity.digest(SPEC, (), "local 1")) == "its secrets"
    assert identity.differing(before, identity.digest(limited, (SECRET,), "local 1")) == "its limits"
    assert identity.differing(before, identity.digest(limited, (), "local 1")) == "its secrets and its limits"
    assert identity.differing(before, identity.digest(SPEC, (SECRET,), "local 2")) == "Logos or its runtime"
    assert identity.differing(before, identity.digest(moved, (), "local 1")) == "its secrets and Logos or its runtime"
    assert identity.differing("0" * 64, before) == "Logos or its runtime", "an earlier version wrote that"
