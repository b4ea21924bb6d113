"""The supervisor with real child processes: restart, end, leave no orphan, spare what has its own session."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]

# A process of its own, because a supervisor owns the signals of its process.
PROGRAM = """
import json, sys
from logos_site.up import supervisor
from logos_site.up.supervisor import Child, Supervisor
for name, value in json.loads(sys.argv[2]).items():
    setattr(supervisor, name, value)
children = [Child(name, argv) for name, argv in json.loads(sys.argv[1]).items()]
def say(source, line): print(source, line, flush=True)
def crashed(child): print("CRASHED", child.name, child.crashes, list(child.last_lines), flush=True)
Supervisor(children, say, crashed=crashed).run()
print("DONE", flush=True)
"""


class Running:
    """A supervisor process and the lines it printed so far."""

    def __init__(self, children: dict[str, list[str]], **constants: float) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, json.dumps(children), json.dumps(constants)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []

    def until(self, is_it: Callable[[str], bool]) -> str:
        """The next line that is it; fails when the supervisor ends first."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if is_it(self.lines[-1]):
                return self.lines[-1]
        raise AssertionError(f"ended without it: {self.lines}")

    def end(self, number: int = signal.SIGTERM) -> float:
        """Send a signal, read to the end; the seconds it took."""
        started = time.monotonic()
        self.process.send_signal(number)
        self.lines += self.process.communicate(timeout=120)[0].splitlines()
        return time.monotonic() - started


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def begin(children: dict[str, str], **constants: float) -> Running:
        argv = {name: [sys.executable, "-uc", program] for name, program in children.items()}
        started.append(Running(argv, **constants))
        return started[-1]

    yield begin
    for running in started:
        running.process.kill()
        running.process.wait()


def is_alive(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def wait_gone(pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(timeout=60)


TELL_AND_STAY = "import os, time; print('pid', os.getpid()); time.sleep(600)"


def test_what_children_print_arrives_line_by_line_with_their_name(start: Callable[..., Running]) -> None:
    running = start({"one": "import os, time; os.write(1, b'hello\\nno newline'); time.sleep(600)"})

    running.until(lambda line: line == "one hello")
    running.end()

    assert "one no newline" in running.lines
    assert running.lines[-1] == "DONE"
    assert running.process.returncode == 0


def test_a_child_that_ends_is_started_again_ever_later(start: Callable[..., Running]) -> None:
    running = start({"one": "print('up'); raise SystemExit(3)"}, FIRST_DELAY_S=0.05)

    running.until(lambda line: line.startswith("CRASHED"))
    running.end()

    starts = running.lines.index(next(line for line in running.lines if line.startswith("CRASHED")))
    assert running.lines[:starts].count("one up") == 5
    assert "up one ended (exit code 3); starting it again in 0 s" in running.lines
    assert running.lines[starts] == "CRASHED one 5 ['up', 'up', 'up', 'up', 'up']"


def test_a_child_that_was_healthy_for_long_enough_begins_anew(start: Callable[..., Running]) -> None:
    running = start({"one": "print('up')"}, FIRST_DELAY_S=0.01, HEALTHY_AFTER_S=0.0)

    for _ in range(8):
        running.until(lambda line: line == "one up")
    running.end()

    assert not [line for line in running.lines if line.startswith("CRASHED")]


def test_a_program_that_does_not_exist_is_said_and_not_fatal() -> None:
    running = Running({"ghost": ["/nowhere/at/all"]})

    running.until(lambda line: line == "ghost cannot be started: No such file or directory")
    running.end()

    assert running.process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_each_signal_ends_everything(start: Callable[..., Running], number: int) -> None:
    running = start({"one": TELL_AND_STAY, "two": TELL_AND_STAY})
    pids = [int(running.until(lambda line: " pid " in line).split()[-1]) for _ in range(2)]

    took_s = running.end(number)

    assert took_s < 30
    assert not [pid for pid in pids if is_alive(pid)]


def test_a_child_that_will_not_end_is_killed_with_its_group(start: Callable[..., Running]) -> None:
    stubborn = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
worker = subprocess.Popen([sys.executable, '-c', 'import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)'])
print('pid', worker.pid)
time.sleep(600)
"""
    running = start({"one": stubborn}, GRACE_S=0.5)
    worker = int(running.until(lambda line: " pid " in line).split()[-1])

    took_s = running.end()

    assert 0.4 < took_s < 30
    wait_gone(worker)
    assert not is_alive(worker)


def test_what_a_child_leaves_in_its_group_ends_with_it(start: Callable[..., Running]) -> None:
    careless = "import subprocess; print('pid', subprocess.Popen(['sleep', '600']).pid)"
    running = start({"one": careless}, FIRST_DELAY_S=30)
    left = int(running.until(lambda line: " pid " in line).split()[-1])

    running.until(lambda line: "ended (exit code 0)" in line)

    wait_gone(left)
    assert not is_alive(left)
    running.end()


def test_what_has_a_session_of_its_own_survives(start: Callable[..., Running]) -> None:
    keeping = """
import subprocess, time
print('pid', subprocess.Popen(['sleep', '600'], start_new_session=True, stdout=subprocess.DEVNULL).pid)
time.sleep(600)
"""
    running = start({"one": keeping})
    keeper = int(running.until(lambda line: " pid " in line).split()[-1])

    running.end()

    try:
        assert is_alive(keeper)
    finally:
        os.kill(keeper, signal.SIGKILL)


def test_children_end_when_the_supervisor_is_killed(start: Callable[..., Running]) -> None:
    running = start({"one": TELL_AND_STAY})
    child = int(running.until(lambda line: " pid " in line).split()[-1])

    running.process.kill()

    wait_gone(child)
    assert not is_alive(child)


def test_a_second_signal_does_not_wait_for_the_grace(start: Callable[..., Running]) -> None:
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready'); time.sleep(600)"
    running = start({"one": stubborn}, GRACE_S=15)
    running.until(lambda line: line == "one ready")

    running.process.send_signal(signal.SIGINT)
    time.sleep(0.3)  # two signals at once are one
    took_s = running.end(signal.SIGINT)

    assert took_s < 30


def test_a_line_without_end_is_cut_and_not_kept_in_memory(start: Callable[..., Running]) -> None:
    running = start({"one": "import sys, time; sys.stdout.write('x' * 100_000); sys.stdout.flush(); time.sleep(600)"})

    line = running.until(lambda line: line.startswith("one xxx"))
    running.end()

    assert len(line) <= 16_384 + len("one ")


def test_bytes_that_are_no_text_are_shown_as_such(start: Callable[..., Running]) -> None:
    running = start({"one": "import os, time; os.write(1, b'caf\\xe9\\n'); time.sleep(600)"})

    assert running.until(lambda line: "caf" in line) == "one caf�"
    running.end()
