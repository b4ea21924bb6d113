"""A committed run that threads and event loops can see, and the headers by which people come."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from agents.models import Agent, ApiToken, User
from channels_app import streams
from runs import dispatch, events
from runs.events import Event
from runs.models import Run, Status

STORY: list[tuple[str, dict[str, Any]]] = [
    ("text.delta", {"text": "I will look."}),
    ("tool.started", {"call_id": "a", "tool": "terminal", "args": {"command": "ls"}}),
    ("tool.completed", {"call_id": "a", "ok": True, "duration_ms": 12.0}),
    ("text.delta", {"text": "Here <it> is: é"}),
]


@pytest.fixture
def run(transactional_db: None, alice: User, atlas: Agent) -> Run:
    """Alice's run, under way: five events, the last of them text."""
    run = dispatch.start(alice, "Hello", agent=atlas).run
    store(run, *STORY)
    Run.objects.update(status=Status.RUNNING)
    return run


@pytest.fixture
def finished(run: Run) -> Run:
    """The same run, ended by its sixth event."""
    store(run, ("run.completed", {"text": "Here <it> is: é", "usage": {}}))
    Run.objects.update(status=Status.COMPLETED)
    return run


def store(run: Run, *said: tuple[str, dict[str, Any]]) -> list[Event]:
    """Write events after those the run has."""
    last = events.last_seq(run.pk)
    made = [Event(run.pk, last + n, kind, data, datetime.now(UTC)) for n, (kind, data) in enumerate(said, 1)]
    events.store(made, {})
    return made


@pytest.fixture
def cookie(browser: Callable[..., Client]) -> Callable[[User], str]:
    """The cookie header of a person who signed in."""
    name = settings.SESSION_COOKIE_NAME
    return lambda user: f"{name}={browser(user).cookies[name].value}"


@pytest.fixture
def bearer() -> Callable[[User], str]:
    """The authorization header of a person with a token."""
    return lambda user: f"Bearer {ApiToken.make(user, 'laptop')[1]}"


@pytest.fixture
def db() -> Callable[..., Awaitable[Any]]:
    """Run a database function off the loop."""
    return streams._threads.run


@pytest.fixture
def alice_cookie(alice: User, cookie: Callable[[User], str]) -> str:
    return cookie(alice)


@pytest.fixture
def alice_bearer(alice: User, bearer: Callable[[User], str]) -> str:
    return bearer(alice)
