"""The cast and the fixture menu.

The cast (rows; each asks for the database):
    ada       admin
    alice     user, owns ``atlas``
    bob       user, may chat with ``atlas`` by a grant
    mallory   user with no grant at all: every list has a leak test with her
    viewer    the role that may look and not touch

The things:
    soul      Alice's starter soul
    route     the rehearsal model's route, the default
    atlas     Alice's agent: that soul, terminal and file tools, the default route

The doors:
    browser(user)    a Django test client signed in as ``user``; ``browser()`` is a stranger
    run_command(*words)  call a management command, return what it printed

The places:
    home           the state directory of this test process (LOGOS_HOME)
    walkable_dir   a fresh directory under /var/tmp that every user may walk into; sandbox tests need it,
                   because sandboxes of a root process run as users of their own
    clean_environment  the environment for a child process that must not see this one's settings
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import Client
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pytest_django.fixtures import _set_suffix_to_test_databases

from agents import composition, permissions, routes, souls
from agents.models import Agent, ModelRoute, Role, Soul, User

# What starts real sandboxes or browsers, or measures, does so one after another and after everything else; beside it,
# and one after another too, what asks other services, which mostly wait for these, and what takes minutes of one processor.
ALONE = ("sandbox", "runtime", "browser")
BESIDE = ("services", "sweep")

# How quickly examples are made and tried tells of the machine, and the same ones everywhere make a red run repeatable.
hypothesis_settings.register_profile(
    "any machine", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("any machine")


class FailuresAtOnce:
    """Names what failed when it fails: a run that is cut off has then said it."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self._terminal.verbosity <= 0:
            self._terminal.write_line("")
            self._terminal.write_line(f"{report.when} failed: {report.nodeid}")


@pytest.hookimpl(trylast=True)  # the terminal's reporter is there by then
def pytest_configure(config: pytest.Config) -> None:
    # A shell ignores these for what it runs in the background, and every child of a test would inherit that.
    for number in (signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    if (terminal := config.pluginmanager.get_plugin("terminalreporter")) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(FailuresAtOnce(terminal))


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the demanding tests last and into two groups, each of which ``./logos test`` runs on one worker."""

    def group(item: pytest.Item) -> str:
        if any(item.get_closest_marker(name) for name in ALONE) or "benchmarks" in item.path.parts:
            return "alone"
        return "beside" if any(item.get_closest_marker(name) for name in BESIDE) else ""

    for item in items:
        if name := group(item):
            item.add_marker(pytest.mark.xdist_group(name))
    items.sort(key=lambda item: bool(group(item)))


@pytest.fixture(scope="session")
def django_db_modify_db_settings_xdist_suffix(request: pytest.FixtureRequest) -> None:
    """Replaces pytest-django's: every worker has a state directory of its own, so an SQLite file keeps its name."""
    worker = getattr(request.config, "workerinput", {}).get("workerid")
    if worker and "sqlite" not in settings.DATABASES["default"]["ENGINE"]:
        _set_suffix_to_test_databases(suffix=worker)


@pytest.fixture(scope="session", autouse=True)
def _no_half_open_connections() -> Iterator[None]:
    """Closes a connection whose opening was refused half-way.

    A test may end while a background thread is opening a connection: pytest-django then refuses the second half, and
    Django would keep the first, in which sqlite3 begins a transaction by itself at the next write, which nobody ends:
    every later test of that process finds the database locked.
    """
    connect = BaseDatabaseWrapper.connect

    def connect_wholly(connection: BaseDatabaseWrapper) -> None:
        try:
            connect(connection)
        except BaseException:
            if connection.connection is not None:
                with contextlib.suppress(Exception):
                    connection.connection.close()
                connection.connection = None
            raise

    BaseDatabaseWrapper.connect = connect_wholly
    yield
    BaseDatabaseWrapper.connect = connect


PASSWORD = "a long enough password"


def person(username: str, role: str = Role.USER) -> User:
    """A person of the cast; all share one password."""
    return User.objects.create_user(username, f"{username}@example.org", PASSWORD, role=role)


@pytest.fixture
def ada(db: None) -> User:
    return person("ada", Role.ADMIN)


@pytest.fixture
def alice(db: None) -> User:
    return person("alice")


@pytest.fixture
def bob(db: None, atlas: Agent) -> User:
    bob = person("bob")
    permissions.grant(bob, "chat", atlas)
    return bob


@pytest.fixture
def mallory(db: None) -> User:
    return person("mallory")


@pytest.fixture
def viewer(db: None) -> User:
    return person("viewer", Role.VIEWER)


@pytest.fixture
def soul(alice: User) -> Soul:
    return souls.create(souls.STARTER_NAME, souls.STARTER_TEXT, alice)


@pytest.fixture
def route(db: None) -> ModelRoute:
    return routes.rehearsal_route()


@pytest.fixture
def atlas(alice: User, soul: Soul, route: ModelRoute) -> Agent:
    return composition.create(alice, "atlas", soul)


@pytest.fixture
def browser(db: None) -> Callable[..., Client]:
    def sign_in(user: User | None = None, **defaults: str) -> Client:
        client = Client(**defaults)
        if user is not None:
            client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        return client

    return sign_in


@pytest.fixture
def run_command() -> Callable[..., str]:
    def run(*words: str, **options: object) -> str:
        out = io.StringIO()
        call_command(*words, stdout=out, **options)
        return out.getvalue()

    return run


@pytest.fixture
def home() -> Path:
    return settings.LOGOS_HOME


@pytest.fixture
def walkable_dir() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="logos-walk-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def clean_environment() -> dict[str, str]:
    kept = {"PATH", "HOME", "LANG", "TMPDIR", "UV_CACHE_DIR", "XDG_CACHE_HOME", "SSL_CERT_FILE", "PIP_CERT"}
    # Sites of several tests run at once, and only one could have the port.
    return {key: value for key, value in os.environ.items() if key in kept} | {"LOGOS_MCP_PORT": "0"}
