"""/api/halts: stop, see what confirmed, take back; others find nothing."""

from __future__ import annotations

import pytest
from django.utils import timezone

from agents.models import Agent, Halt, HaltStop, User
from tests.api_client import Program

pytestmark = pytest.mark.django_db


def test_a_program_stops_everything_and_lets_it_go_on(ada: User, alice: User, atlas: Agent) -> None:
    program = Program(ada)

    made = program.post("halts", {"scope": "everything", "reason": "a fire"}, 201)
    assert (made["stage"], made["left"]) == ("stopped", ["deciding", "chosen", "lifted"])
    again = program.post("halts", {"scope": "everything"}, 201)
    assert again["id"] == made["id"]
    refused = Program(alice).post("conversations", {"agent_id": atlas.pk, "text": "Hello"}, 423)
    assert refused["error"]["reason"] == "halted"
    HaltStop.objects.create(halt_id=made["id"], kind="engine", subject="one", requested_at=timezone.now())
    found = program.get(f"halts/{made['id']}")
    assert (found["requested"], found["confirmed"], found["stops"][0]["subject"]) == (1, 0, "one")

    program.post(f"halts/{made['id']}/resume", {"stage": "chosen", "agents": [atlas.pk]})
    Program(alice).post("conversations", {"agent_id": atlas.pk, "text": "Hello"}, 202)
    program.post(f"halts/{made['id']}/resume", {"stage": "lifted"})

    assert program.post(f"halts/{made['id']}/resume", {"stage": "lifted"}, 409)["error"]["reason"] == "not_halted"
    assert program.get("halts?on=true")["items"] == []
    assert program.get("halts?on=false")["items"][0]["id"] == made["id"]


def test_others_see_only_what_concerns_them_and_take_nothing_back(
    ada: User, alice: User, mallory: User, atlas: Agent
) -> None:
    made = Program(alice).post("halts", {"scope": "agent", "subject": atlas.pk, "reason": "odd"}, 201)

    stranger = Program(mallory)
    assert stranger.get("halts")["items"] == []
    stranger.get(f"halts/{made['id']}", 404)
    stranger.post(f"halts/{made['id']}/resume", {"stage": "lifted"}, 404)
    stranger.post("halts", {"scope": "agent", "subject": atlas.pk}, 404)
    stranger.post("halts", {"scope": "everything"}, 403)
    assert Halt.objects.get().is_on


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"scope": "moon"}, 422),
        ({"scope": "server"}, 400),
        ({"scope": "server", "subject": "a\x00b"}, 422),
        ({"scope": "everything", "reason": "x" * 301}, 422),
        ({"scope": "person", "subject": "nobody"}, 404),
        ({}, 422),
    ],
)
def test_what_makes_no_sense_is_refused(ada: User, body: dict, status: int) -> None:
    Program(ada).post("halts", body, status)

    assert not Halt.objects.exists()
