"""Which provider addresses are taken, and what is said of the others."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from agents.addresses import AddressField, web_address


@pytest.mark.parametrize(
    "address",
    [
        "http://ollama:11434",
        "http://localhost:1234/v1",
        "http://192.168.1.20:8080/v1",
        "http://[::1]:11434/v1",
        "https://api.example.org/v1",
        "http://my_box.lan/v1",
    ],
)
def test_addresses_of_homes_and_of_the_world_are_taken(address: str) -> None:
    web_address(address)

    assert AddressField().clean(address) == address


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("ftp://host/", "An address begins with http:// or https://."),
        ("javascript:alert(1)", "An address begins with http:// or https://."),
        ("http://", "This is not a web address."),
        ("http://host:99999/", "This is not a web address."),
        ("http://ho st/", "This is not a web address."),
        ("http://host\\@evil.example/", "This is not a web address."),
        ("http://[::1", "This is not a web address."),
        ("http://me:secret@host/", "Put the key in its own field, not into the address."),
    ],
)
def test_what_is_no_address_is_refused_with_a_sentence(address: str, sentence: str) -> None:
    with pytest.raises(ValidationError) as refused:
        web_address(address)

    assert refused.value.messages == [sentence]


def test_an_address_without_a_scheme_is_taken_to_be_https() -> None:
    assert AddressField().clean("api.example.org/v1") == "https://api.example.org/v1"
