"""The sandbox on its agent's page: what is said of it in every state, and preparing it in the background."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from agents import composition, preparing, retiring
from agents.errors import LogosError
from agents.models import Agent, User
from sandboxes import lifecycle, records, tasks, telling
from sandboxes.lifecycle import Running
from sandboxes.models import Desired, Sandbox, State

Browser = Callable[..., Client]
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def row(**fields: Any) -> Sandbox:
    return Sandbox(**fields)


@pytest.mark.parametrize(
    ("sandbox", "is_archived", "state", "words", "is_moving"),
    [
        (None, False, "asleep", "Not made yet", False),
        (row(), False, "asleep", "The next message starts it", False),
        (row(asked_at=NOW), False, "queued", "Waiting for background work", True),
        (row(asked_at=NOW - timedelta(minutes=5)), False, "queued", "Background work has not begun", False),
        (row(state=State.STARTING, asked_at=NOW), False, "preparing", "Preparing the sandbox…", True),
        (row(state=State.STARTING, progress="Copying files"), False, "preparing", "Copying files…", True),
        (row(state=State.RUNNING), False, "ready", "answers", False),
        (row(state=State.FAILED, reason="No bubblewrap."), False, "failed", "No bubblewrap.", False),
        (row(desired=Desired.RUNNING), False, "asleep", "started again within a minute", False),
        (
            row(
                state=State.FAILED, reason="Full.", desired=Desired.RUNNING, next_attempt_at=NOW + timedelta(minutes=4)
            ),
            False,
            "failed",
            "Full. Logos tries again in about 4 minutes",
            False,
        ),
        (row(state=State.RUNNING), True, "stopped", "while the agent is archived", False),
    ],
)
def test_every_state_is_told_as_it_is(
    sandbox: Sandbox | None, is_archived: bool, state: str, words: str, is_moving: bool
) -> None:
    said = telling.tell(sandbox, is_archived, NOW)

    assert (said.state, said.is_moving) == (state, is_moving)
    assert words in said.sentence


def test_the_section_asks_again_only_while_something_happens(browser: Browser, alice: User, atlas: Agent) -> None:
    box = Sandbox.objects.create(agent=atlas, number=1, state=State.STARTING, progress="Starting the agent runtime")
    client, address = browser(alice), f"/agents/{atlas.pk}/sandbox/"
    assert f'hx-get="{address}" hx-trigger="every 2s"' in client.get(f"/agents/{atlas.pk}/").content.decode()

    moving = client.get(address).content.decode()
    Sandbox.objects.filter(pk=box.pk).update(state=State.RUNNING, started_at=NOW)
    still = client.get(address).content.decode()

    assert "Starting the agent runtime…" in moving
    assert "hx-trigger" not in still
    assert "Stop the sandbox" in still


def test_who_may_look_is_offered_no_button(browser: Browser, bob: User, mallory: User, atlas: Agent) -> None:
    address = f"/agents/{atlas.pk}/sandbox/"

    assert "<button" not in browser(bob).get(address).content.decode()
    assert browser(bob).post(f"{address}prepare/").status_code == 404
    assert browser(bob).post(f"{address}stop/").status_code == 404
    assert browser(mallory).get(address).status_code == 404


def test_making_an_agent_answers_at_once_and_prepares_its_sandbox_afterwards(
    browser: Browser, alice: User, soul: Any, route: Any, monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:  # fmt: skip
    asked: list[str] = []
    monkeypatch.setattr(tasks, "provision_later", asked.append)
    posted = {"name": "fern", "soul": soul.pk, "tools": "soul", "visibility": "private", "prepare": "on"}
    client = browser(alice)

    with django_capture_on_commit_callbacks(execute=True):
        made = client.post("/agents/new/", posted)
    with django_capture_on_commit_callbacks(execute=True):
        client.post("/agents/new/", {**posted, "name": "moss", "prepare": ""})

    fern = Agent.objects.get(name="fern")
    assert asked == [fern.pk]
    assert "Waiting for background work to begin" in client.get(made["Location"]).content.decode()
    assert not Sandbox.objects.filter(agent__name="moss").exists()


def test_the_site_may_wish_that_nothing_is_prepared(
    atlas: Agent, settings: Any, monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:  # fmt: skip
    asked: list[str] = []
    monkeypatch.setattr(tasks, "provision_later", asked.append)
    settings.LOGOS_PREPARE_AGENTS = False

    with django_capture_on_commit_callbacks(execute=True):
        preparing.ask(atlas)
        preparing.ask(atlas, True)

    assert asked == [atlas.pk]


@pytest.mark.django_db(transaction=True)
def test_what_is_being_done_is_told_while_it_is_done(atlas: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    async def start(agent_id: str, progress: Callable[[str], None], **options: Any) -> Running:
        wanted = await lifecycle.in_thread(records.wanted, agent_id)
        await lifecycle.in_thread(records.claim, wanted.sandbox_id, State.STARTING)
        progress("Preparing the sandbox")
        while not (seen := await Sandbox.objects.aget(agent_id=agent_id)).progress:
            pass
        told.append(seen.progress)
        await lifecycle.in_thread(records.started, wanted.sandbox_id, {}, (), "key", "digest")
        return Running(wanted.sandbox_id, "local", {}, (), "key")

    monkeypatch.setattr(lifecycle, "ensure_running", start)
    records.asked(atlas.pk)

    tasks.provision(atlas.pk)

    box = Sandbox.objects.get()
    assert told == ["Preparing the sandbox"]
    assert (box.state, box.progress, box.asked_at) == (State.RUNNING, "", None)


@pytest.mark.django_db(transaction=True)
def test_a_preparation_that_fails_says_why(atlas: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*rest: Any, **options: Any) -> Running:
        raise LogosError("The agent runtime is not installed.", reason="sandbox_unavailable")

    monkeypatch.setattr(lifecycle, "ensure_running", fail)
    records.asked(atlas.pk)

    tasks.provision(atlas.pk)

    said = telling.tell(Sandbox.objects.get(), False, NOW)
    assert (said.state, said.is_moving) == ("failed", False)
    assert "The agent runtime is not installed." in said.sentence


@pytest.mark.django_db(transaction=True)
def test_a_copy_is_made_before_the_sandbox_is_prepared(alice: User, atlas: Agent, soul: Any) -> None:
    source = Sandbox.objects.create(agent=atlas, number=1)
    copy = composition.create(alice, "second", soul)
    (lifecycle.root_of(source.pk) / "workspace").mkdir(parents=True)
    (lifecycle.root_of(source.pk) / "workspace" / "plan.txt").write_text("One.")
    records.asked(copy.pk)

    said = tasks.copy_and_provision(atlas.pk, copy.pk, ["files"], False)

    box = Sandbox.objects.get(agent=copy)
    assert said == "Everything is copied."
    assert (lifecycle.root_of(box.pk) / "workspace" / "plan.txt").read_text() == "One."
    assert (box.state, box.asked_at, box.claimed_until) == (State.STOPPED, None, None)
    assert tasks.copy_files("agent_nothing", copy.pk, ["files"]) == ("There is nothing to copy.", True)


@pytest.mark.django_db(transaction=True)
def test_an_agent_that_has_begun_to_work_gets_no_files(alice: User, atlas: Agent, soul: Any) -> None:
    Sandbox.objects.create(agent=atlas, number=1)
    copy = composition.create(alice, "second", soul)
    Sandbox.objects.create(agent=copy, number=2, starts=1, state=State.RUNNING)

    tasks.copy_and_provision(atlas.pk, copy.pk, ["files"], False)

    assert (
        "begun to work before anything could be copied"
        in telling.tell(Sandbox.objects.get(agent=copy), False, NOW).sentence
    )


def test_an_archived_agent_is_offered_no_preparation(browser: Browser, alice: User, atlas: Agent) -> None:
    retiring.archive(alice, atlas.pk)

    assert "Prepare it now" not in browser(alice).get(f"/agents/{atlas.pk}/sandbox/").content.decode()
