"""The page of notifications: what one chooses, browsers switched on and off, nothing of anybody else's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from django.test import Client
from pytest_django import Settings

from agents.models import User
from channels_app import devices, notices
from channels_app.models import PushDevice
from logos_site.env import ConfigurationError
from logos_site.mail import settings_for
from tests.channels_app.push_service import BrowserKeys, PushService, push_service, told

Browser = Callable[..., Client]
PATH = "/account/notifications/"


@pytest.fixture
def service(settings: Settings) -> Iterator[PushService]:
    with push_service() as running:
        settings.LOGOS_PUSH_SERVICES = [running.origin]
        yield running


def switch_on(client: Client, service: PushService, name: str = "one") -> BrowserKeys:
    keys = BrowserKeys()
    given = {"endpoint": service.endpoint(name), "p256dh": keys.p256dh, "auth": keys.auth}
    assert client.post(f"{PATH}devices/", given).status_code == 204
    return keys


def test_push_is_wanted_and_mail_is_not_until_one_says_so(browser: Browser, alice: User) -> None:
    page = browser(alice).get(PATH).content.decode()

    assert re.search(r'<input type="checkbox" name="by_push"[^>]* checked', page)
    assert "This Logos sends no mail" in page
    assert notices.wants(alice).by_mail is False


def test_what_one_chooses_is_kept(browser: Browser, alice: User, settings: Settings) -> None:
    settings.LOGOS_MAIL_URL = "smtp://mail.example.org"
    client = browser(alice)

    client.post(PATH, {"by_mail": "on"})

    assert (notices.wants(alice).by_push, notices.wants(alice).by_mail) == (False, True)
    assert 'id="id_by_mail" checked' in client.get(PATH).content.decode()


def test_mail_cannot_be_chosen_where_none_is_sent(browser: Browser, alice: User) -> None:
    browser(alice).post(PATH, {"by_push": "on", "by_mail": "on"})

    assert notices.wants(alice).by_mail is False


def test_a_browser_is_switched_on_tried_and_switched_off(browser: Browser, alice: User, service: PushService) -> None:
    client = browser(alice)
    keys = switch_on(client, service)
    assert "Switch off" in client.get(PATH).content.decode()

    client.post(f"{PATH}try/")
    client.post(f"{PATH}try/")  # at once again: not sent twice
    client.post(f"{PATH}devices/{PushDevice.objects.get().pk}/remove/")

    assert [told(keys, sent)["title"] for sent in service.sent] == ["Logos can reach you here"]
    assert not PushDevice.objects.exists()


def test_keys_and_addresses_of_a_browser_are_on_no_page(browser: Browser, alice: User, service: PushService) -> None:
    client = browser(alice)
    keys = switch_on(client, service)

    page = client.get(PATH).content.decode()

    assert not any(secret in page for secret in (keys.p256dh, keys.auth, service.endpoint()))


def test_a_service_nobody_knows_is_refused_with_a_sentence(browser: Browser, alice: User) -> None:
    keys = BrowserKeys()
    given = {"endpoint": "https://evil.example/x", "p256dh": keys.p256dh, "auth": keys.auth}

    answer = browser(alice).post(f"{PATH}devices/", given, headers={"HX-Request": "true"})

    assert answer.status_code == 400
    assert "LOGOS_PUSH_SERVICES" in answer.content.decode()


def test_others_browsers_are_not_there(browser: Browser, alice: User, mallory: User, service: PushService) -> None:
    switch_on(browser(alice), service)
    device, client = PushDevice.objects.get(), browser(mallory)

    assert client.post(f"{PATH}devices/{device.pk}/remove/").status_code == 404
    assert device.name not in client.get(PATH).content.decode()
    assert devices.of(alice).count() == 1


def test_the_worker_lies_at_the_top_and_is_asked_for_anew(browser: Browser) -> None:
    answer = browser().get("/push-worker.js")

    assert answer["Content-Type"] == "text/javascript"
    assert answer["Cache-Control"] == "no-cache"
    assert b"showNotification" in answer.content


def test_the_address_of_a_mail_server_is_read(settings: Settings) -> None:
    found = settings_for("smtps://na%40me:p%3Aw@mail.example.org")

    assert (found["EMAIL_HOST"], found["EMAIL_PORT"], found["EMAIL_USE_SSL"]) == ("mail.example.org", 465, True)
    assert (found["EMAIL_HOST_USER"], found["EMAIL_HOST_PASSWORD"]) == ("na@me", "p:w")
    assert settings_for("")["EMAIL_BACKEND"].endswith("dummy.EmailBackend")


@pytest.mark.parametrize("url", ["mail.example.org", "http://mail.example.org", "smtp://host:port", "smtp://h:99999"])
def test_one_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        settings_for(url)

    assert url not in str(refused.value)
