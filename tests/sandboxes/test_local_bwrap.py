"""bubblewrap's options: what every sandbox gets, and how a spec becomes part of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandboxes.driver import Limits, Mount, SandboxSpec
from sandboxes.local import bwrap

ROOT = Path("/srv/agents/atlas")
SPEC = SandboxSpec(
    "Atlas, the First!",
    ROOT,
    mounts=(Mount(ROOT / "hermes", "/hermes", writable=True), Mount(Path("/srv/runtime"), "/runtime")),
    files={"/hermes/.env": "in a mount", "/etc/hosts": "127.0.0.1 inference.local\n"},
    empty_dirs=("/hermes/plugins",),
    environment={"HOME": "/home/agent", "SECRET": "not for the process list"},
    limits=Limits(tmp_mb=7, shm_mb=3, processes=50),
)
NEW, OLD = (0, 11, 0), (0, 6, 1)


def text_options(spec: SandboxSpec = SPEC, version: tuple[int, ...] = NEW) -> list[str]:
    return [option if isinstance(option, str) else "DATA" for option in bwrap.options(spec, version)]


def joined(spec: SandboxSpec = SPEC, version: tuple[int, ...] = NEW) -> str:
    return " ".join(text_options(spec, version))


def written(path: str, spec: SandboxSpec = SPEC) -> str:
    """The text a file gets."""
    options = bwrap.options(spec, NEW)
    found = [options[i - 1] for i, option in enumerate(options) if option == path]
    assert len(found) == 1
    assert isinstance(found[0], bwrap.Data)
    return found[0].text


@pytest.mark.parametrize(
    "wall",
    ["--unshare-all", "--unshare-user", "--as-pid-1", "--die-with-parent", "--new-session", "--clearenv",
     "--cap-drop ALL", "--disable-userns"],
)  # fmt: skip
def test_every_wall_is_asked_for(wall: str) -> None:
    assert wall in joined()


def test_the_root_is_made_read_only_at_the_very_end() -> None:
    assert text_options()[-2:] == ["--remount-ro", "/"]


def test_nothing_of_the_host_is_shown_but_the_system_and_the_mounts() -> None:
    options = text_options()
    shown = {options[i + 1] for i, option in enumerate(options) if option in ("--bind", "--ro-bind", "--ro-bind-try")}

    outside_usr = {path for path in shown if not path.startswith(("/usr", "/etc/", "/bin", "/sbin", "/lib"))}
    assert outside_usr == {str(ROOT / "hermes"), "/srv/runtime"}


def test_only_the_writable_mount_is_writable() -> None:
    options = text_options()

    assert [options[i + 1 : i + 3] for i, option in enumerate(options) if option == "--bind"] == [
        [str(ROOT / "hermes"), "/hermes"]
    ]


def test_texts_and_environment_are_not_among_the_options() -> None:
    assert "in a mount" not in joined()
    assert "not for the process list" not in joined()


def test_a_file_of_the_spec_replaces_ours() -> None:
    assert written("/etc/hosts") == "127.0.0.1 inference.local\n"


def test_files_in_a_mount_come_after_it() -> None:
    options = text_options()

    assert options.index("/hermes/.env") > options.index("/hermes")


def test_the_agent_knows_its_name_and_home() -> None:
    assert written("/etc/passwd") == "agent:x:10001:10001:agent:/home/agent:/bin/sh\n"


def test_pid_1_and_what_it_imports_are_texts_so_that_no_path_of_ours_need_be_walkable() -> None:
    for module in bwrap.PID1_MODULES:
        assert "def " in written(f"/run/logos/sandboxes/local/{module}.py")


def test_an_empty_directory_is_small_and_read_only() -> None:
    assert "--size 4096 --perms 0555 --tmpfs /hermes/plugins --remount-ro /hermes/plugins" in joined()


def test_temporary_directories_are_limited() -> None:
    assert f"--size {7 << 20} --perms 1777 --tmpfs /tmp" in joined()
    assert f"--size {3 << 20} --perms 1777 --tmpfs /dev/shm" in joined()


def test_an_older_bubblewrap_is_not_given_options_it_lacks() -> None:
    assert "--disable-userns" not in joined(version=OLD)
    assert "--size" not in joined(version=OLD)


@pytest.mark.parametrize(
    ("name", "host_name"),
    [("Atlas, the First!", "atlas-the-first"), ("", "sandbox"), ("日本", "sandbox"), ("x" * 99, "x" * 63)],
)
def test_the_host_name_is_a_host_name(name: str, host_name: str) -> None:
    options = text_options(SandboxSpec(name, ROOT))

    assert options[options.index("--hostname") + 1] == host_name


def test_limits_reach_pid_1_in_bytes() -> None:
    limits = bwrap.pid1_configuration(SPEC)["rlimits"]

    assert limits["RLIMIT_NPROC"] == 50
    assert limits["RLIMIT_DATA"] == 4096 << 20
    assert limits["RLIMIT_CORE"] == 0


def test_landlock_lets_the_agent_write_its_own_directories_only() -> None:
    paths = bwrap.pid1_configuration(SPEC)["landlock"]

    assert paths["read_write"] == ["/hermes", "/tmp", "/dev/shm"]
    assert "/runtime" in paths["read_only"]
