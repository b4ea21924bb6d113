"""A page read anew shows what was shown a moment ago and is not committed yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.test import Client

from agents.models import Agent, User
from runs import events
from runs.events import Event
from runs.hub import hub
from runs.models import Run
from tests.runs.acting import ONE_COMMAND, ask, play


@pytest.fixture
def live(alice: User, atlas: Agent) -> Iterator[Run]:
    run = play(ask(alice, atlas), ONE_COMMAND[:2])
    hub.publish(Event(run.pk, events.last_seq(run.pk) + 1, "text.delta", {"text": "said a moment ago"}, events.now()))
    yield run
    hub.stored(run.pk, 1_000)


@pytest.mark.parametrize("view", ["chat", "run"])
def test_the_newest_words_are_there_once(browser: Callable[..., Client], alice: User, live: Run, view: str) -> None:
    path = f"/chat/{live.conversation_id}/" if view == "chat" else f"/runs/{live.pk}/"

    page = browser(alice).get(path).content.decode()

    assert page.count("said a moment ago") == 1
    assert f'data-seq="{events.last_seq(live.pk) + 1}"' in page
