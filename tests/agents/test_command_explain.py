"""``./logos explain USER ACTION [OBJECT]``."""

from __future__ import annotations

import pytest

from agents.models import Agent, User
from runs import dispatch
from tests import shell
from tests.api_client import Program


def test_yes_is_exit_code_0_and_says_why(atlas: Agent, bob: User) -> None:
    ended = shell.run("explain", "bob", "agent.chat", atlas.pk)

    assert ended.code == 0
    assert ended.out.splitlines() == [
        "bob may do this: send messages to an agent.",
        "A grant to this person gives the level chat.",
        "To take this away, take back the grant of bob on the agent atlas.",
    ]


def test_no_is_exit_code_3_and_says_the_way(atlas: Agent, mallory: User) -> None:
    ended = shell.run("explain", "mallory", "agent.view", atlas.pk)

    assert ended.code == 3
    assert ended.out.splitlines() == [
        "mallory may not do this: see an agent and how it is composed.",
        "This needs the level view on the agent, by ownership, sharing or a grant; there is none.",
        "To allow this, grant mallory the level view on the agent atlas.",
    ]


def test_json_is_what_the_api_shows(atlas: Agent, bob: User) -> None:
    run = dispatch.start(bob, "Hello", agent=atlas).run

    printed = shell.run("explain", "bob", "run.view", run.pk, "--json").json

    assert printed == Program(bob).get(f"explain?action=run.view&kind=run&id={run.pk}")


def test_an_action_that_concerns_no_row_takes_none(alice: User) -> None:
    assert "The role user includes this." in shell.run("explain", "alice", "agent.create").out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("nobody", "agent.view", "agent_none"), "This person was not found"),
        (("alice", "agent.view", "agent_none"), "This object was not found"),
        (("alice", "agent.view"), "say to what"),
        (("alice", "agent.fly"), "There is no action agent.fly"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(alice: User, words: tuple[str, ...], complaint: str) -> None:
    ended = shell.run("explain", *words)

    assert (ended.code, ended.out) == (1, "")
    assert complaint in ended.said
