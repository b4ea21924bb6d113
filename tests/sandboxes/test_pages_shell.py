"""The page of a terminal: for whom, and what it says of a sandbox that does not run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from agents import permissions
from agents.models import Agent, User
from sandboxes import drivers
from sandboxes.models import Sandbox, State

pytestmark = pytest.mark.django_db
Browser = Callable[..., Client]


class Running:
    """As much of a driver as a page asks."""

    async def poll(self, state: object) -> int | None:
        return None


@pytest.fixture
def box(atlas: Agent, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setattr(drivers, "_made", {"local": Running()})
    return Sandbox.objects.create(agent=atlas, number=1, state=State.RUNNING, driver="local", driver_state={"pid": 1})


def test_who_manages_the_agent_finds_the_terminal_and_opens_it(browser: Browser, alice: User, box: Sandbox) -> None:
    client = browser(alice)
    shell = f"/sandboxes/{box.pk}/shell/"

    page = client.get(shell).content.decode()

    assert f'href="{shell}"' in client.get(f"/sandboxes/{box.pk}/").content.decode()
    assert f'data-address="/ws/sandboxes/{box.pk}/shell"' in page
    assert "style=" not in page
    assert len(page) < 60_000


def test_who_may_only_edit_the_agent_is_shown_no_terminal(browser: Browser, mallory: User, box: Sandbox) -> None:
    permissions.grant(mallory, "edit", box.agent)
    client = browser(mallory)

    assert client.get(f"/sandboxes/{box.pk}/shell/").status_code == 404
    assert "/shell/" not in client.get(f"/sandboxes/{box.pk}/").content.decode()


def test_of_a_sandbox_that_does_not_run_it_says_so(browser: Browser, alice: User, box: Sandbox) -> None:
    Sandbox.objects.update(driver_state={})

    page = browser(alice).get(f"/sandboxes/{box.pk}/shell/").content.decode()

    assert "The sandbox is not running" in page
    assert "data-shell" not in page
