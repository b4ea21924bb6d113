"""/api/souls: write and revise souls; nobody's revision is lost."""

from __future__ import annotations

import pytest

from agents import permissions
from agents.models import Soul, SoulRevision, User
from tests.api_client import Program


def test_a_soul_is_written_and_read(alice: User) -> None:
    made = Program(alice).post("souls", {"name": "Calm", "text": "Be calm.\r\n"}, 201)

    assert (made["slug"], made["revision"], made["text"]) == ("calm", 1, "Be calm.\n")
    assert Program(alice).get(f"souls/{made['id']}") == made
    assert "text" not in Program(alice).get("souls")["items"][0]


def test_a_revision_names_the_one_it_was_written_from(alice: User, soul: Soul) -> None:
    program = Program(alice)

    first = program("PUT", f"souls/{soul.pk}", {"text": "First.", "revision": 1})
    late = program("PUT", f"souls/{soul.pk}", {"text": "Late.", "revision": 1})

    assert (first.status_code, first.json()["revision"]) == (200, 2)
    assert (late.status_code, late.json()["error"]["reason"]) == (409, "stale")
    soul.refresh_from_db()
    assert soul.text == "First."
    assert list(SoulRevision.objects.filter(soul=soul).values_list("number", "author__username")) == [
        (2, "alice"),
        (1, "alice"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [("a\u200bb", "zero width space"), ("", "cannot be empty"), ("x" * 20_001, "20,000"), ("a\x00", "U+0000")],
)
def test_what_cannot_be_a_soul_is_refused_by_name(alice: User, soul: Soul, text: str, words: str) -> None:
    program = Program(alice)

    for answer in (
        program("POST", "souls", {"name": "x", "text": text}),
        program("PUT", f"souls/{soul.pk}", {"text": text, "revision": 1}),
    ):
        assert answer.status_code == 400
        assert answer.json()["error"]["field"] == "text"
        assert words in answer.json()["error"]["message"]
    assert SoulRevision.objects.count() == 1


def test_who_may_only_read_a_soul_cannot_revise_it(bob: User, mallory: User, soul: Soul) -> None:
    permissions.grant(bob, "view", soul)
    change = {"text": "Mine now.", "revision": 1}

    assert Program(bob).get(f"souls/{soul.pk}")["text"] == soul.text
    assert Program(bob)("PUT", f"souls/{soul.pk}", change).status_code == 404
    Program(mallory).get(f"souls/{soul.pk}", 404)
    assert Program(mallory)("PUT", f"souls/{soul.pk}", change).status_code == 404
    assert Program(mallory).get("souls")["items"] == []


def test_a_viewer_writes_no_souls(viewer: User) -> None:
    assert Program(viewer).post("souls", {"name": "x", "text": "y"}, 403)["error"]["reason"] == "forbidden"
