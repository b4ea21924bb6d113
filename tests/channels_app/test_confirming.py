"""Mail goes to no address that somebody only typed: its owner shows first that they read it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from agents.errors import Conflict, Invalid
from agents.models import Agent, SecurityEvent, User
from channels_app import confirming, notices
from tests.api_client import Program
from tests.runs.waiting import waiting
from tests.shell import run as shell

pytestmark = pytest.mark.django_db

PATH = "/account/notifications/"


@pytest.fixture
def typed(alice: User, settings: Settings) -> User:
    """Alice, who has entered an address of her own."""
    settings.LOGOS_MAIL_URL = "smtp://mail.example.org"
    EmailAddress.objects.create(user=alice, email=alice.email, verified=False, primary=True)
    return alice


def code_of(sent: mail.EmailMessage) -> str:
    found = re.search(r"The code is ([A-Z2-7]{8})\n", sent.body)
    assert found is not None
    return found[1]


def test_nothing_is_sent_to_an_address_until_its_code_was_entered(typed: User, atlas: Agent) -> None:
    notices.choose(typed, by_push=False, by_mail=True)
    assert notices.asked(waiting(typed, atlas).pk) == 0
    assert mail.outbox == []

    confirming.send_code(typed)
    (sent,) = mail.outbox
    confirming.confirm(typed, f" {code_of(sent).lower()[:4]} {code_of(sent)[4:]}")

    assert sent.to == [typed.email]
    assert notices.asked(waiting(typed, atlas).pk) == 1
    assert len(mail.outbox) == 2
    assert SecurityEvent.objects.filter(kind="address_confirmed", person=typed).count() == 1


def test_an_address_an_admin_gave_needs_no_code(alice: User, settings: Settings) -> None:
    settings.LOGOS_MAIL_URL = "smtp://mail.example.org"
    assert confirming.is_confirmed(alice)
    with pytest.raises(Conflict, match="confirmed already"):
        confirming.send_code(alice)


def test_a_code_is_of_one_person_one_address_and_one_time(
    typed: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirming.send_code(typed)
    code, window = code_of(mail.outbox[0]), confirming._window()
    EmailAddress.objects.create(user=bob, email=bob.email, verified=False, primary=True)
    for wrong in ("", "AAAAAAAA", code[:7], code + "A", "ÄÖ\ud800"):
        with pytest.raises(Invalid):
            confirming.confirm(typed, wrong)
    with pytest.raises(Invalid):
        confirming.confirm(bob, code)

    monkeypatch.setattr(confirming, "_window", lambda: window + 2)
    with pytest.raises(Invalid):
        confirming.confirm(typed, code)
    monkeypatch.setattr(confirming, "_window", lambda: window + 1)
    typed.email = "other@example.org"
    EmailAddress.objects.filter(user=typed).update(email=typed.email)
    with pytest.raises(Invalid):
        confirming.confirm(typed, code)
    typed.email = "alice@example.org"
    EmailAddress.objects.filter(user=typed).update(email=typed.email)
    confirming.confirm(typed, code)
    assert confirming.is_confirmed(typed)


def test_codes_are_not_guessed_and_nobody_is_flooded_with_them(typed: User) -> None:
    confirming.send_code(typed)
    with pytest.raises(Conflict, match="a moment ago"):
        confirming.send_code(typed)
    for _ in range(confirming.MOST_TRIES):
        with pytest.raises(Invalid):
            confirming.confirm(typed, "AAAAAAAA")
    with pytest.raises(Conflict, match="Too many"):
        confirming.confirm(typed, code_of(mail.outbox[0]))


def test_the_page_asks_for_the_code_and_takes_it(typed: User, browser: Callable[..., Client]) -> None:
    client = browser(typed)
    shown = client.get(PATH).content.decode()
    assert "Is alice@example.org yours?" in shown
    assert re.search(r'id="id_by_mail" disabled', shown)
    client.post(PATH, {"by_mail": "on"})
    assert notices.wants(typed).by_mail is False

    assert "is on its way" in client.post(f"{PATH}address/", follow=True).content.decode()
    assert "not the code" in client.post(f"{PATH}address/", {"code": "no"}, follow=True).content.decode()
    done = client.post(f"{PATH}address/", {"code": code_of(mail.outbox[0])}, follow=True).content.decode()

    assert "alice@example.org is confirmed" in done
    assert "yours?" not in done
    client.post(PATH, {"by_mail": "on"})
    assert notices.wants(typed).by_mail is True


def test_a_program_and_a_shell_do_the_same(typed: User, bob: User, settings: Settings) -> None:
    program = Program(typed)
    assert program.get("me/notifications")["is_confirmed"] is False
    assert program("PATCH", "me/notifications", {"by_mail": True}).status_code == 400
    program.post("me/notifications/address", {})
    program.post("me/notifications/address", {"code": "wrong"}, 400)
    assert program.post("me/notifications/address", {"code": code_of(mail.outbox[0])})["is_confirmed"] is True
    assert program("PATCH", "me/notifications", {"by_mail": True}).json()["by_mail"] is True

    EmailAddress.objects.create(user=bob, email=bob.email, verified=False, primary=True)
    assert shell("notices", "confirm", "--user", "bob").code == 0
    assert shell("notices", "confirm", "WRONG", "--user", "bob").code != 0
    assert shell("notices", "confirm", code_of(mail.outbox[1]), "--user", "bob").code == 0
    assert confirming.is_confirmed(bob)
    settings.LOGOS_MAIL_URL = ""
    cache.clear()
    with pytest.raises(Conflict):
        confirming.send_code(bob)
