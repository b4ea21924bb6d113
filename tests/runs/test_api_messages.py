"""POST /api/conversations…: a message becomes a run once, or is refused with nothing stored."""

from __future__ import annotations

import pytest
from django.conf import settings

from agents.models import Agent, User
from runs.models import Conversation, Message, Run
from tests.api_client import Program, end


def test_a_first_message_begins_a_conversation_and_its_run(alice: User, atlas: Agent) -> None:
    answer = Program(alice).post("conversations", {"agent_id": atlas.pk, "text": "run: id"}, 202)

    run = Run.objects.get()
    assert answer["run"]["id"] == run.pk
    assert (answer["run"]["status"], answer["run"]["text"], answer["repeated"]) == ("queued", "run: id", False)
    assert (run.conversation_id, run.conversation.origin) == (answer["run"]["conversation_id"], "api")


def test_a_second_message_goes_on_in_the_same_conversation(alice: User, atlas: Agent) -> None:
    program = Program(alice)
    first = program.post("conversations", {"agent_id": "atlas", "text": "one"}, 202)["run"]
    end(Run.objects.get(), "Done.")

    second = program.post(f"conversations/{first['conversation_id']}/messages", {"text": "two"}, 202)["run"]

    assert second["conversation_id"] == first["conversation_id"]
    said = program.get(f"conversations/{first['conversation_id']}/messages")["items"]
    assert [(m["speaker"], m["text"], m["run_id"]) for m in said] == [
        ("person", "one", first["id"]),
        ("agent", "Done.", first["id"]),
        ("person", "two", second["id"]),
    ]


def test_the_same_key_twice_is_one_message_and_another_text_is_refused(alice: User, atlas: Agent) -> None:
    program = Program(alice)
    opening = {"agent_id": "atlas", "text": "one"}

    first = program.post("conversations", opening, 202, Idempotency_Key="k1")
    again = program.post("conversations", opening, 202, Idempotency_Key="k1")
    other = program.post("conversations", {**opening, "text": "two"}, 409, Idempotency_Key="k1")

    assert (first["repeated"], again["repeated"]) == (False, True)
    assert first["run"]["id"] == again["run"]["id"]
    assert other["error"]["reason"] == "idempotency_conflict"
    assert (Run.objects.count(), Conversation.objects.count()) == (1, 1)


def test_the_same_key_in_a_conversation_answers_even_after_the_run_has_ended(alice: User, atlas: Agent) -> None:
    program = Program(alice)
    talk = program.post("conversations", {"agent_id": "atlas", "text": "one"}, 202)["run"]["conversation_id"]
    end(Run.objects.get())
    path = f"conversations/{talk}/messages"
    first = program.post(path, {"text": "two"}, 202, Idempotency_Key="k2")
    end(Run.objects.get(pk=first["run"]["id"]), "Reply.")

    again = program.post(path, {"text": "two"}, 202, Idempotency_Key="k2")

    assert (again["repeated"], again["run"]["reply"], again["run"]["status"]) == (True, "Reply.", "completed")


def test_two_tabs_at_once_make_one_run(alice: User, atlas: Agent) -> None:
    program = Program(alice)
    talk = program.post("conversations", {"agent_id": "atlas", "text": "one"}, 202)["run"]["conversation_id"]

    error = program.post(f"conversations/{talk}/messages", {"text": "two"}, 409)["error"]

    assert error["reason"] == "conversation_busy"
    assert Message.objects.count() == 1
    assert program.get(f"conversations/{talk}")["is_busy"] is True


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"text": ""}, 400, "invalid"),
        ({"text": "  \n"}, 400, "invalid"),
        ({"text": "a\x00b"}, 400, "invalid"),
        ({"text": "\ud800"}, 400, "invalid"),
        ({"text": "x" * (settings.LOGOS_MAX_MESSAGE_CHARS + 1)}, 413, "too_large"),
        ({"text": "x" * 1_000_000}, 413, "too_large"),
        ({"text": "x" * 3_000_000}, 413, "too_large"),
        ({"text": None}, 422, "invalid"),
        ({}, 422, "invalid"),
        (b"{", 400, "invalid"),
        (b"\xff\xfe", 400, "invalid"),
        (b"[]", 422, "invalid"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_cannot_be_sent_is_refused_and_nothing_is_stored(
    alice: User, atlas: Agent, body: object, status: int, reason: str
) -> None:
    program = Program(alice)
    talk = program.post("conversations", {"agent_id": "atlas", "text": "one"}, 202)["run"]["conversation_id"]
    end(Run.objects.get())

    error = program.post(f"conversations/{talk}/messages", body, status)["error"]

    assert error["reason"] == reason
    assert error["message"]
    assert Message.objects.count() == 1


@pytest.mark.parametrize("key", ["k" * 101, "a\tb" * 40])
def test_a_key_that_would_be_cut_is_refused(alice: User, atlas: Agent, key: str) -> None:
    opening = {"agent_id": "atlas", "text": "one"}

    error = Program(alice).post("conversations", opening, 422, Idempotency_Key=key)["error"]

    assert "idempotency" in error["field"].lower()
    assert not Run.objects.exists()


def test_somebody_elses_conversation_is_not_there(alice: User, bob: User, mallory: User, atlas: Agent) -> None:
    talk = Program(alice).post("conversations", {"agent_id": "atlas", "text": "one"}, 202)["run"]["conversation_id"]
    end(Run.objects.get())

    for other in (bob, mallory):
        program = Program(other)
        program.get(f"conversations/{talk}", 404)
        program.get(f"conversations/{talk}/messages", 404)
        program.post(f"conversations/{talk}/messages", {"text": "mine"}, 404)
        assert program.get("conversations")["items"] == []
    assert Message.objects.count() == 1


def test_who_was_given_an_agent_talks_to_it_and_who_was_not_finds_none(
    bob: User, mallory: User, viewer: User, atlas: Agent
) -> None:
    opening = {"agent_id": atlas.pk, "text": "hello"}

    Program(bob).post("conversations", opening, 202)
    Program(mallory).post("conversations", opening, 404)
    Program(viewer).post("conversations", opening, 404)

    assert Run.objects.get().actor == bob


def test_a_deleted_agent_keeps_its_conversations_but_takes_no_message(alice: User, atlas: Agent) -> None:
    program = Program(alice)
    talk = program.post("conversations", {"agent_id": "atlas", "text": "one"}, 202)["run"]["conversation_id"]
    end(Run.objects.get(), "Reply.")
    program("DELETE", f"agents/{atlas.pk}")

    refused = program.post(f"conversations/{talk}/messages", {"text": "two"}, 409)["error"]

    assert "deleted" in refused["message"]
    assert len(program.get(f"conversations/{talk}/messages")["items"]) == 2
    program.post("conversations", {"agent_id": atlas.pk, "text": "two"}, 404)
