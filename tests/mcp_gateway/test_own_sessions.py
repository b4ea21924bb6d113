"""An agent searches what was said with its person, and never what it said to anybody else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from agents import composition, souls
from agents.models import Agent, User
from mcp_gateway import access
from mcp_gateway.own_sessions import OwnSessions, find
from runs.models import Conversation, Message, Run
from tests.conftest import person


def chat(agent: Agent, owner: User, *texts: str) -> Conversation:
    made = Conversation.objects.create(agent=agent, owner=owner, title="Notes")
    for text in texts:
        Message.objects.create(conversation=made, speaker="person", text=text)
    return made


@pytest.mark.django_db
def test_only_what_was_said_with_this_person_is_found() -> None:
    alice, bob = person("alice"), person("bob")
    agent = composition.create(alice, "atlas", souls.create("Soul", "Text.", alice), visibility="shared")
    other = composition.create(alice, "other", souls.create("Another", "Text.", alice))
    mine = chat(agent, alice, "The harbour is north.", f"{'x' * 500} HARBOUR grüße {'y' * 500}", "nothing here")
    chat(agent, bob, "Bob keeps his harbour secret.")
    chat(other, alice, "The harbour of another agent.")
    run = Run.objects.create(conversation=mine, agent=agent, message=mine.messages.first(), actor=alice)
    token = access.make_token(alice, agent.pk, "editor")[0]

    by_run = find(agent.pk, run.pk, 0, "harbour", 10)
    by_token = find(agent.pk, "", token.pk, "harbour", 10)

    assert by_run == by_token
    assert by_run is not None
    assert [each["conversation"] for each in by_run] == [mine.pk] * 2
    assert by_run[0]["text"].startswith("…xxx")
    assert "HARBOUR" in by_run[0]["text"]
    assert len(by_run[0]["text"]) < 200
    assert by_run[1]["text"] == "The harbour is north."
    assert find(agent.pk, run.pk, 0, "harbour", 1) == by_run[:1]
    assert find(agent.pk, run.pk, 0, "100%", 10) == []


@pytest.mark.django_db
def test_without_a_person_there_is_nothing_to_search() -> None:
    alice, mallory = person("alice"), person("mallory")
    agent = composition.create(alice, "atlas", souls.create("Soul", "Text.", alice))
    other = composition.create(mallory, "other", souls.create("Another", "Text.", mallory))
    chat(agent, alice, "The harbour is north.")
    foreign = access.make_token(mallory, other.pk, "editor")[0]
    token = access.make_token(alice, agent.pk, "editor")[0]

    assert find(agent.pk, "", foreign.pk, "harbour", 10) is None
    assert find(agent.pk, "run_nothing", token.pk, "harbour", 10) is None
    assert find(agent.pk, "", 0, "harbour", 10) is None
    access.revoke_token(alice, agent.pk, token.pk)
    assert find(agent.pk, "", token.pk, "harbour", 10) is None


@pytest.mark.parametrize(
    "given",
    [None, [], {}, {"query": "a"}, {"query": "x" * 201}, {"query": 3}, {"query": "a\x00b"}, {"query": "a\ud800b"},
     {"query": "fine", "limit": 0}, {"query": "fine", "limit": 21}, {"query": "fine", "limit": True}],
)  # fmt: skip
async def test_what_cannot_be_searched_is_said(given: Any) -> None:
    async def db(*words: Any) -> Any:
        raise AssertionError("nothing is looked up")

    asked: Any = SimpleNamespace(params={"arguments": given}, caller=None)
    assert (await OwnSessions(db, lambda asked: "").search(asked))["isError"]
