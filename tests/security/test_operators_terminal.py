"""A hostile agent leaves a process behind that keeps what an operator's command was given."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What "sandbox exec" does, with the sandbox's part played by a plain process of this machine.
EXEC = """
import subprocess, sys
sys.path.insert(0, sys.argv[1])
from sandboxes.standard_streams import StandardStreams
with StandardStreams(interactive=sys.argv[2] == "-i") as streams:
    one, two, three = streams.stdio
    command = subprocess.Popen(sys.argv[3:], stdin=one, stdout=two, stderr=three)
    streams.handed_in()
    code = command.wait()
sys.exit(code)
"""

# Says what it was given: of which kind each descriptor is, and whether it can be read and written.
INSPECT = """
import fcntl, os, stat
def kind(number):
    found = os.fstat(number)
    way = ("reads", "writes", "both ways")[fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE]
    return "pipe" if stat.S_ISFIFO(found.st_mode) else "null" if found.st_rdev == os.makedev(1, 3) else "other", way
print([kind(number) for number in (0, 1, 2)])
"""


def run(*command: str, interactive: bool, stdin: int, output: int) -> int:
    words = [sys.executable, "-c", EXEC, str(ROOT), "-i" if interactive else "-", *command]
    return subprocess.run(words, stdin=stdin, stdout=output, stderr=output, timeout=240).returncode


@pytest.mark.parametrize(("interactive", "stdin"), [(True, ("pipe", "reads")), (False, ("null", "reads"))])
def test_a_command_gets_no_descriptor_of_the_terminal(interactive: bool, stdin: tuple[str, str]) -> None:
    master, terminal = pty.openpty()
    try:
        assert run(sys.executable, "-c", INSPECT, interactive=interactive, stdin=terminal, output=terminal) == 0
        expected = [stdin, ("pipe", "writes"), ("pipe", "writes")]
        assert os.read(master, 1000).decode().strip() == str(expected)
    finally:
        os.close(master)
        os.close(terminal)


def test_a_command_gets_no_descriptor_of_the_file_its_output_goes_to(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w+") as file:
        assert run(sys.executable, "-c", INSPECT, interactive=True, stdin=file.fileno(), output=file.fileno()) == 0
    assert "other" not in (tmp_path / "out").read_text()


def test_all_output_and_the_exit_code_arrive_though_a_process_stays_behind(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w+") as file:
        script = "seq 1 20000; (sleep 20 &) ; exit 7"
        assert run("sh", "-c", script, interactive=False, stdin=file.fileno(), output=file.fileno()) == 7
    assert (tmp_path / "out").read_text().splitlines()[-1] == "20000"


def test_what_is_typed_arrives_to_the_last_byte(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"x" * 300_000)
    with (tmp_path / "in").open("rb") as given, (tmp_path / "out").open("w+") as file:
        assert run("wc", "-c", interactive=True, stdin=given.fileno(), output=file.fileno()) == 0
    assert (tmp_path / "out").read_text().strip() == "300000"
