"""Host names: one spelling each, no address in any disguise, nothing of this machine, no wildcard over strangers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import hosts
from agents.errors import Invalid


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Example.ORG", "example.org"),
        ("example.org.", "example.org"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("a-b.c1.example", "a-b.c1.example"),
    ],
)
def test_a_name_has_one_spelling(written: str, name: str) -> None:
    assert hosts.canonical(written) == name


@pytest.mark.parametrize(
    "disguise",
    [
        *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "1.2.3.4.", "example.1"),
        *("[::1]", "::1", "[::ffff:127.0.0.1]", "fe80::1%eth0", "%31%32%37.0.0.1", "１２７.0.0.1", "①.example"),
        *("", ".", "..", "a..b", ".example.org", "-a.example", "a-.example", "a_b.example", "exa mple.org"),
        *("user@example.org", "example.org:443", "example.org/", "example.org\\evil", "example.org\x00.evil", "a\r\nb"),
        *("bücher.example", "example。org", "a" * 64 + ".org", "a." * 127 + "org"),
    ],
)
def test_what_is_no_plain_name_is_refused(disguise: str) -> None:
    with pytest.raises(Invalid, match="is not a host name"):
        hosts.canonical(disguise)


@given(st.text(max_size=40))
def test_a_name_that_passes_holds_only_letters_digits_dots_and_hyphens(text: str) -> None:
    try:
        name = hosts.canonical(text)
    except Invalid:
        return

    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
    assert hosts.canonical(name) == name


def test_a_policy_may_be_written_as_people_write() -> None:
    assert hosts.pattern(" Bücher.Example ") == "xn--bcher-kva.example"
    assert hosts.pattern("*.Example.org") == "*.example.org"


@pytest.mark.parametrize(
    "name",
    [
        "localhost",
        "a.localhost",
        "localhost.localdomain",
        "metadata.tencentyun.com",
        "printer.local",
        "metadata.google.internal",
        "nas.lan",
        "*.internal",
        "x.home.arpa",
    ],
)
def test_names_of_this_machine_or_network_are_refused(name: str) -> None:
    with pytest.raises(Invalid, match="which agents never reach"):
        hosts.pattern(name)


@pytest.mark.parametrize("name", ["*.com", "*.co.uk", "*.github.io", "*.s3.amazonaws.com", "*.org"])
def test_a_wildcard_over_a_public_suffix_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match="Anybody may own a name below"):
        hosts.pattern(name)


@pytest.mark.parametrize("name", ["*", "*.*.example.org", "a.*.example.org", "exa*mple.org", "**.example.org"])
def test_a_star_stands_at_the_front_only(name: str) -> None:
    with pytest.raises(Invalid):
        hosts.pattern(name)


def test_a_name_needs_a_dot() -> None:
    with pytest.raises(Invalid, match="has no dot"):
        hosts.pattern("nas")


@pytest.mark.parametrize(
    ("wanted", "name", "does"),
    [
        ("example.org", "example.org", True),
        ("example.org", "www.example.org", False),
        ("*.example.org", "www.example.org", True),
        ("*.example.org", "a.b.example.org", True),
        ("*.example.org", "example.org", False),
        ("*.example.org", "evilexample.org", False),
    ],
)
def test_a_pattern_covers_whole_labels(wanted: str, name: str, does: bool) -> None:
    assert hosts.covers(wanted, name) is does
