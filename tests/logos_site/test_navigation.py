"""The navigation: what one may use, in its order, with a count of what waits; never a link that ends nowhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import Client, RequestFactory
from django.urls import resolve
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from agents import badges, permissions
from agents.models import Agent, Policy, Role, User
from logos_site import navigation
from runs import approvals
from runs.models import Approval
from tests.conftest import person
from tests.runs.acting import ONE_COMMAND, ask, finished, play

Browser = Callable[..., Client]


def waiting(person: User, agent: Agent) -> Approval:
    run = play(ask(person, agent), ONE_COMMAND[:3])
    return approvals.request(run.pk, "rm -rf build", "delete")


def test_each_place_has_a_letter_of_its_own_and_an_action_that_exists() -> None:
    letters = [link.key for link in navigation.LINKS] + ["y"]

    assert len(set(letters)) == len(letters)


def test_every_place_is_a_page_that_exists() -> None:
    assert [link.path for link in navigation.LINKS if not resolve(link.path)] == []


def test_who_decides_sees_how_much_waits(browser: Browser, alice: User, atlas: Agent) -> None:
    waiting(alice, atlas)

    page = browser(alice).get("/").content.decode()

    assert page.count('title="1 waiting for you"') == 2  # the rail and the bar of small screens


def test_nobody_else_hears_of_it(browser: Browser, alice: User, bob: User, viewer: User, atlas: Agent) -> None:
    waiting(alice, atlas)

    for who in (bob, viewer):
        assert 'class="badge' not in browser(who).get("/").content.decode()


def test_what_is_decided_or_expired_does_not_count(alice: User, atlas: Agent) -> None:
    question = waiting(alice, atlas)
    assert badges.of(alice)["/approvals/"].count == 1

    Approval.objects.filter(pk=question.pk).update(expires_at=timezone.now() - timedelta(seconds=1))

    assert badges.of(alice) == {}


def test_several_counts_take_one_query(
    alice: User, atlas: Agent, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    monkeypatch.setattr(badges, "_suppliers", dict(badges._suppliers))
    badges.register("/policies/", "policies", lambda user: permissions.visible(user, Policy.objects.all()))
    badges.register("/nobody/", "of no use", lambda user: None)
    Policy.objects.create(name="Mine", owner=alice)
    Policy.objects.create(name="Not mine")
    waiting(alice, atlas)

    with django_assert_num_queries(1):
        found = badges.of(alice)

    assert found == {"/approvals/": badges.Badge(1, "waiting for you"), "/policies/": badges.Badge(1, "policies")}


def test_parts_that_draw_no_frame_ask_nothing(alice: User, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    request = RequestFactory().get("/runs/")
    request.user = alice
    with django_assert_num_queries(0):
        frame = navigation.frame(request)
    with django_assert_num_queries(1):
        first, second = frame["navigation"](), frame["navigation"]()

    assert first is second


def test_strangers_have_no_navigation() -> None:
    request = RequestFactory().get("/")
    request.user = AnonymousUser()

    assert navigation.frame(request) == {"navigation": [], "may_console": False}


@pytest.mark.parametrize("who", ["ada", "operator", "alice", "bob", "mallory", "viewer"])
def test_every_link_on_every_page_opens(
    request: pytest.FixtureRequest, browser: Browser, alice: User, bob: User, atlas: Agent, who: str
) -> None:
    """Whoever reads, whatever the page: no link ends in "not found" or in a refusal."""
    finished(alice, atlas)
    user = person("olga", Role.OPERATOR) if who == "operator" else request.getfixturevalue(who)
    client, seen, links, broken = browser(user), set(), {"/"}, []

    while links - seen and len(seen) < 150:
        address = sorted(links - seen)[0]
        seen.add(address)
        answer = client.get(address)
        if answer.status_code not in (200, 302):
            broken.append(f"{address}: {answer.status_code}")
        if answer.status_code == 200 and "html" in answer["Content-Type"] and not answer.streaming:
            found = re.findall(r'<a\b[^>]*\bhref="([^"#]*)', answer.content.decode())
            links |= {_whole(address, link) for link in found} - {""}

    assert not broken
    assert len(seen) > 10


def _whole(address: str, link: str) -> str:
    """The address a link leads to; "" for what is not ours to follow: the console, and signing out."""
    link = link.replace("&amp;", "&")
    whole = address.partition("?")[0] + link if link.startswith("?") else link
    return whole if whole.startswith("/") and not whole.startswith(("/admin/", "/accounts/logout")) else ""
