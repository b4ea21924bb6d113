"""A whole Logos on a state directory of its own: a real ``manage.py serve`` in a child process, and what it leaves behind.

The test process looks at the same rows as another process of that home would (``at_home``), asks the API over a
socket, and may kill what it started. Benchmarks use it too.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
from asgiref.sync import SyncToAsync
from django.db import connections
from django.test import override_settings

from tests.ports import free_port
from tests.sandboxes.hermes.installed import installed_runtime, runtime_home

PROJECT = Path(__file__).resolve().parents[2]
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "UV_CACHE_DIR", "XDG_CACHE_HOME")
PASSWORD = "a long enough password"

T = TypeVar("T")


# Machines that run tests are busy: nothing is late before this.
PATIENCE_S = 120.0


def until(look: Callable[[], T], what: str, timeout_s: float = PATIENCE_S) -> T:
    """The first truthy answer of ``look``, asked every 10 ms; AssertionError after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {what}"
        time.sleep(0.01)
    return found


def make_home() -> Path:
    """A fresh state directory that every user may walk into, with the runtime of this machine in it."""
    installed_runtime()
    home = Path(tempfile.mkdtemp(prefix="logos-journey-", dir="/var/tmp"))
    home.chmod(0o755)
    (home / "runtime").symlink_to(runtime_home() / "runtime")
    return home


def environment(home: Path, **settings: str) -> dict[str, str]:
    """For a child process of this home and no other."""
    kept = {key: value for key, value in os.environ.items() if key in KEPT}
    # Of several sites at once only one could have the port for MCP clients.
    own = {"LOGOS_HOME": str(home), "DJANGO_SETTINGS_MODULE": "logos_site.settings", "LOGOS_MCP_PORT": "0"}
    return {**kept, **own, **settings}


def manage(home: Path, *words: str, **settings: str) -> str:
    """What ``manage.py`` printed; AssertionError with everything it said if it failed."""
    done = subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=PROJECT,
        env=environment(home, **settings),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextlib.contextmanager
def at_home(home: Path) -> Iterator[None]:
    """This process's rows and secrets are those of ``home`` until the end of the block."""
    seal_keys = (home / "secrets" / "seal_keys").read_text().split(",")
    entry = connections.databases["default"]
    before = entry["NAME"]
    _close_connections()
    entry["NAME"] = connections["default"].settings_dict["NAME"] = str(home / "logos.sqlite3")
    try:
        with override_settings(LOGOS_HOME=home, LOGOS_SEAL_KEYS=seal_keys):
            yield
    finally:
        _close_connections()
        entry["NAME"] = connections["default"].settings_dict["NAME"] = before


def _close_connections() -> None:
    """Of this thread, and of the one in which coroutines ask the database: it lives on and would ask the last home's."""
    connections["default"].close()
    SyncToAsync.single_thread_executor.submit(connections.close_all).result()


def processes_of(home: Path) -> dict[int, str]:
    """Every process that belongs to this home: named on its command line, or with its files mounted."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            mounts = (entry / "mountinfo").read_text()
            settings = (entry / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if command and (f"{home}/" in mounts + command or f"LOGOS_HOME={home}\0" in settings):
            found[int(entry.name)] = command
    return found


def keepers_of(home: Path) -> list[int]:
    """The keepers of this home's sandboxes: they stand in their sandbox's engine directory."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and os.readlink(entry / "cwd").startswith(f"{home}/agents/"):
                found.append(int(entry.name))
    return found


class House:
    """One Logos. Make it inside ``at_home``; rows then mean its rows."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self.settings = settings
        self.port = free_port()
        self.log = home / "serve.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60.0, trust_env=False)
        self.command: tuple[str, ...] = ("manage.py",)
        self.secrets: list[str] = []
        self.agent_id = ""

    def seed(self) -> None:
        """An administrator with a token, the rehearsal model, a soul, and the agent ``atlas``."""
        from agents import composition, routes, souls
        from agents.models import ApiToken, Role, User

        admin = User.objects.create_user("ada", "ada@example.org", PASSWORD, role=Role.ADMIN)
        routes.rehearsal_route(admin)
        self.soul = souls.create(souls.STARTER_NAME, souls.STARTER_TEXT, admin)
        self.admin = admin
        self.agent_id = composition.create(admin, "atlas", self.soul).pk
        token = ApiToken.make(admin, "journey")[1]
        self.secrets.append(token)
        self.http.headers["Authorization"] = f"Bearer {token}"

    # the process ----------------------------------------------------------------------------------

    def start(self, *, wait: bool = True) -> None:
        """Serve; returns when pages answer and the engine has said that it lives."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.command, "serve", "--host", "127.0.0.1", "--port", str(self.port)],
                cwd=PROJECT,
                env=environment(self.home, **self.settings),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            until(self.is_up, "serve is up")

    def is_up(self) -> bool:
        from runs.models import EngineBeat

        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        with contextlib.suppress(httpx.HTTPError):
            mine = f":{self.process.pid}:"
            answers = self.http.get("/healthz").status_code == 200
            return answers and any(mine in owner for owner in EngineBeat.objects.values_list("owner", flat=True))
        return False

    def kill9(self) -> None:
        """The worst end: no handler runs."""
        self._end(signal.SIGKILL)

    def terminate(self) -> float:
        """The good end; the seconds it took."""
        began = time.monotonic()
        self._end(signal.SIGTERM)
        return time.monotonic() - began

    def _end(self, number: int) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(timeout=60)
            self.process = None

    def restart(self) -> None:
        """Kill -9 and serve again."""
        self.kill9()
        self.start()

    def close(self) -> None:
        """End the server and every sandbox, and leave no process behind."""
        from sandboxes import drivers
        from sandboxes.models import Sandbox

        self.http.close()
        self._end(signal.SIGKILL)
        for box in Sandbox.objects.exclude(driver_state={}):
            asyncio.run(drivers.get(box.driver).stop(box.driver_state, now=True))
        try:
            until(lambda: not processes_of(self.home) and not keepers_of(self.home), "every process has ended", 60.0)
        finally:
            left = processes_of(self.home)
            for pid in {*left, *keepers_of(self.home)}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        assert not left, f"left behind: {left}"

    # what people do -------------------------------------------------------------------------------

    def api(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of a successful answer; AssertionError with the refusal otherwise."""
        answer = self.http.request(method, f"/api{path}", **options)
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content else None

    def send(self, text: str, *, agent: str = "", talk: str = "", key: str = "") -> Any:
        """Send a message to a conversation, or begin one; the run as the API shows it."""
        headers = {"Idempotency-Key": key} if key else {}
        if talk:
            return self.api("POST", f"/conversations/{talk}/messages", json={"text": text}, headers=headers)["run"]
        opening = {"agent_id": agent or self.agent_id, "text": text}
        return self.api("POST", "/conversations", json=opening, headers=headers)["run"]

    def ask(self, text: str, timeout_s: float = PATIENCE_S, **options: str) -> Any:
        """Send a message and wait for the run's end."""
        return self.ended(self.send(text, **options)["id"], timeout_s)

    def stop_run(self, run_id: str) -> float:
        """Stop a run; the seconds until it had ended."""
        began = time.monotonic()
        self.api("POST", f"/runs/{run_id}/cancel")
        self.ended(run_id)
        return time.monotonic() - began

    def stream(self, run_id: str, after: int = 0) -> Iterator[dict[str, Any]]:
        """The run's events as they come, until its end or the server's."""
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        with self.http.stream("GET", f"/api/runs/{run_id}/events", headers=headers, timeout=PATIENCE_S) as answer:
            assert answer.status_code == 200, answer.status_code
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    yield json.loads(line[6:])

    def until_event(self, run_id: str, kind: str) -> dict[str, Any]:
        """The run's first event of this kind, as soon as it is shown."""
        with contextlib.closing(self.stream(run_id)) as events:
            for event in events:
                if event["kind"] == kind:
                    return event
        raise AssertionError(f"the run ended without {kind}")

    @property
    def workspace(self) -> Path:
        """The files of ``atlas``, once it has a sandbox."""
        from sandboxes import lifecycle
        from sandboxes.models import Sandbox

        return lifecycle.root_of(Sandbox.objects.get(agent_id=self.agent_id).pk) / "workspace"

    def agent(self) -> Any:
        from agents.models import Agent

        return Agent.objects.select_related("soul", "route__provider").get(pk=self.agent_id)

    # what is written ------------------------------------------------------------------------------

    def row(self, run_id: str) -> Any:
        from runs.models import Run

        return Run.objects.select_related("message", "reply").get(pk=run_id)

    def ended(self, run_id: str, timeout_s: float = PATIENCE_S) -> Any:
        """The run's row once it has ended."""
        try:
            return until(
                lambda: found if (found := self.row(run_id)).has_finished else None, f"{run_id} ends", timeout_s
            )
        except AssertionError as error:
            run = self.row(run_id)
            kinds = [event.kind for event in run.events.order_by("seq")]
            raise AssertionError(f"{error}; {run.status} {kinds[-8:]}\n{self.log.read_text()[-3000:]}") from None

    def inside(self, command: str) -> list[int]:
        """The processes in this home's sandboxes whose command line holds ``command``."""
        return [pid for pid, words in processes_of(self.home).items() if command in words]


@functools.cache
def _migrated() -> Path:
    """A home with the tables and nothing in them, made once by each process of tests."""
    home = make_home()
    manage(home, "migrate", "--verbosity", "0")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    return home


def furnish(home: Path) -> None:
    """Give a fresh home its tables and secrets."""
    shutil.copy2(_migrated() / "logos.sqlite3", home / "logos.sqlite3")
    shutil.copytree(_migrated() / "secrets", home / "secrets")


@contextlib.contextmanager
def a_house(**settings: str) -> Iterator[House]:
    """A seeded house on a fresh home, not yet serving; everything is gone afterwards."""
    home = make_home()
    try:
        furnish(home)
        with at_home(home):
            house = House(home, **settings)
            try:
                house.seed()
                yield house
            finally:
                house.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)
