"""The page of a sandbox and the same over the API: how it is, what it wrote, and keeping it running."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from agents import agent_secrets, permissions
from agents.models import Agent, SecurityEvent, User
from sandboxes import logs
from sandboxes.models import Desired, HealthSample, Sandbox, State
from tests.api_client import Program

Browser = Callable[..., Client]


@pytest.fixture
def box(atlas: Agent) -> Sandbox:
    return Sandbox.objects.create(agent=atlas, number=1)


def running(box: Sandbox, looks: int = 3) -> Sandbox:
    now = timezone.now()
    box.state, box.desired, box.starts, box.started_at, box.probed_at = State.RUNNING, Desired.RUNNING, 2, now, now
    box.layers, box.versions = ["userns", "seccomp"], {"agent runtime": "0.19.0", "kernel": "6.1"}
    box.save()
    HealthSample.objects.bulk_create(
        HealthSample(
            sandbox=box, at=now - timedelta(minutes=looks - number), start=2, cpu_s=number * 6.0,
            memory_mb=140.0, processes=4, disk_mb=12.0 if number == 1 else None, latency_ms=2.5,
        )
        for number in range(looks)
    )  # fmt: skip
    return box


def page(client: Client, box: Sandbox, query: str = "") -> str:
    answer = client.get(f"/sandboxes/{box.pk}/{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_sandbox_that_never_ran_explains_its_emptiness(alice: User, box: Sandbox, browser: Browser) -> None:
    text = page(browser(alice), box)

    assert "Nothing has been measured during the last 24 hours." in text
    assert "The sandbox has not started yet." in text
    assert "Known once it has started." in text


def test_a_running_one_shows_what_it_uses_and_is_made_of(alice: User, box: Sandbox, browser: Browser) -> None:
    running(box)

    text = page(browser(alice), box)

    assert "140 MiB" in text
    assert "10 %" in text
    assert "2.5 ms" in text
    assert text.count("<polyline") == 4
    assert "userns, seccomp" in text
    assert "0.19.0" in text
    assert "style=" not in text


def test_a_day_of_looks_stays_a_small_page_of_few_questions(
    alice: User, box: Sandbox, browser: Browser, django_assert_max_num_queries: Callable
) -> None:
    running(box, 1440)
    client = browser(alice)
    page(client, box)

    with django_assert_max_num_queries(12):
        assert len(page(client, box)) < 60_000


def test_who_only_sees_the_agent_sees_no_log(bob: User, atlas: Agent, box: Sandbox, browser: Browser) -> None:
    path = logs.path_of(running(box), logs.which("runtime"))
    path.parent.mkdir(parents=True)
    path.write_text("what somebody said\n")
    permissions.grant(bob, "view", atlas)

    text = page(browser(bob), box)

    assert "140 MiB" in text
    assert "what somebody said" not in text
    assert "Keep it running" not in text
    assert Program(bob)("GET", f"sandboxes/{box.pk}/logs").status_code == 404
    assert Program(bob).get(f"sandboxes/{box.pk}/health")["memory_mb"] == 140.0


def test_strangers_to_the_agent_find_nothing(mallory: User, box: Sandbox, browser: Browser) -> None:
    assert browser(mallory).get(f"/sandboxes/{box.pk}/").status_code == 404
    assert browser(mallory).post(f"/sandboxes/{box.pk}/keep/", {"keep": "yes"}).status_code == 404
    for part in ("health", "logs"):
        assert Program(mallory)("GET", f"sandboxes/{box.pk}/{part}").status_code == 404


def test_the_log_is_on_the_page_and_in_the_api_without_secrets(
    alice: User, atlas: Agent, box: Sandbox, browser: Browser
) -> None:
    agent_secrets.put(alice, atlas, "SOME_KEY", "four words of value")
    path = logs.path_of(running(box), logs.which("keeper"))
    path.parent.mkdir(parents=True)
    path.write_text("<b>one</b>\ntwo four words of value\n")

    text = page(browser(alice), box, "?log=keeper")
    answer = Program(alice).get(f"sandboxes/{box.pk}/logs?log=keeper&tail=1")

    assert "&lt;b&gt;one&lt;/b&gt;" in text
    assert "four words of value" not in text
    assert "four words of value" not in answer["lines"][0]
    assert answer["lines"][0].startswith("two ")
    assert len(answer["lines"]) == 1
    Program(alice).get(f"sandboxes/{box.pk}/logs?tail=0", status=422)


@pytest.mark.parametrize("door", ["page", "api"])
def test_keeping_it_running_makes_it_wanted_and_is_noted_once(
    alice: User, box: Sandbox, browser: Browser, door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandboxes.tasks.tend_later", lambda agent_id: None)
    for _ in range(2):
        if door == "page":
            assert browser(alice).post(f"/sandboxes/{box.pk}/keep/", {"keep": "yes"}).status_code == 302
        else:
            answer = Program(alice)("PATCH", f"sandboxes/{box.pk}", {"keep_running": True})
            assert answer.json()["keep_running"] is True

    box.refresh_from_db()
    assert (box.keep_running, box.desired) == (True, Desired.RUNNING)
    assert SecurityEvent.objects.filter(kind="sandbox_kept").count() == 1
    assert "Stop it when nobody uses it" in page(browser(alice), box)


def test_an_unknown_log_is_refused_and_on_the_page_the_first_one(alice: User, box: Sandbox, browser: Browser) -> None:
    assert 'aria-current="page">Agent runtime' in page(browser(alice), box, "?log=../x")
    Program(alice).get(f"sandboxes/{box.pk}/logs?log=../x", status=422)
