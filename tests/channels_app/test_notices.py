"""People are told that something waits: who may decide, by push at once and by mail seldom, and never what it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core import mail
from pytest_django import Settings

from agents import erasing, exporting, permissions
from agents.errors import Conflict, Invalid, NotFound
from agents.models import Agent, Role, SecurityEvent, User
from channels_app import devices, keeping, notices, tasks
from channels_app.models import Notices, PushDevice
from runs import approvals
from tests import shell
from tests.api_client import Program
from tests.channels_app.push_service import BrowserKeys, PushService, push_service, told
from tests.conftest import person
from tests.runs.waiting import waiting

pytestmark = pytest.mark.django_db

COMMAND = "rm -rf the-secret-place"


@pytest.fixture
def service(settings: Settings) -> Iterator[PushService]:
    with push_service() as running:
        settings.LOGOS_PUSH_SERVICES = [running.origin]
        yield running


@pytest.fixture
def mails(settings: Settings) -> list[mail.EmailMessage]:
    settings.LOGOS_MAIL_URL = "smtp://mail.example.org"
    settings.LOGOS_URL = "https://logos.example.org"
    return mail.outbox


def switch_on(who: User, service: PushService, name: str = "one") -> BrowserKeys:
    keys = BrowserKeys()
    devices.add(who, service.endpoint(name), keys.p256dh, keys.auth, "Firefox on Linux")
    return keys


def later(minutes: float) -> None:
    """Time passes since everybody was last told."""
    for row in Notices.objects.all():
        for column in ("pushed_at", "mailed_at"):
            if (at := getattr(row, column)) is not None:
                setattr(row, column, at - timedelta(minutes=minutes))
        row.save()


def test_who_decides_is_pushed_to_and_reads_nothing_of_it(alice: User, atlas: Agent, service: PushService) -> None:
    keys = switch_on(alice, service)
    asked = waiting(alice, atlas, COMMAND, lifetime_s=300)

    assert notices.asked(asked.pk) == 1

    (sent,) = service.sent
    said = told(keys, sent)
    assert said["title"] == "An agent waits for you"
    assert said["url"] == f"/approvals/{asked.pk}/"
    words = json.dumps(said).replace(asked.pk, "")  # an identifier may hold any letters
    assert not any(word in words for word in ("rm", "secret", "atlas"))
    assert b"secret-place" not in sent.body
    # What cannot be decided any more need not be told.
    assert 0 < int(sent.headers["ttl"]) <= 300


def test_asking_tells_by_itself_once_it_is_committed(
    alice: User, atlas: Agent, service: PushService, django_capture_on_commit_callbacks: object
) -> None:
    switch_on(alice, service)

    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        waiting(alice, atlas)

    assert len(service.sent) == 1


def test_others_are_told_nothing(
    alice: User, bob: User, mallory: User, ada: User, atlas: Agent, service: PushService
) -> None:
    for number, who in enumerate((bob, mallory, person("viola", Role.VIEWER))):
        switch_on(who, service, f"b{number}")

    assert notices.asked(waiting(alice, atlas).pk) == 0
    assert service.sent == []


def test_what_needs_an_operator_goes_to_operators_of_the_agent(alice: User, atlas: Agent, service: PushService) -> None:
    olga, otto = person("olga", Role.OPERATOR), person("otto", Role.OPERATOR)
    permissions.grant(olga, "manage", atlas)
    for who in (alice, olga, otto):
        switch_on(who, service, who.username)

    notices.asked(waiting(alice, atlas, tier="admin").pk)

    assert [sent.path for sent in service.sent] == ["/push/olga"]


def test_the_suspended_are_told_nothing(alice: User, atlas: Agent, service: PushService) -> None:
    switch_on(alice, service)
    asked = waiting(alice, atlas)
    User.objects.filter(pk=alice.pk).update(is_active=False)

    assert notices.asked(asked.pk) == 0


def test_what_is_decided_already_is_not_told(alice: User, atlas: Agent, service: PushService) -> None:
    switch_on(alice, service)
    asked = waiting(alice, atlas)
    approvals.decide(alice, asked, "once")

    assert notices.asked(asked.pk) == 0
    assert notices.asked("appr_unknown") == 0


def test_many_in_a_row_are_one_push_and_the_next_tells_how_many(
    alice: User, atlas: Agent, service: PushService
) -> None:
    keys = switch_on(alice, service)
    for _ in range(5):
        notices.asked(waiting(alice, atlas).pk)
    assert len(service.sent) == 1

    later(1)
    notices.asked(waiting(alice, atlas).pk)

    said = told(keys, service.sent[-1])
    assert said["title"] == "6 requests wait for you"
    assert said["url"] == "/approvals/"


def test_a_browser_that_is_gone_is_forgotten(alice: User, atlas: Agent, service: PushService) -> None:
    switch_on(alice, service)
    service.status = 410

    notices.asked(waiting(alice, atlas).pk)

    assert not PushDevice.objects.exists()


def test_a_busy_service_keeps_the_browser_until_it_fails_too_often(
    alice: User, atlas: Agent, service: PushService
) -> None:
    switch_on(alice, service)
    service.status = 503
    for _ in range(19):
        later(1)
        notices.asked(waiting(alice, atlas).pk)
    assert PushDevice.objects.get().failures == 19

    later(1)
    notices.asked(waiting(alice, atlas).pk)

    assert not PushDevice.objects.exists()


def test_a_success_forgives_earlier_failures(alice: User, atlas: Agent, service: PushService) -> None:
    switch_on(alice, service)
    PushDevice.objects.update(failures=7)

    notices.asked(waiting(alice, atlas).pk)

    device = PushDevice.objects.get()
    assert device.failures == 0
    assert device.reached_at is not None


def test_who_wants_no_push_gets_none(alice: User, atlas: Agent, service: PushService) -> None:
    switch_on(alice, service)
    notices.choose(alice, by_push=False, by_mail=False)

    assert notices.asked(waiting(alice, atlas).pk) == 0
    assert service.sent == []


def test_a_browser_belongs_to_who_switched_it_on_last(alice: User, bob: User, service: PushService) -> None:
    keys = switch_on(alice, service)
    devices.add(bob, service.endpoint(), keys.p256dh, keys.auth, "Firefox on Linux")

    assert PushDevice.objects.get().user == bob
    with pytest.raises(NotFound):
        devices.remove(alice, PushDevice.objects.get().pk)


def test_addresses_and_keys_that_are_none_are_refused(alice: User, service: PushService) -> None:
    keys = BrowserKeys()
    for endpoint in ("http://169.254.169.254/latest", "https://evil.example/push", "", "file:///etc/passwd"):
        with pytest.raises(Invalid):
            devices.add(alice, endpoint, keys.p256dh, keys.auth, "x")
    with pytest.raises(Invalid):
        devices.add(alice, service.endpoint(), "AAAA", keys.auth, "x")
    assert not PushDevice.objects.exists()


def test_nobody_switches_on_browsers_without_end(alice: User, service: PushService) -> None:
    for number in range(devices.MOST):
        switch_on(alice, service, str(number))

    with pytest.raises(Conflict):
        switch_on(alice, service, "one-more")
    switch_on(alice, service, "0")  # the same one again is no new one


def test_switching_on_and_off_is_in_the_audit_without_the_address(alice: User, service: PushService) -> None:
    switch_on(alice, service)
    devices.remove(alice, PushDevice.objects.get().pk)

    found = list(SecurityEvent.objects.filter(person=alice, kind__startswith="push_").order_by("pk"))
    assert [event.kind for event in found] == ["push_on", "push_off"]
    assert service.origin not in str([event.detail for event in found])


def test_a_mail_says_that_something_waits_and_not_what(
    alice: User, atlas: Agent, mails: list[mail.EmailMessage]
) -> None:
    notices.choose(alice, by_push=True, by_mail=True)

    notices.asked(waiting(alice, atlas, COMMAND).pk)

    (sent,) = mails
    assert sent.to == ["alice@example.org"]
    assert sent.subject == "An agent waits for you"
    assert "https://logos.example.org/approvals/" in sent.body
    assert not any(word in sent.subject + sent.body for word in ("rm -rf", "secret", "atlas"))


def test_a_flood_is_one_mail_now_and_one_when_its_time_has_come(
    alice: User, atlas: Agent, mails: list[mail.EmailMessage]
) -> None:
    notices.choose(alice, by_push=True, by_mail=True)
    for _ in range(40):
        notices.asked(waiting(alice, atlas).pk)
    assert tasks.settle_mails() == "sent 0"
    assert len(mails) == 1

    later(15)
    assert tasks.settle_mails() == "sent 1"
    assert tasks.settle_mails() == "sent 0"

    assert [sent.subject for sent in mails] == ["An agent waits for you", "40 requests wait for you"]


def test_a_mail_that_waited_is_not_sent_once_nothing_waits(
    alice: User, atlas: Agent, mails: list[mail.EmailMessage]
) -> None:
    notices.choose(alice, by_push=True, by_mail=True)
    asked = [waiting(alice, atlas) for _ in range(2)]
    for each in asked:
        notices.asked(each.pk)
    for each in asked:
        approvals.decide(alice, each, "deny")

    later(15)
    assert tasks.settle_mails() == "sent 0"
    assert len(mails) == 1


@pytest.mark.parametrize("lacks", ["server", "address", "wish"])
def test_without_server_address_or_wish_no_mail_is_sent(
    alice: User, atlas: Agent, mails: list[mail.EmailMessage], settings: Settings, lacks: str
) -> None:
    notices.choose(alice, by_push=True, by_mail=lacks != "wish")
    if lacks == "server":
        settings.LOGOS_MAIL_URL = ""
    if lacks == "address":
        User.objects.filter(pk=alice.pk).update(email="")

    assert notices.asked(waiting(alice, atlas).pk) == 0
    assert mails == []


def test_a_mail_server_that_is_not_there_loses_the_notice_and_nothing_else(
    alice: User, atlas: Agent, mails: list[mail.EmailMessage], settings: Settings
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", 9, 5
    notices.choose(alice, by_push=True, by_mail=True)
    asked = waiting(alice, atlas)

    assert notices.asked(asked.pk) == 0
    assert approvals.decide(alice, asked, "once").state == "allowed"


def test_browsers_and_wishes_are_in_ones_archive_and_erased_with_one(
    alice: User, bob: User, service: PushService
) -> None:
    switch_on(alice, service)
    switch_on(bob, service, "bobs")
    notices.choose(alice, by_push=False, by_mail=True)
    files = {name: list(rows(alice)) for name, _, _, rows in exporting.PARTS}

    assert [row["endpoint"] for row in files["push_devices.json"]] == [service.endpoint()]
    assert files["notices.json"][0]["by_mail"] is True
    assert keeping.erase in erasing.PARTS
    keeping.erase(alice)
    assert PushDevice.objects.get().user == bob
    assert not Notices.objects.filter(user=alice).exists()


def test_a_program_sees_and_changes_how_one_is_told(
    alice: User, mallory: User, service: PushService, settings: Settings
) -> None:
    keys = switch_on(alice, service)
    device, program = PushDevice.objects.get(), Program(alice)

    seen = program.get("me/notifications")
    refused = program("PATCH", "me/notifications", {"by_mail": True})
    settings.LOGOS_MAIL_URL = "smtp://mail.example.org"
    changed = program("PATCH", "me/notifications", {"by_mail": True}).json()

    assert [each["name"] for each in seen["devices"]] == ["Firefox on Linux"]
    assert (seen["by_push"], seen["by_mail"], seen["sends_mail"]) == (True, False, False)
    assert not any(secret in json.dumps(seen) for secret in (keys.p256dh, keys.auth, service.origin))
    assert refused.status_code == 400
    assert (changed["by_push"], changed["by_mail"], changed["sends_mail"]) == (True, True, True)
    assert Program(mallory)("DELETE", f"me/notifications/devices/{device.pk}").status_code == 404
    assert program("DELETE", f"me/notifications/devices/{device.pk}").status_code == 204
    assert program("DELETE", f"me/notifications/devices/{2**70}").status_code == 404
    assert not PushDevice.objects.exists()


def test_an_operator_tries_it_from_a_shell(alice: User, service: PushService, mails: list[mail.EmailMessage]) -> None:
    keys = switch_on(alice, service)

    tried, again = shell.run("notices", "try", "--user", "alice"), shell.run("notices", "try", "--user", "alice")
    listed = shell.run("notices", "show", "--user", "alice")
    changed = shell.run("notices", "set", "--push", "off", "--mail", "on", "--user", "alice")

    assert "Push services that took it: 1. A mail was sent." in tried.said
    assert (tried.code, again.code) == (0, 1)
    assert told(keys, service.sent[0])["title"] == "Logos can reach you here"
    assert mails[0].subject == "Nothing waits for you: this is a try"
    assert "Firefox on Linux" in listed.out
    assert "Push: off. E-mail: on." in changed.said
