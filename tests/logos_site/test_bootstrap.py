"""``./logos``, the shell script: what it says on machines where something is missing. Python and uv are fakes here."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What the script itself calls; everything else is there only when a test puts it there.
TOOLS = (
    "sh",
    "dirname",
    "readlink",
    "id",
    "mkdir",
    "cat",
    "cksum",
    "sed",
    "uname",
    "printenv",
    "getent",
    "cut",
    "env",
    "chmod",
    "cp",
)

PYTHON = """#!/bin/sh
case "$*" in
    *sys.executable*) echo "$0" ;;
    *"-m venv"*) mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
    *) echo "python $*" ;;
esac
"""
OLD_PYTHON = "#!/bin/sh\nexit 0\n"
UV = """#!/bin/sh
case "$1" in
    --version) echo "uv 0.13.8" ;;
    sync) mkdir -p "$UV_PROJECT_ENVIRONMENT/bin"
          printf '#!/bin/sh\\necho "run $*"\\n' > "$UV_PROJECT_ENVIRONMENT/bin/python"
          chmod +x "$UV_PROJECT_ENVIRONMENT/bin/python"
          echo "sync $*" >> "$LOGOS_HOME/calls" ;;
esac
"""
OFFLINE_UV = """#!/bin/sh
case "$1" in --version) echo "uv 0.13.8" ;; *) echo "dns error: failed to lookup" >&2; exit 2 ;; esac
"""


class Machine:
    """A directory that is the whole PATH, a copy of the script, an empty state directory."""

    def __init__(self, root: Path) -> None:
        self.bin, self.checkout, self.state = root / "bin", root / "checkout", root / "state"
        for directory in (self.bin, self.checkout):
            directory.mkdir()
        shutil.copy(ROOT / "logos", self.checkout / "logos")
        (self.checkout / "uv.lock").write_text("lock 1")
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, tool
            (self.bin / tool).symlink_to(found)
        self.have("bwrap")

    def have(self, name: str, program: str = "#!/bin/sh\n") -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(program)
        path.chmod(0o755)

    def logos(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        # The distribution's interpreters are named by path; this machine's must not be seen.
        script = (self.checkout / "logos").read_text().replace("/usr/bin/python3", "/nonexistent/python3")
        (self.checkout / "logos").write_text(script)
        return subprocess.run(
            ["/bin/sh", str(self.checkout / "logos"), *words],
            env={"PATH": str(self.bin), "LOGOS_HOME": str(self.state), "HOME": str(self.state), **environment},
            capture_output=True,
            text=True,
            cwd="/",
        )

    def calls(self) -> list[str]:
        return (self.state / "calls").read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def ready(machine: Machine) -> Machine:
    machine.have("python3", PYTHON)
    machine.have("uv", UV)
    return machine


def test_every_shell_can_read_it() -> None:
    assert (ROOT / "logos").stat().st_mode & stat.S_IXUSR
    for shell in ("sh", "dash", "bash"):
        if path := shutil.which(shell):
            done = subprocess.run([path, "-n", str(ROOT / "logos")], capture_output=True, text=True)
            assert (done.returncode, done.stderr) == (0, "")


def test_without_words_it_tells_how_it_is_used(machine: Machine) -> None:
    done = machine.logos()

    assert done.returncode == 2
    assert "./logos up [--port 8091]" in done.stdout
    assert "#" not in done.stdout
    assert not machine.state.exists()


def test_a_command_runs_in_the_locked_environment(ready: Machine) -> None:
    done = ready.logos("chat", "atlas", "two words")

    assert done.returncode == 0, done.stderr
    assert done.stdout == f"run {ready.checkout}/manage.py chat atlas two words\n"
    assert ready.calls() == [f"sync sync --frozen --inexact --no-progress --project {ready.checkout} --no-dev"]


def test_the_environment_is_prepared_again_only_when_the_lock_changes(ready: Machine) -> None:
    ready.logos("check")
    ready.logos("check")
    assert len(ready.calls()) == 1

    (ready.checkout / "uv.lock").write_text("lock 2")
    ready.logos("check")
    assert len(ready.calls()) == 2


def test_test_wants_everything_and_the_full_environment_serves_all(ready: Machine) -> None:
    for name in ("chromium", "redis-server", "initdb"):
        ready.have(name)

    done = ready.logos("test", "-k", "one thing")

    assert done.stdout.endswith("-m pytest -n auto --dist loadgroup --no-loadscope-reorder -k one thing\n")
    assert ready.calls()[0].endswith("--all-extras")
    ready.logos("check")
    assert len(ready.calls()) == 1


@pytest.mark.parametrize(
    ("name", "value", "extra"),
    [
        ("LOGOS_REDIS_URL", "redis://x", True),
        ("LOGOS_DATABASE_URL", "postgresql://x", True),
        ("LOGOS_DATABASE_URL", "sqlite:/x", False),
    ],
)
def test_scale_out_settings_bring_their_packages(ready: Machine, name: str, value: str, extra: bool) -> None:
    ready.logos("check", **{name: value})

    assert ready.calls()[0].endswith("--extra scale-out") is extra


def test_it_works_through_a_link_and_from_elsewhere(ready: Machine, tmp_path: Path) -> None:
    ready.logos("check")
    link = tmp_path / "elsewhere"
    link.symlink_to(ready.checkout / "logos")

    done = subprocess.run(
        [str(link), "check"],
        env={"PATH": str(ready.bin), "LOGOS_HOME": str(ready.state)},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )

    assert done.stdout == f"run {ready.checkout}/manage.py check\n"


def test_without_python_it_says_which_one(machine: Machine) -> None:
    machine.have("python3", OLD_PYTHON)
    machine.have("sudo", "#!/bin/sh\nexit 1\n")
    machine.have("apt-get", "#!/bin/sh\nexit 0\n")

    done = machine.logos("up")

    assert done.returncode == 1
    assert "Python 3.11 or newer" in done.stderr or "sudo apt-get install -y" in done.stderr
    assert done.stdout == ""


def test_without_bubblewrap_and_rights_the_exact_command_is_printed(ready: Machine) -> None:
    (ready.bin / "bwrap").unlink()
    ready.have("apt-get")
    ready.have("sudo", "#!/bin/sh\nexit 1\n")
    ready.have("id", "#!/bin/sh\necho 1000\n")

    done = ready.logos("up")

    assert done.returncode == 1
    assert done.stderr == (
        "logos: these system packages are missing: bubblewrap. "
        "Run: sudo apt-get install -y --no-install-recommends bubblewrap\n"
    )


def test_with_rights_what_is_missing_is_installed(ready: Machine) -> None:
    (ready.bin / "bwrap").unlink()
    ready.have("apt-get", '#!/bin/sh\necho "apt $*" >> "$LOGOS_HOME/calls"\n')
    ready.have("id", "#!/bin/sh\necho 0\n")

    done = ready.logos("up")

    assert done.returncode == 0, done.stderr
    assert ready.calls()[0] == "apt install -y --no-install-recommends bubblewrap"
    assert "installing bubblewrap" in done.stderr


def test_packages_that_cannot_be_had_are_one_sentence_with_the_command(ready: Machine) -> None:
    (ready.bin / "bwrap").unlink()
    ready.have("apt-get", "#!/bin/sh\necho 'Could not resolve host' >&2\nexit 100\n")
    ready.have("id", "#!/bin/sh\necho 0\n")

    done = ready.logos("up")

    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("logos: bubblewrap could not be installed")
    assert last.endswith("apt-get install -y --no-install-recommends bubblewrap")
    assert "Could not resolve host" in (ready.state / "logs" / "setup.log").read_text()


def test_a_command_that_needs_no_sandbox_does_not_ask_for_bubblewrap(ready: Machine) -> None:
    (ready.bin / "bwrap").unlink()

    assert ready.logos("doctor").returncode == 0


def test_offline_is_one_sentence_with_the_fix(machine: Machine) -> None:
    machine.have("python3", PYTHON)
    machine.have("uv", OFFLINE_UV)

    done = machine.logos("up")

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"logos: the packages could not be installed (see {machine.state}/logs/setup.log). "
        "Check the network, then try again."
    )
    assert "dns error" in (machine.state / "logs" / "setup.log").read_text()


def test_an_uv_that_does_not_work_is_not_used(machine: Machine) -> None:
    machine.have("python3", PYTHON)
    machine.have("uv", "#!/bin/sh\necho 'pyenv: uv: command not found' >&2\nexit 127\n")

    done = machine.logos("check")

    assert "getting uv (once)" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_state_directory_that_is_not_writable_is_one_sentence(ready: Machine) -> None:
    ready.state.mkdir(mode=0o500)

    assert "is not writable; set LOGOS_HOME" in ready.logos("up").stderr


def test_a_state_directory_that_cannot_be_made_is_one_sentence(ready: Machine) -> None:
    (ready.checkout / "file").write_text("")

    done = ready.logos("up", LOGOS_HOME=f"{ready.checkout}/file/state")

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"logos: the state directory {ready.checkout}/file/state cannot be made; "
        "set LOGOS_HOME to a directory you may write."
    ]


def test_another_system_than_linux_is_refused(ready: Machine) -> None:
    ready.have("uname", "#!/bin/sh\necho Darwin\n")

    done = ready.logos("up")

    assert (done.returncode, done.stdout) == (1, "")
    assert "Logos runs on Linux" in done.stderr


def test_dotenv_is_read_where_the_environment_is_silent_and_never_run(ready: Machine) -> None:
    ready.have("python3", PYTHON)
    (ready.checkout / ".env").write_text(
        "# a comment\n"
        'LOGOS_TIME_ZONE="Europe/Berlin"\n'
        "LOGOS_PORT=1\n"
        "PATH=/evil\n"
        "LOGOS_X;touch=1\n"
        "LOGOS_URL=$(touch /evil)"
    )
    ready.logos("check")
    show = '#!/bin/sh\necho "$LOGOS_TIME_ZONE|$LOGOS_PORT|$LOGOS_URL"\n'
    (ready.checkout / ".venv" / "bin" / "python").write_text(show)

    assert ready.logos("check", LOGOS_PORT="2").stdout == "Europe/Berlin|2|$(touch /evil)\n"
