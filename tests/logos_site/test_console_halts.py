"""The console says on every page what is stopped, to whoever it concerns."""

from __future__ import annotations

import pytest
from django.urls import reverse

from agents import halting
from agents.models import Agent, Role, User
from tests.conftest import person
from tests.console import Console

pytestmark = pytest.mark.django_db


def pages(console: Console, agent: Agent) -> list[str]:
    addresses = (reverse("admin:index"), console.address(Agent), console.address(Agent, "change", agent.pk))
    return [console.client.get(address).content.decode() for address in addresses]


def test_every_page_says_what_is_stopped_and_leads_to_it(ada: User, atlas: Agent) -> None:
    halt = halting.stop(ada, "everything", reason="A model runs wild")

    for page in pages(Console(ada), atlas):
        assert "Everything is stopped: A model runs wild." in page
        assert reverse("agents:halt", args=[halt.pk]) in page


def test_nothing_is_said_while_nothing_is_stopped_or_after_it_goes_on(ada: User, atlas: Agent) -> None:
    assert not any('class="halted"' in page for page in pages(Console(ada), atlas))
    halt = halting.stop(ada, "everything")
    halting.resume(ada, halt.pk, "lifted")
    assert not any('class="halted"' in page for page in pages(Console(ada), atlas))


def test_who_may_not_see_the_agent_does_not_read_that_it_is_stopped(ada: User, atlas: Agent) -> None:
    halting.stop(ada, "agent", atlas.pk, "secret reason")
    stranger = person("otto", Role.OPERATOR)

    page = Console(stranger).client.get(reverse("admin:index")).content.decode()

    assert "secret reason" not in page
    assert 'class="halted"' not in page


def test_small_windows_of_the_console_are_left_alone(ada: User, atlas: Agent) -> None:
    halting.stop(ada, "everything")

    assert 'class="halted"' not in Console(ada).list(Agent, "?_popup=1").content.decode()
