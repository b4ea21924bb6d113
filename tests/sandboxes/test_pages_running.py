"""Start, stop and start anew from a sandbox's own page: for whom, asked first, with htmx and without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from agents import permissions, preparing
from agents.models import Agent, SecurityEvent, User
from sandboxes import activity, lifecycle
from sandboxes.driver import SandboxError
from sandboxes.models import Sandbox, State

pytestmark = pytest.mark.django_db
Browser = Callable[..., Client]


@pytest.fixture
def box(atlas: Agent) -> Sandbox:
    return Sandbox.objects.create(agent=atlas, number=1)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done, by the two functions that do it."""
    done: list[str] = []

    async def stop(agent_id: str, *, and_stay: bool = True, now: bool = False) -> None:
        done.append(f"stop {agent_id} {and_stay}")

    monkeypatch.setattr(lifecycle, "stop", stop)
    monkeypatch.setattr(preparing, "ask", lambda agent, wished: done.append(f"start {agent.pk}"))
    return done


def at(box: Sandbox, verb: str = "") -> str:
    return f"/sandboxes/{box.pk}/{verb}"


def test_what_can_be_done_is_offered_and_nothing_else(alice: User, browser: Browser, box: Sandbox) -> None:
    client = browser(alice)

    asleep = client.get(at(box)).content.decode()
    Sandbox.objects.update(state=State.RUNNING)
    awake = client.get(at(box)).content.decode()

    assert "Start it<" in asleep
    assert "Stop it…" not in asleep
    assert "Stop it…" in awake
    assert "Start it anew…" in awake


def test_starting_with_htmx_answers_the_part_and_without_it_the_page(
    alice: User, browser: Browser, box: Sandbox, asked: list[str]
) -> None:
    client = browser(alice)

    part = client.post(at(box, "start/"), headers={"HX-Request": "true"})
    page = client.post(at(box, "start/"))

    assert part.content.decode().startswith('<div id="running"')
    assert (page.status_code, page["Location"]) == (302, at(box))
    assert asked == [f"start {box.agent_id}"] * 2


def test_the_part_asks_again_only_while_something_moves(alice: User, browser: Browser, box: Sandbox) -> None:
    client = browser(alice)

    still = client.get(at(box, "running/")).content.decode()
    Sandbox.objects.update(state=State.STARTING, progress="Preparing the sandbox")
    moving = client.get(at(box, "running/")).content.decode()

    assert "hx-trigger" not in still
    assert "every 2s" in moving


@pytest.mark.parametrize(("verb", "done"), [("stop/", ["stop {} True"]), ("restart/", ["stop {} False", "start {}"])])
def test_ending_it_is_asked_first_and_says_what_ends(
    alice: User, browser: Browser, box: Sandbox, asked: list[str], monkeypatch: Any, verb: str, done: list[str]
) -> None:
    busy = {box.agent_id: activity.Use(is_busy=True)}
    monkeypatch.setattr(activity, "WITNESSES", [lambda ids, since: busy])
    client = browser(alice)

    question = client.get(at(box, verb)).content.decode()
    assert "A run is in progress there" in question
    assert "open terminals too" in question
    assert not asked

    answer = client.post(at(box, verb))
    assert (answer.status_code, answer["Location"]) == (302, at(box))
    assert asked == [each.format(box.agent_id) for each in done]


def test_a_refusal_of_the_sandbox_is_said_on_the_question(
    alice: User, browser: Browser, box: Sandbox, monkeypatch: Any
) -> None:
    async def refuse(agent_id: str, **how: Any) -> None:
        raise SandboxError("This sandbox is being started or stopped already.", reason="conflict")

    monkeypatch.setattr(lifecycle, "stop", refuse)

    answer = browser(alice).post(at(box, "stop/"))

    assert answer.status_code == 409
    assert "being started or stopped already" in answer.content.decode()


def test_an_archived_agents_sandbox_stays_stopped(
    alice: User, browser: Browser, box: Sandbox, asked: list[str]
) -> None:
    Agent.objects.update(archived_at=timezone.now())

    answer = browser(alice).post(at(box, "start/"))

    assert answer.status_code == 409
    assert not asked
    assert "Start it<" not in browser(alice).get(at(box)).content.decode()


def test_who_may_only_look_is_offered_nothing_and_does_nothing(
    mallory: User, browser: Browser, box: Sandbox, asked: list[str]
) -> None:
    permissions.grant(mallory, "edit", box.agent)
    client = browser(mallory)

    assert "Start it<" not in client.get(at(box)).content.decode()
    for verb in ("start/", "stop/", "restart/"):
        assert client.post(at(box, verb)).status_code == 404
    assert not asked


@pytest.mark.parametrize(
    ("part", "kind"),
    [("start/", "sandbox_started"), ("stop/", "sandbox_stopped"), ("restart/", "sandbox_restarted")],
)
def test_who_started_and_stopped_a_sandbox_is_in_the_audit(
    alice: User, browser: Browser, box: Sandbox, asked: list[str], part: str, kind: str
) -> None:
    browser(alice).post(at(box, part))

    event = SecurityEvent.objects.get(kind=kind)
    assert (event.actor, event.object_id) == (alice, box.agent_id)
