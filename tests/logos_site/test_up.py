"""``up``: what it refuses in one sentence, what it tells, and the whole of it with both real processes."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from django.conf import settings

from agents.models import User
from logos_site.up import first_link, running, steps
from logos_site.up.console import Console
from logos_site.up.lock import Lock
from logos_site.up.running import Up
from logos_site.up.supervisor import Child
from tests.journeys.house import keepers_of, make_home, until
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]


def up(home: Path, environment: dict[str, str], *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "up", *words],
        env={**environment, "LOGOS_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


# --- refusals -------------------------------------------------------------------------------------
def test_a_second_up_is_one_sentence_and_exit_code_1(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    lock = Lock(tmp_path, "http://127.0.0.1:8091/")
    lock.take()

    process = up(tmp_path, clean_environment)
    said, _ = process.communicate(timeout=180)

    lock.release()
    assert process.returncode == 1
    assert said.startswith(f"logos: Logos is already running on {tmp_path} (process {os.getpid()}, http://127.0.0.1")
    assert len(said.splitlines()) == 1


def test_a_port_in_use_is_one_sentence_and_exit_code_1(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = up(tmp_path, clean_environment, "--port", str(taken.getsockname()[1]))
        said, _ = process.communicate(timeout=180)

    assert process.returncode == 1
    assert re.fullmatch(r"logos: Port \d+ on 127\.0\.0\.1 is in use\. .*--port\.", said.splitlines()[-1])
    assert "Traceback" not in said


def test_a_database_that_cannot_be_reached_is_one_sentence(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    (tmp_path / "logos.sqlite3").write_text("this is no database, and it is long enough to look at it " * 20)

    process = up(tmp_path, clean_environment, "--port", str(free_port()))
    said, _ = process.communicate(timeout=180)

    assert process.returncode == 1
    assert "logos: The database cannot be used." in said
    assert "Traceback" not in said


# --- what it tells --------------------------------------------------------------------------------
@pytest.fixture
def said(db: None) -> Iterator[io.StringIO]:
    yield io.StringIO()
    first_link.close()


def test_the_first_start_tells_a_link_that_opens(said: io.StringIO) -> None:
    Up("127.0.0.1", 8091, Console(said))._announce()

    token = re.search(r"http://127\.0\.0\.1:8091/start/([\w-]{40,})/", said.getvalue())
    assert token is not None
    assert first_link.is_open(token[1])
    assert "TLS" not in said.getvalue()


def test_with_an_administrator_there_is_no_link(said: io.StringIO, ada: User) -> None:
    Up("127.0.0.1", 8091, Console(said))._announce()

    assert "/start/" not in said.getvalue()
    assert "Logos answers at http://127.0.0.1:8091/" in said.getvalue()


def test_listening_for_others_without_tls_is_said(said: io.StringIO) -> None:
    logos = Up("0.0.0.0", 8091, Console(said))
    logos._announce()

    assert "no TLS" in said.getvalue()
    assert "http://0.0.0.0" not in said.getvalue()


def test_names_of_this_machine_are_answered_to_only_when_others_may_come(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "LOGOS_ALLOWED_HOSTS" not in Up("127.0.0.1", 8091, Console())._environment()

    names = Up("0.0.0.0", 8091, Console())._environment()["LOGOS_ALLOWED_HOSTS"].split(",")
    assert {"localhost", socket.gethostname()} <= set(names)

    monkeypatch.setenv("LOGOS_ALLOWED_HOSTS", "only.example.org")
    assert Up("0.0.0.0", 8091, Console())._environment()["LOGOS_ALLOWED_HOSTS"] == "only.example.org"


def test_a_process_that_never_comes_up_ends_it_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch, said: io.StringIO, tmp_path: Path
) -> None:
    logos = Up("127.0.0.1", 8091, Console(said))
    child = Child("serve", ["x"], crashes=5)
    child.last_lines.append("CommandError: the reason")
    logos._supervisor = stopped = FakeSupervisor()

    logos._crashed(child)

    assert "    CommandError: the reason" in said.getvalue()
    assert (stopped.is_stopped, logos._exit_code) == (True, 1)


def test_a_process_that_fails_later_is_said_and_tried_again(said: io.StringIO) -> None:
    logos = Up("127.0.0.1", 8091, Console(said))
    logos._answered = True
    logos._supervisor = stopped = FakeSupervisor()

    logos._crashed(Child("qcluster", ["x"], crashes=5))

    assert "qcluster has ended 5 times in a row" in said.getvalue()
    assert (stopped.is_stopped, logos._exit_code) == (False, 0)


class FakeSupervisor:
    is_stopped = False

    def stop(self) -> None:
        self.is_stopped = True


def test_the_lock_is_given_back_when_a_step_fails(
    monkeypatch: pytest.MonkeyPatch, said: io.StringIO, tmp_path: Path
) -> None:
    def broken(say: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(settings, "LOGOS_HOME", tmp_path)
    monkeypatch.setattr(steps, "prepare", broken)

    with pytest.raises(RuntimeError):
        Up("127.0.0.1", free_port(), Console(said)).run()

    Lock(tmp_path).take()


def test_nobody_answers_where_nobody_listens() -> None:
    assert not running.answers("127.0.0.1", free_port())


# --- the whole of it ------------------------------------------------------------------------------
@pytest.mark.runtime
def test_up_demo_serves_prepares_the_sandbox_repairs_and_ends_without_orphans(
    clean_environment: dict[str, str],
) -> None:
    home, port = make_home(), free_port()
    process = up(home, clean_environment, "--demo", "--port", str(port))
    try:
        said = read_until(process, "The sandbox of atlas is ready")
        assert re.search(r"Sign in as admin with the password \S{16}", said)
        assert f"Logos answers at http://127.0.0.1:{port}/" in said
        assert "/start/" not in said

        ready = until(lambda: readyz(port) if readyz(port)["status"] == "ready" else None, "ready", 120)
        assert all(check["ok"] for check in ready["checks"].values()), ready

        # A process of Logos that dies comes back by itself.
        serve = next(child for child in psutil.Process(process.pid).children() if "serve" in child.cmdline())
        serve.kill()
        until(lambda: serve_of(process.pid) not in (None, serve.pid) and answers(port), "serve is back", 120)

        # Everything but the keeper ends within five seconds.
        tree = psutil.Process(process.pid).children(recursive=True)
        keepers = keepers_of(home)
        assert keepers
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=120)
        assert time.monotonic() - started < 60
        assert process.returncode == 0
        assert "Logos has stopped." in said
        assert not [child for child in tree if child.is_running() and child.pid not in keepers]
        assert set(keepers) <= set(keepers_of(home))

        # A second up finds everything, the sandbox included, and tells no password.
        process = up(home, clean_environment, "--demo", "--port", str(port))
        said = read_until(process, "The sandbox of atlas is ready")
        assert "Installing" not in said
        assert "Collecting" not in said
        assert "changepassword admin" in said
        assert set(keepers_of(home)) == set(keepers)
    finally:
        process.terminate()
        process.communicate(timeout=120)
        end_sandboxes(home)


def read_until(process: subprocess.Popen[str], words: str) -> str:
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if words in line:
            return said
    raise AssertionError(f"up ended without {words!r}: {said}")


def serve_of(parent: int) -> int | None:
    for child in psutil.Process(parent).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # a child that has just died counts too
            if "serve" in child.cmdline():
                return child.pid
    return None


def answers(port: int) -> bool:
    return running.answers("127.0.0.1", port)


def readyz(port: int) -> dict:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/readyz", headers={"Host": "localhost"})
    return json.loads(connection.getresponse().read())


def end_sandboxes(home: Path) -> None:
    for keeper in keepers_of(home):
        os.kill(keeper, signal.SIGKILL)
    until(lambda: not keepers_of(home), "the sandboxes have ended")
    subprocess.run(["rm", "-rf", "--", str(home)], check=False)
