"""A program at the API: JSON in, JSON out, a personal token in the header; and answers of runs made by hand."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpResponse
from django.test import Client

from agents.models import ApiToken, User
from runs import events, settling
from runs.models import Run, Status


class Program:
    """Talks to /api as ``user``; without one it is a stranger."""

    def __init__(self, user: User | None = None, secret: str = "") -> None:
        if user is not None:
            secret = ApiToken.make(user, "a test")[1]
        # Enforcing CSRF shows that a token needs none.
        self._client = Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {secret}"} if secret else {})

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
        """One request below /api; headers by their names with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body)
        return self._client.generic(method, f"/api/{path}", data, "application/json", headers=named)

    def get(self, path: str, status: int = 200) -> Any:
        """The JSON of a page that must answer with ``status``."""
        answer = self("GET", path)
        assert answer.status_code == status, answer.content
        return answer.json()

    def post(self, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        """The JSON of a POST that must answer with ``status``."""
        answer = self("POST", path, body, **headers)
        assert answer.status_code == status, answer.content
        return answer.json()


def end(run: Run, reply: str = "", **outcome: Any) -> Run:
    """Settle ``run`` as the engine would: its last event, its row and the agent's message."""
    what = settling.Outcome(outcome.pop("status", Status.COMPLETED), text=reply, **outcome)
    last = events.Event(run.pk, events.last_seq(run.pk) + 1, what.kind, what.data(), events.now())
    assert settling.settle(what, last, None)
    run.refresh_from_db()
    return run


def record(run: Run, *happened: tuple[str, dict[str, Any]]) -> None:
    """Store these events (kind, data) as the next ones of ``run``."""
    start = events.last_seq(run.pk) + 1
    events.store([events.Event(run.pk, start + n, *it, events.now()) for n, it in enumerate(happened)], {})
