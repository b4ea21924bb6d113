"""``manage.py serve`` as a real process: answers, ends in time, says why it cannot begin."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.ports import free_port

pytestmark = pytest.mark.sweep

ROOT = Path(__file__).resolve().parents[2]


class Serve:
    """One serve on a state directory of its own."""

    def __init__(self, home: Path, environment: dict[str, str], port: int = 0) -> None:
        self.port, self.mcp_port = port or free_port(), free_port()
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "serve", "--port", str(self.port)],
            env={**environment, "LOGOS_HOME": str(home), "LOGOS_MCP_PORT": str(self.mcp_port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def until(self, words: str) -> str:
        """Everything printed up to the line with these words."""
        said = ""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said += line
            if words in line:
                return said
        raise AssertionError(f"serve ended without {words!r}: {said}")

    def get(self, path: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", path)
        return connection.getresponse()

    def called_by_nobody(self, port: int) -> bytes:
        """What a client without a token is told at ``/mcp``."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", "/mcp", b"{}", {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="Logos MCP"')
        return answer.read()

    def end(self, number: int = signal.SIGTERM) -> float:
        started = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout=120)
        return time.monotonic() - started


@pytest.fixture(scope="module")
def migrated_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("serve-home")
    subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "migrate", "-v0"],
        env={"PATH": "/usr/bin:/bin", "LOGOS_HOME": str(home)},
        check=True,
    )
    return home


@pytest.fixture
def serve(migrated_home: Path, clean_environment: dict[str, str]) -> Iterator[Callable[..., Serve]]:
    started: list[Serve] = []

    def begin(port: int = 0) -> Serve:
        started.append(Serve(migrated_home, clean_environment, port))
        return started[-1]

    yield begin
    for one in started:
        one.process.kill()
        one.process.communicate()


def test_it_answers_ends_in_time_and_is_small(serve: Callable[..., Serve]) -> None:
    logos = serve()
    logos.until("The engine is running")

    assert logos.get("/healthz").read() == b'{"status": "ok"}'
    assert logos.get("/readyz").status == 503
    assert logos.get("/stream/runs/run_nobody").status == 401
    assert logos.called_by_nobody(logos.port) == logos.called_by_nobody(logos.mcp_port)
    resident_mb = psutil.Process(logos.process.pid).memory_info().rss >> 20
    # The packages of tests and of scale-out are loaded here where Django finds them, some 35 MB; what an installation
    # weighs is measured by tests/benchmarks/memory.py.
    assert resident_mb <= 190

    assert logos.end() < 60
    assert logos.process.returncode == 0


def test_it_ends_in_time_while_somebody_keeps_a_connection_open(serve: Callable[..., Serve]) -> None:
    logos = serve()
    logos.until("The engine is running")
    idle = http.client.HTTPConnection("127.0.0.1", logos.port, timeout=60)
    idle.request("GET", "/healthz")
    idle.getresponse().read()
    half = socket.create_connection(("127.0.0.1", logos.port))
    half.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")

    at_mcp = socket.create_connection(("127.0.0.1", logos.mcp_port))
    at_mcp.sendall(b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")

    assert logos.end(signal.SIGINT) < 60
    assert logos.process.returncode == 0
    for each in (idle, half, at_mcp):
        each.close()


def test_a_port_in_use_is_one_sentence_and_exit_code_1(serve: Callable[..., Serve]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        logos = serve(taken.getsockname()[1])
        said, _ = logos.process.communicate(timeout=120)

    assert logos.process.returncode == 1
    assert "Traceback" not in said
    assert re.search(r"CommandError: Logos cannot listen on 127\.0\.0\.1:\d+\.", said)
    assert "--port" in said
