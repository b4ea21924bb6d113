"""What one agent's sandbox is made of, and how its live files are rewritten."""

from __future__ import annotations

import os
import threading
from pathlib import Path, PurePosixPath

import pytest

from sandboxes.driver import Mount, SandboxSpec
from sandboxes.hermes.configuration import HermesConfig, user_yaml
from sandboxes.hermes.runtime import Runtime
from sandboxes.hermes.spec import LAUNCHER, sandbox_spec, write_in_place, write_live_files

RUNTIME = Runtime("0.19.0", Path("/r/venv"), Path("/usr/bin/python3"), (Mount(Path("/r/venv"), "/run/hermes/venv"),))
ROOT = Path("/state/agents/a1")


def spec() -> SandboxSpec:
    return sandbox_spec(name="a1", root=ROOT, runtime=RUNTIME, config=HermesConfig("demo"), uid=200001)


def test_the_agent_writes_in_three_places_and_nowhere_else() -> None:
    writable = {mount.target: mount.source for mount in spec().mounts if mount.writable}

    assert writable == {
        "/workspace": ROOT / "workspace",
        "/home/agent": ROOT / "home",
        "/hermes": ROOT / "hermes",
    }


def test_no_mount_point_lies_deeper_than_directly_in_a_writable_mount() -> None:
    made = spec()
    writable = [PurePosixPath(mount.target) for mount in made.mounts if mount.writable]
    targets = [m.target for m in made.mounts] + list(made.files) + list(made.empty_dirs)

    for target in map(PurePosixPath, targets):
        assert not any(top in target.parents and target.parent != top for top in writable), target


def test_everything_the_runtime_reads_as_configuration_or_code_is_read_only() -> None:
    made = spec()
    readable = {mount.target for mount in made.mounts if not mount.writable}

    assert {"/hermes/config.yaml", "/hermes/SOUL.md", "/run/hermes/venv"} <= readable
    assert {"/hermes/.env", "/etc/hermes/config.yaml", "/hermes/gateway.json"} <= made.files.keys()
    assert made.files["/run/logos-hermes/launch.py"] == LAUNCHER.read_text()
    assert made.empty_dirs == ("/hermes/plugins", "/hermes/hooks")


def test_only_the_router_and_the_egress_proxy_lead_out_and_no_secret_is_in_the_environment() -> None:
    made = spec()

    assert made.listen == (8081, 3128)
    names = {name.upper() for name in made.environment}
    assert not {name for name in names if "KEY" in name or "TOKEN" in name}
    for name in ("HTTP_PROXY", "https_proxy"):
        assert made.environment[name] == "http://127.0.0.1:3128"
    assert made.environment["no_proxy"] == "localhost,127.0.0.1,inference.logos.internal"
    assert made.environment["HERMES_HOME"] == "/hermes"


def test_the_runtime_finds_its_helpers_only_where_the_agent_cannot_put_any() -> None:
    made = spec()
    writable = [mount.target for mount in made.mounts if mount.writable]

    for directory in made.environment["PATH"].split(":"):
        assert not any(directory.startswith(target) for target in writable), directory


def test_the_launcher_needs_nothing_but_the_standard_library_until_the_runtime_is_there() -> None:
    imports = [line for line in LAUNCHER.read_text().splitlines() if line.startswith(("import ", "from "))]
    assert not [line for line in imports if "sandboxes" in line or "agents" in line or "httpx" in line]


def test_live_files_are_readable_by_the_agents_user_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_live_files(tmp_path, HermesConfig("demo"), "Be kind.")
    finally:
        os.umask(before)

    assert (tmp_path / "managed").stat().st_mode & 0o777 == 0o755
    for name in ("config.yaml", "SOUL.md"):
        assert (tmp_path / "managed" / name).stat().st_mode & 0o777 == 0o644


def test_a_rewrite_keeps_the_file_that_the_sandbox_has_mounted(tmp_path: Path) -> None:
    write_live_files(tmp_path, HermesConfig("one", toolsets=("terminal", "file", "memory")), "A long soul. " * 50)
    before = {path.name: path.stat().st_ino for path in (tmp_path / "managed").iterdir()}

    config = HermesConfig("two", toolsets=())
    write_live_files(tmp_path, config, "Short.")

    assert {path.name: path.stat().st_ino for path in (tmp_path / "managed").iterdir()} == before
    assert (tmp_path / "managed/SOUL.md").read_text() == "Short."
    assert (tmp_path / "managed/config.yaml").read_text() == user_yaml(config)


def test_an_unchanged_file_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "SOUL.md"
    write_in_place(path, "same")
    os.utime(path, ns=(1, 1))

    write_in_place(path, "same")
    assert path.stat().st_mtime_ns == 1

    write_in_place(path, "samE")
    assert path.stat().st_mtime_ns != 1


@pytest.mark.parametrize("text", ["", "a", "grüße\n" * 1000])
def test_any_text_may_follow_any_other(tmp_path: Path, text: str) -> None:
    path = tmp_path / "f"
    write_in_place(path, "something of middling length")

    write_in_place(path, text)

    assert path.read_text() == text


def test_a_reader_never_meets_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    texts = ["a" * 3000, "b" * 3000]
    write_in_place(path, texts[0])
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=look)
    reader.start()
    for round_ in range(200):
        write_in_place(path, texts[round_ % 2])
    over.set()
    reader.join()

    assert "" not in seen
    assert all(len(text) == 3000 for text in seen)


def test_a_link_in_the_place_of_a_live_file_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "SOUL.md").symlink_to(victim)

    with pytest.raises(OSError, match="symbolic"):
        write_in_place(tmp_path / "SOUL.md", "overwritten")

    assert victim.read_text() == "precious"
