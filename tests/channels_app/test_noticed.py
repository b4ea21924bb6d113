"""A call under "allow and tell" is told to whom it concerns: on a page with what it was, elsewhere without."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core import mail
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from agents import permissions, privacy
from agents.models import Agent, Role, User
from channels_app import devices, notices, receivers
from runs import noticed
from runs.models import Run
from sandboxes.tool_server import calls, telling
from sandboxes.tool_server.models import ToolCall
from sandboxes.tool_server.records import Caller
from sandboxes.tool_server.results import Outcome, done
from tests.api_client import Program
from tests.channels_app.push_service import BrowserKeys, PushService, push_service, told
from tests.conftest import person
from tests.runs.acting import ONE_COMMAND, ask, play
from tests.runs.waiting import waiting
from tests.shell import run as shell

pytestmark = pytest.mark.django_db
Browser = Callable[..., Client]
SECRET = "the-secret-place"


@pytest.fixture
def service(settings: Settings) -> Iterator[PushService]:
    with push_service() as running:
        settings.LOGOS_PUSH_SERVICES = [running.origin]
        yield running


def switch_on(who: User, service: PushService) -> BrowserKeys:
    keys = BrowserKeys()
    devices.add(who, service.endpoint(who.username), keys.p256dh, keys.auth, "Firefox on Linux")
    return keys


def called(agent: Agent, run: Run | None = None, **more: Any) -> ToolCall:
    """A call that ran and is to be told; its listeners hear of it."""
    row = ToolCall.objects.create(
        agent=agent, run_id=run.pk if run else "", door="api", tool="filesystem.delete",
        digest="0" * 64, key="0" * 64, at=timezone.now(),
        **{"arguments": {"path": f"{SECRET}/a.md"}, "tier": "notify", "state": "done", "reason": "Told.", **more},
    )  # fmt: skip
    telling.tool_noticed.send(sender=ToolCall, call=row)
    return row


def run_of(who: User, agent: Agent) -> Run:
    return play(ask(who, agent), ONE_COMMAND[:3])


def test_a_real_call_under_notify_is_told(alice: User, atlas: Agent, service: PushService, monkeypatch: Any) -> None:
    async def said(tool: Any, given: dict[str, Any], begun: Any, db: Any) -> Outcome:
        return done({"tool": tool.name}, "done")

    monkeypatch.setattr(calls, "_in_sandbox", said)
    keys = switch_on(alice, service)
    answer = async_to_sync(calls.call)(
        atlas.pk, "filesystem.delete", {"path": SECRET}, Caller("api", person_id=alice.pk)
    )

    assert (answer.state, answer.tier) == ("done", "notify")
    (sent,) = service.sent
    said_of_it = told(keys, sent)
    assert said_of_it["url"] == "/approvals/noticed/"
    assert not any(word in json.dumps(said_of_it) for word in (SECRET, "filesystem", "atlas"))
    assert [row.pk for row in noticed.seen_by(alice)] == [answer.call_id]


def test_the_owner_and_the_person_of_the_run_are_told_and_nobody_else(
    alice: User, bob: User, mallory: User, ada: User, atlas: Agent, service: PushService
) -> None:
    for who in (alice, bob, mallory, ada):
        switch_on(who, service)

    called(atlas, run_of(bob, atlas))

    assert sorted(sent.path for sent in service.sent) == ["/push/alice", "/push/bob"]


def test_much_of_one_agent_is_one_notice_in_a_minute(alice: User, atlas: Agent, service: PushService) -> None:
    switch_on(alice, service)
    for _ in range(30):
        called(atlas)
    assert len(service.sent) == 1

    cache.delete(f"noticed:{atlas.pk}")  # a minute later
    called(atlas)

    assert len(service.sent) == 2
    assert receivers.NOTICED_EVERY_S == 60


def test_it_does_not_swallow_the_push_of_what_waits(alice: User, atlas: Agent, service: PushService) -> None:
    switch_on(alice, service)
    called(atlas)

    assert notices.asked(waiting(alice, atlas).pk) == 1
    assert len(service.sent) == 2


def test_a_mail_says_it_seldom_and_without_what(alice: User, atlas: Agent, settings: Settings) -> None:
    settings.LOGOS_MAIL_URL, settings.LOGOS_URL = "smtp://mail.example.org", "https://logos.example.org"
    notices.choose(alice, by_push=False, by_mail=True)
    for _ in range(3):
        called(atlas)
        cache.delete(f"noticed:{atlas.pk}")

    (sent,) = mail.outbox
    assert "https://logos.example.org/approvals/noticed/" in sent.body
    assert not any(word in sent.subject + sent.body for word in (SECRET, "filesystem", "atlas"))


def test_who_wants_nothing_is_told_nothing(alice: User, atlas: Agent, service: PushService) -> None:
    switch_on(alice, service)
    notices.choose(alice, by_push=False, by_mail=False)
    called(atlas)

    assert service.sent == []


def test_the_page_shows_it_to_who_may_see_it(
    browser: Browser, alice: User, bob: User, mallory: User, viewer: User, atlas: Agent
) -> None:
    row = called(atlas, run_of(bob, atlas))
    permissions.grant(viewer, "chat", atlas)
    olga = person("olga", Role.OPERATOR)

    for who, sees in ((alice, True), (bob, True), (mallory, False), (viewer, False), (olga, False)):
        shown = browser(who).get("/approvals/noticed/").content.decode()
        assert (SECRET in shown) is sees, who
        assert (row.pk in json.dumps(Program(who).get("approvals/noticed"))) is sees, who
    assert SECRET in browser(alice).get("/approvals/").content.decode()
    assert SECRET in shell("approvals", "noticed", "--user", "alice").out
    assert SECRET not in shell("approvals", "noticed", "--user", "mallory").out


def test_what_a_private_run_did_is_not_told_to_admins(browser: Browser, ada: User, bob: User, atlas: Agent) -> None:
    called(atlas, run_of(bob, atlas))
    assert SECRET in browser(ada).get("/approvals/noticed/").content.decode()
    privacy.switch(ada, True)

    assert SECRET not in browser(ada).get("/approvals/noticed/").content.decode()


def test_only_what_ran_and_is_to_be_told_stands_there_and_not_for_ever(alice: User, atlas: Agent) -> None:
    wanted = called(atlas)
    called(atlas, tier="allow")
    called(atlas, state="refused")
    old = called(atlas)
    ToolCall.objects.filter(pk=old.pk).update(at=timezone.now() - timedelta(days=31))
    yesterday = called(atlas, state="failed", is_error=True)
    ToolCall.objects.filter(pk=yesterday.pk).update(at=timezone.now() - timedelta(days=2))

    assert {row.pk for row in noticed.seen_by(alice)} == {wanted.pk, yesterday.pk}
    assert [row.pk for row in noticed.lately(alice)] == [wanted.pk]


def test_hidden_characters_are_spelled_out_and_long_lists_stay_light(
    browser: Browser, alice: User, atlas: Agent, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client = browser(alice)
    called(atlas, arguments={"path": "<b>\u202egnp" + "x" * 4000})
    shown = client.get("/approvals/noticed/").content.decode()
    assert "⟨U+202E⟩" in shown
    assert "<b>" not in shown.partition('class="row asked"')[2].partition("</div>")[0].replace("<b>atlas</b>", "")
    with CaptureQueriesContext(connection) as before:
        client.get("/approvals/noticed/?tool=filesystem.delete")
    for _ in range(40):
        called(atlas, arguments={"path": "x" * 4000})
    with django_assert_num_queries(len(before)):
        answer = client.get("/approvals/noticed/?tool=filesystem.delete")
    assert len(answer.content) < 60_000
    assert "Older" in answer.content.decode()
