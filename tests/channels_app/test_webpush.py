"""Web push by its standards: the example of RFC 8291, keys that are none, services nobody knows."""

from __future__ import annotations

import pytest

from channels_app.webpush import endpoints, sealing
from channels_app.webpush.encoding import decoded, encoded, new_private_key, private_key, public_point
from channels_app.webpush.sending import Answer, Sender, Target, meaning, send
from tests.channels_app.push_service import BrowserKeys, push_service, told

KNOWN = ["fcm.googleapis.com", "*.push.apple.com", "http://127.0.0.1:9000"]


def test_the_example_of_the_standard_is_sealed_to_the_letter() -> None:
    sealed = sealing.seal(
        b"When I grow up, I want to be a watermelon",
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "BTBZMqHH6r4Tts7J_aSIgg",
        salt=decoded("DGv6ra1nlYgDCS1FRnbzlw"),
        sender=private_key("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"),
    )

    assert encoded(sealed) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_"
        "yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


@pytest.mark.parametrize("text", ["", "x", "Überraschung", "a" * (sealing.MAX_PLAIN - 2)])
def test_a_browser_opens_what_was_sealed_for_it_and_no_other_does(text: str) -> None:
    browser, other = BrowserKeys(), BrowserKeys()
    sealed = sealing.seal(text.encode(), browser.p256dh, browser.auth)

    assert browser.open(sealed).decode() == text
    assert len(sealed) <= sealing.RECORD
    with pytest.raises(Exception):  # noqa: B017 (whatever a cipher raises)
        other.open(sealed)


def test_what_is_too_long_is_not_sent_at_all() -> None:
    browser = BrowserKeys()

    with pytest.raises(ValueError):
        sealing.seal(b"x" * (sealing.MAX_PLAIN + 1), browser.p256dh, browser.auth)


@pytest.mark.parametrize(
    ("p256dh", "auth"),
    [("", ""), ("AAAA", "AAAA"), ("!" * 87, "BTBZMqHH6r4Tts7J_aSIgg"), (encoded(b"\x04" + b"\x01" * 64), encoded(b"0" * 16)), ("ü", "ü")],
)  # fmt: skip
def test_keys_that_are_none_are_refused(p256dh: str, auth: str) -> None:
    with pytest.raises(ValueError):
        sealing.check_keys(p256dh, auth)


def test_two_keys_are_never_the_same_and_each_can_be_read_again() -> None:
    first, second = new_private_key(), new_private_key()

    assert first != second
    assert len(public_point(private_key(first).public_key())) == 65


@pytest.mark.parametrize(
    "endpoint",
    ["https://fcm.googleapis.com/fcm/send/x", "https://web.push.apple.com:443/x", "http://127.0.0.1:9000/push/x"],
)
def test_known_services_are_known(endpoint: str) -> None:
    assert endpoints.is_known(endpoint, KNOWN)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://fcm.googleapis.com/x",
        "https://fcm.googleapis.com:8443/x",
        "https://fcm.googleapis.com.evil.example/x",
        "https://evil.example/?fcm.googleapis.com",
        "https://push.apple.com/x",
        "https://evilpush.apple.com/x",
        "https://fcm.googleapis.com@evil.example/x",
        "https://user:pw@fcm.googleapis.com/x",
        "https://evil.example\\@fcm.googleapis.com/x",
        "http://127.0.0.1:9001/push/x",
        "http://127.0.0.1:9000@evil.example/",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "https://fcm.googleapis.com:99999/x",
        "https://[::1/x",
        "https://fcm.googleapis.com/\nx",
        "https://fcm.googleapis.com/" + "x" * 2000,
        "",
    ],
)
def test_nothing_else_is_asked_in_a_browsers_name(endpoint: str) -> None:
    assert not endpoints.is_known(endpoint, KNOWN)


@pytest.mark.parametrize(
    ("status", "answer"),
    [(201, Answer.TAKEN), (404, Answer.GONE), (410, Answer.GONE), (429, Answer.LATER), (503, Answer.LATER),
     (400, Answer.REFUSED), (403, Answer.REFUSED), (413, Answer.REFUSED), (302, Answer.REFUSED)],
)  # fmt: skip
def test_each_answer_of_a_service_means_something(status: int, answer: Answer) -> None:
    assert meaning(status) == answer


def test_a_service_takes_a_message_and_its_browser_reads_it() -> None:
    browser, us = BrowserKeys(), Sender(private_key(new_private_key()), "https://logos.example.org")

    with push_service() as service:
        answer = send(
            us, Target(service.endpoint(), browser.p256dh, browser.auth), {"title": "Hello"}, ttl_s=60, topic="t"
        )

    (sent,) = service.sent
    assert answer == Answer.TAKEN
    assert told(browser, sent) == {"title": "Hello"}
    assert (sent.headers["ttl"], sent.headers["topic"], sent.headers["urgency"]) == ("60", "t", "high")


def test_a_redirect_is_not_followed() -> None:
    browser, us = BrowserKeys(), Sender(private_key(new_private_key()), "mailto:a@example.org")

    with push_service() as service:
        service.status = 307
        answer = send(us, Target(service.endpoint(), browser.p256dh, browser.auth), {}, ttl_s=60)

    assert answer == Answer.REFUSED
    assert [sent.path for sent in service.sent] == ["/push/one"]


def test_a_service_that_is_not_there_is_asked_again_later() -> None:
    browser, us = BrowserKeys(), Sender(private_key(new_private_key()), "mailto:a@example.org")
    with push_service() as service:
        gone = service.endpoint()

    assert send(us, Target(gone, browser.p256dh, browser.auth), {}, ttl_s=60) == Answer.LATER
