"""The terminals people had open in a sandbox, as pages and over the API: who, how long, what it showed, for whom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from agents import acting, agent_secrets, composition, permissions
from agents.errors import NotFound
from agents.models import Agent, SecurityEvent, Soul, User
from sandboxes import lifecycle, shell_records, transcripts
from sandboxes.models import Sandbox
from sandboxes.shell_records import Recorded
from tests.api_client import Program

pytestmark = pytest.mark.django_db
Browser = Callable[..., Client]
SECRET = "s3cret-of-alice-4711"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, settings: Any) -> None:
    settings.LOGOS_HOME = tmp_path


@pytest.fixture
def box(atlas: Agent) -> Sandbox:
    row = Sandbox.objects.create(agent=atlas, number=1, starts=1)
    (lifecycle.root_of(row.pk) / "engine").mkdir(parents=True)
    return row


def shown(box: Sandbox, user: User, text: bytes = b"$ ls\r\nnotes.md\r\n", door: str = "page", **end: Any) -> str:
    """A terminal of the person's that showed this; its name."""
    with acting.through(door, user):
        recorded = Recorded(user, box.agent, lifecycle.root_of(box.pk), [])
        recorded.heard(text)
        recorded.end(end.get("code", 0), end.get("why", ""))
    return recorded.name


def test_who_how_long_through_which_door_and_how_it_ended(alice: User, bob: User, box: Sandbox) -> None:
    shown(box, bob, door="command", code=None, why="The sandbox was stopped.")
    shown(box, alice)

    (first, second), following = transcripts.sessions(alice, box)

    assert (first.person, first.door, first.how, first.bytes) == (alice, "the page", "ended with exit code 0", 16)
    assert (second.person, second.door, second.how) == (bob, "the command", "The sandbox was stopped.")
    assert not following


def test_one_that_is_open_or_was_cut_off_is_told_of(alice: User, box: Sandbox) -> None:
    Recorded(alice, box.agent, lifecycle.root_of(box.pk), [])

    ((session,), _) = transcripts.sessions(alice, box)

    assert session.seconds is None
    assert "still open" in session.how
    assert not session.name


def test_pages_of_many_cost_the_same(
    alice: User, box: Sandbox, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(5):
        shown(box, alice)
    seen, after = [], ""
    for _ in range(3):
        with django_assert_num_queries(2 + 1):  # the permission's
            found, after = transcripts.sessions(alice, box, after, 2)
        seen += [each.id for each in found]

    assert seen == list(SecurityEvent.objects.filter(kind="shell_opened").values_list("pk", flat=True))
    assert not after


def test_a_transcript_is_plain_text_without_secrets_of_today(alice: User, browser: Browser, box: Sandbox) -> None:
    name = shown(
        box,
        alice,
        b"$ ls\r\n\x1b[?2004l\rnotes\r\n$ \x1b[1;31mred\x1b[0m <b>\r\n\x1b]0;title\x07 typo\x08\x08o ok\r\nKEY=s3cret-of-\x1b[1malice-4711\r\n",
    )
    agent_secrets.put(alice, box.agent, "KEY", SECRET)

    page = browser(alice).get(f"/sandboxes/{box.pk}/shells/{name}/")

    text = page.content.decode()
    assert "$ ls\nnotes\n$ red &lt;b&gt;" in text
    assert "tyo ok" in text
    assert "title\x07" not in text
    assert "\x1b" not in text
    assert SECRET not in text
    whole = browser(alice).get(f"/sandboxes/{box.pk}/shells/{name}/?whole")
    assert whole["Content-Disposition"].startswith("attachment")
    assert SECRET not in whole.content.decode()


def test_the_page_of_a_long_one_stays_small(alice: User, browser: Browser, box: Sandbox) -> None:
    name = shown(box, alice, b"0123456789abcde\n" * 20_000)

    page = browser(alice).get(f"/sandboxes/{box.pk}/shells/{name}/")

    assert "The beginning of it" in page.content.decode()
    assert len(page.content) < 60_000


def test_what_is_not_kept_any_more_is_listed_and_not_offered(
    alice: User, browser: Browser, box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell_records, "KEPT", 1)
    old = shown(box, alice)
    new = shown(box, alice)
    client = browser(alice)

    page = client.get(f"/sandboxes/{box.pk}/shells/").content.decode()

    assert new in page
    assert old not in page
    assert "is not kept" in page
    assert client.get(f"/sandboxes/{box.pk}/shells/{old}/").status_code == 404


@pytest.mark.parametrize("name", ["../../../secrets/seal_keys", "..", "x.txt", "20261121-000000-" + "0" * 26 + ".txt"])
def test_no_other_file_is_read(alice: User, box: Sandbox, name: str) -> None:
    shown(box, alice)
    (lifecycle.root_of(box.pk) / "engine/shells/x.txt").write_text("no transcript")

    with pytest.raises(NotFound):
        transcripts.session(alice, box, name)


def test_a_transcript_of_another_sandbox_is_not_there(alice: User, box: Sandbox, soul: Soul) -> None:
    other = Sandbox.objects.create(agent=composition.create(alice, "Other", soul), number=2)
    name = shown(box, alice)
    (lifecycle.root_of(other.pk) / "engine/shells").mkdir(parents=True)
    (lifecycle.root_of(other.pk) / "engine/shells" / name).write_text("of the same name")

    with pytest.raises(NotFound):
        transcripts.session(alice, other, name)


def test_only_who_may_open_a_terminal_sees_any(
    bob: User, mallory: User, browser: Browser, alice: User, box: Sandbox
) -> None:
    name = shown(box, alice)
    permissions.grant(mallory, "edit", box.agent)
    for user in (bob, mallory):
        for path in ("shells/", f"shells/{name}/", f"shells/{name}/?whole"):
            assert browser(user).get(f"/sandboxes/{box.pk}/{path}").status_code == 404
        Program(user).get(f"sandboxes/{box.pk}/shells", status=404)
        Program(user).get(f"sandboxes/{box.pk}/shells/{name}", status=404)


def test_the_api_lists_and_reads(alice: User, box: Sandbox) -> None:
    name = shown(box, alice)
    program = Program(alice)

    listed = program.get(f"sandboxes/{box.pk}/shells")
    read = program.get(f"sandboxes/{box.agent_id}/shells/{name}")

    assert [each["name"] for each in listed["items"]] == [name]
    assert listed["items"][0]["person"]["username"] == "alice"
    assert read["text"] == "$ ls\nnotes.md\n"
    assert program("GET", f"sandboxes/{box.pk}/shells?after=../x").status_code in (400, 422)


def test_an_endless_escape_costs_no_time(alice: User, box: Sandbox) -> None:
    """What is shown comes from the sandbox: it may be made to keep a reader busy."""
    hostile = "\x1b]" * 60_000 + "\x1b[" + "0" * 60_000 + "\x08a" * 60_000 + "b" * 60_000 + "\x08" * 60_000

    assert "b" not in transcripts.plain(hostile)
