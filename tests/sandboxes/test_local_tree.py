"""Which specs are refused before anything is touched: the mount-point rule, as a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandboxes.driver import Mount, SandboxError, SandboxSpec
from sandboxes.local import tree

ROOT = Path("/srv/agents/atlas")
HOME = Mount(ROOT / "home", "/home/agent", writable=True)
HERMES = Mount(ROOT / "hermes", "/hermes", writable=True)
RUNTIME = Mount(Path("/srv/runtime"), "/run/hermes/venv")


def spec(*mounts: Mount, **changes: object) -> SandboxSpec:
    return SandboxSpec("atlas", ROOT, mounts, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "good",
    [
        spec(),
        spec(HOME, HERMES, RUNTIME),
        spec(HERMES, Mount(ROOT / "managed/SOUL.md", "/hermes/SOUL.md")),
        spec(HERMES, files={"/hermes/.env": "", "/etc/hermes/config.yaml": "x"}, empty_dirs=("/hermes/plugins",)),
        spec(RUNTIME, files={"/run/hermes/venv/note": "below something read-only"}),
        spec(HOME, Mount(ROOT / "cache", "/home/agent/cache", writable=True)),
        spec(listen=(8081, 3128)),
        spec(files={"/run/logos-hermes/launch.py": "a neighbour of ours, not ours"}),
    ],
)
def test_these_are_accepted(good: SandboxSpec) -> None:
    tree.check(good)


@pytest.mark.parametrize(
    "bad",
    [
        spec(HOME, Mount(ROOT / "hermes", "/home/agent/.hermes/deep", writable=True)),
        spec(HOME, files={"/home/agent/.hermes/config.yaml": "the attack of the prototype"}),
        spec(HOME, empty_dirs=("/home/agent/.hermes/plugins",)),
        spec(
            HOME,
            Mount(ROOT / "cache", "/home/agent/cache", writable=True),
            files={"/home/agent/cache/a/b": ""},
        ),
    ],
)
def test_a_mount_point_the_agent_could_move_is_refused(bad: SandboxSpec) -> None:
    with pytest.raises(SandboxError) as refused:
        tree.check(bad)

    assert refused.value.reason == "sandbox_mount_point"


@pytest.mark.parametrize(
    "bad",
    [
        spec(Mount(Path("/srv/x"), "/")),
        spec(Mount(Path("/srv/x"), "/usr/lib/x")),
        spec(Mount(Path("/srv/x"), "/tmp/x")),
        spec(Mount(Path("/srv/x"), "/dev/x")),
        spec(Mount(Path("/srv/x"), "/etc")),
        spec(Mount(Path("/srv/x"), "/run")),
        spec(Mount(Path("/srv/x"), "/oldroot/etc")),
        spec(files={"/run/logos/sandboxes/local/pid1.py": "print('mine')"}),
        spec(Mount(Path("/srv/x"), "relative")),
        spec(Mount(Path("/srv/x"), "/a/../b")),
        spec(Mount(Path("/srv/x"), "//a")),
        spec(Mount(Path("/srv/x"), "/a/")),
        spec(files={"/a\0b": ""}),
        spec(HOME, files={"/home/agent": "twice"}),
        spec(empty_dirs=("/none",), files={"/none/some": ""}),
        spec(files={"/file": "", "/file/below": ""}),
        spec(Mount(Path("srv/x"), "/x")),
        spec(Mount(Path("/srv/../x"), "/x")),
        spec(listen=(80,)),
        spec(listen=(8081, 8081)),
        spec(listen=(70000,)),
        spec(working_directory="workspace"),
    ],
)
def test_these_make_no_sense_or_cover_the_sandbox_itself(bad: SandboxSpec) -> None:
    with pytest.raises(SandboxError) as refused:
        tree.check(bad)

    assert refused.value.reason == "sandbox_spec"


@pytest.mark.parametrize(
    "bad",
    [
        spec(Mount(ROOT, "/all", writable=True)),
        spec(Mount(ROOT.parent, "/everybody", writable=True)),
        spec(Mount(ROOT, "/all")),
        spec(Mount(ROOT / "engine", "/engine")),
        spec(Mount(ROOT / "engine/keeper.sock", "/keeper.sock")),
        spec(HOME, Mount(ROOT / "home/shared", "/shared")),
        spec(HOME, Mount(ROOT / "home", "/again", writable=True)),
    ],
)
def test_a_source_the_agent_could_replace_or_must_not_see_is_refused(bad: SandboxSpec) -> None:
    with pytest.raises(SandboxError) as refused:
        tree.check(bad)

    assert refused.value.reason == "sandbox_spec"


def test_outer_mounts_come_first() -> None:
    inner = Mount(ROOT / "cache", "/home/agent/cache", writable=True)

    assert tree.in_mounting_order((inner, HOME, HERMES)) == [HERMES, HOME, inner]
