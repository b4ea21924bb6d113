"""The small parts of ``up``: the lock, addresses, the log file, the console and the steps."""

from __future__ import annotations

import io
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from agents.errors import Conflict, Invalid, LogosError
from logos_site.up import addresses, lock, steps
from logos_site.up.console import Console
from logos_site.up.lock import Lock
from logos_site.up.logfile import LogFile
from sandboxes import drivers
from sandboxes.driver import Check
from tests.fakes import FakeDriver
from tests.ports import free_port


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


# --- the lock -------------------------------------------------------------------------------------
def test_a_second_up_on_the_same_state_is_refused_and_told_who_was_first(tmp_path: Path) -> None:
    first = Lock(tmp_path, "http://127.0.0.1:8091/")
    first.take()

    with pytest.raises(Conflict, match=r"already running on .* \(process \d+, http://127\.0\.0\.1:8091/\)") as refusal:
        Lock(tmp_path).take()

    assert refusal.value.reason == "already_up"
    assert lock.is_held(tmp_path)
    first.release()
    assert not lock.is_held(tmp_path)


def test_a_lock_whose_process_was_killed_is_free_again(tmp_path: Path) -> None:
    hold = f"from pathlib import Path; from logos_site.up.lock import Lock; Lock(Path({str(tmp_path)!r})).take(); "
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", hold + "import os; os.kill(os.getpid(), 9)"], cwd=root, check=False)

    assert (tmp_path / lock.NAME).exists()
    Lock(tmp_path).take()


def test_nothing_is_held_where_nothing_ran(tmp_path: Path) -> None:
    assert not lock.is_held(tmp_path)


# --- addresses ------------------------------------------------------------------------------------
def test_a_port_in_use_is_one_sentence_with_the_fix(taken_port: int) -> None:
    with pytest.raises(Conflict, match=f"Port {taken_port} on 127.0.0.1 is in use") as refusal:
        addresses.check_free("127.0.0.1", taken_port)

    assert "--port" in refusal.value.action


def test_a_free_port_is_accepted_and_left_free(taken_port: int) -> None:
    free = free_port()

    addresses.check_free("127.0.0.1", free)
    addresses.check_free("127.0.0.1", free)


@pytest.mark.parametrize("port", [0, -1, 65_536])
def test_an_impossible_port_is_refused(port: int) -> None:
    with pytest.raises(Invalid, match="is not a port"):
        addresses.check_free("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.77", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(Invalid, match="is not an address of this machine"):
        addresses.check_free(host, 18_091)


def test_a_local_address_adds_no_names() -> None:
    assert addresses.names_for("127.0.0.1") == addresses.names_for("localhost") == addresses.names_for("::1") == []


def test_one_address_adds_itself_and_everywhere_adds_this_machine_and_no_wildcard() -> None:
    everywhere = addresses.names_for("0.0.0.0")

    assert addresses.names_for("192.0.2.7") == ["192.0.2.7"]
    assert addresses.names_for("2001:db8::7") == ["[2001:db8::7]"]
    assert socket.gethostname() in everywhere
    assert set(addresses.own_addresses()) <= set(everywhere)
    assert "*" not in everywhere


@pytest.mark.parametrize(
    ("host", "public", "shown"),
    [
        ("127.0.0.1", "", "http://127.0.0.1:8091"),
        ("::1", "", "http://[::1]:8091"),
        ("0.0.0.0", "https://logos.example.org/", "https://logos.example.org"),
    ],
)
def test_the_shown_address_can_be_opened(host: str, public: str, shown: str) -> None:
    assert addresses.shown(host, 8091, public) == shown


# --- the log and the console ----------------------------------------------------------------------
def test_the_log_names_who_spoke_and_keeps_the_time(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "logs" / "logos.log")
    log.write("serve", "2026-01-02 03:04:05,678 INFO    runs: hello")
    log.write("qcluster", "a line without a time")
    log.write("serve", '{"at": "2026", "message": "hello"}')
    log.close()

    first, second, third = (tmp_path / "logs" / "logos.log").read_text().splitlines()
    assert first == "serve    2026-01-02 03:04:05,678 INFO    runs: hello"
    assert re.fullmatch(r"qcluster \d{4}-\d\d-\d\d \d\d:\d\d:\d\d a line without a time", second)
    assert third == '{"at": "2026", "message": "hello"}'


def test_only_the_owner_can_read_the_log(tmp_path: Path) -> None:
    LogFile(tmp_path / "logs" / "logos.log").close()

    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "logs" / "logos.log").stat().st_mode & 0o777 == 0o600


def test_the_log_turns_when_it_is_full_and_at_a_start_when_it_is_half_full(tmp_path: Path) -> None:
    path, older = tmp_path / "logos.log", tmp_path / "logos.log.1"
    log = LogFile(path, rotate_at_bytes=1000)
    for number in range(30):
        log.write("serve", f"{number} " + "x" * 60)
    log.close()
    assert path.stat().st_size <= 1000
    assert "29 xxx" in path.read_text()
    assert older.exists()

    path.write_text("y" * 600)
    LogFile(path, rotate_at_bytes=1000).close()

    assert older.read_text() == "y" * 600
    assert path.read_text() == ""


def test_a_full_disk_loses_the_line_and_nothing_else(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "logos.log")
    log._file.close()

    log._file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115

    log.write("serve", "lost")


def test_the_console_shows_lines_without_time_and_without_chatter() -> None:
    out = io.StringIO()
    console = Console(out)
    console.echo("serve", "2026-01-02 03:04:05,678 WARNING runs: careful")
    console.echo("qcluster", "2026-01-02 03:04:05,678 INFO    django-q: ready for work at 12")
    console.echo("serve", "Traceback (most recent call last):")
    console.echo("serve", '  File "x.py", line 1')
    console.echo("serve", "x" * 1000)

    first, second = out.getvalue().splitlines()
    assert first == "serve    WARNING runs: careful"
    assert len(second) <= 160


def test_a_closed_terminal_does_not_end_logos() -> None:
    out = io.StringIO()
    out.close()

    Console(out).say("nobody hears this")


# --- the steps ------------------------------------------------------------------------------------
def test_static_files_are_collected_once_and_again_when_one_changes() -> None:
    root, said = Path(settings.STATIC_ROOT), list[str]()
    (root / steps.COLLECTED).unlink(missing_ok=True)

    steps.static_files(said.append)
    steps.static_files(said.append)
    assert said == ["Collecting static files"]
    assert (root / "admin" / "css" / "base.css").exists()

    (root / steps.COLLECTED).write_text("of an older version")
    steps.static_files(said.append)
    assert len(said) == 2


class UnwellDriver(FakeDriver):
    """Finds something mandatory missing."""

    async def doctor(self) -> list[Check]:
        wish = Check("a wish", False, "would be nice", mandatory=False)
        return [wish, Check("bubblewrap", False, "not installed", "apt install bubblewrap")]


def test_a_machine_without_a_working_sandbox_is_told_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(drivers.FACTORIES, "unwell", UnwellDriver)
    monkeypatch.setattr(settings, "LOGOS_SANDBOX_DRIVER", "unwell")

    with pytest.raises(LogosError, match=r"cannot be started here \(bubblewrap\): not installed") as refusal:
        steps.sandbox(lambda line: None)

    assert refusal.value.action == "apt install bubblewrap"


def test_a_driver_that_is_well_is_asked_and_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(drivers.FACTORIES, "fake", FakeDriver)
    monkeypatch.setattr(settings, "LOGOS_SANDBOX_DRIVER", "fake")
    said: list[str] = []

    steps.sandbox(said.append)

    assert said == ["Trying a sandbox"]


def test_an_unknown_driver_is_refused_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "LOGOS_SANDBOX_DRIVER", "nope")

    with pytest.raises(LogosError, match="no sandbox driver called nope") as refusal:
        steps.sandbox(lambda line: None)

    assert "local" in refusal.value.action


def test_a_full_disk_is_said_before_anything_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "NEEDED_MB", 10**9)

    with pytest.raises(LogosError, match="MB left") as refusal:
        steps.disk()

    assert refusal.value.reason == "disk_full"


@pytest.mark.django_db
def test_only_the_owner_can_read_the_database() -> None:
    if "sqlite" not in settings.DATABASES["default"]["ENGINE"]:
        pytest.skip("PostgreSQL keeps its own files")
    path = Path(settings.DATABASES["default"]["NAME"])
    path.chmod(0o644)

    steps.database(lambda line: None)

    assert path.stat().st_mode & 0o777 == 0o600
