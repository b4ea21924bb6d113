"""Nobody is called so that they pass for somebody else: names of one alphabet, nothing in them that cannot be seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from agents import invitations, service_accounts
from agents.errors import Invalid
from agents.lookalikes import mixes_alphabets
from agents.models import User
from logos_site.oidc import people as oidc_people
from tests.conftest import PASSWORD
from tests.console import Console, complaints

CYRILLIC_A = "\N{CYRILLIC SMALL LETTER A}"


@pytest.mark.parametrize(
    "name", [f"{CYRILLIC_A}da", "al\N{GREEK SMALL LETTER IOTA}ce", "bob\N{FULLWIDTH LATIN SMALL LETTER B}"]
)
def test_letters_of_two_alphabets_that_are_drawn_alike_are_found(name: str) -> None:
    assert mixes_alphabets(name)


@pytest.mark.parametrize("name", ["ada", "zoë.müller-2", "иван", "Ελένη", "李明", "yuki雪", "1234"])
def test_names_of_one_alphabet_are_fine(name: str) -> None:
    assert not mixes_alphabets(name)


def test_nobody_takes_a_user_name_that_passes_for_anothers(ada: User) -> None:
    fake = f"{CYRILLIC_A}da"

    with pytest.raises(Invalid, match="one alphabet"):
        invitations.new_person(username=fake, password=PASSWORD, role="user")
    with pytest.raises(Invalid, match="one alphabet"):
        service_accounts.make(ada, fake, "user")
    page = Console(ada).save(User, username=fake, password1=PASSWORD, password2=PASSWORD, role="user")
    assert "one alphabet" in complaints(page)
    assert not User.objects.filter(username=fake).exists()


@pytest.mark.parametrize("hidden", ["\N{RIGHT-TO-LEFT OVERRIDE}", "\N{ZERO WIDTH SPACE}"])
def test_nobody_is_shown_under_a_name_with_what_cannot_be_seen(
    ada: User, alice: User, browser: Callable[..., Client], hidden: str
) -> None:
    name = f"A{hidden}da"

    with pytest.raises(Invalid, match="invisible"):
        invitations.new_person(username="bot", password=PASSWORD, role="user", name=name)
    answer = browser(alice).post("/account/", {"first_name": name, "last_name": "", "email": alice.email})
    assert "invisible" in answer.content.decode()
    assert "invisible" in complaints(Console(ada).save(alice, first_name=name))
    alice.refresh_from_db()
    assert hidden not in alice.first_name


def test_what_a_provider_says_of_a_name_loses_what_cannot_be_seen() -> None:
    claims: dict[str, Any] = {"name": "A\N{RIGHT-TO-LEFT OVERRIDE}da \N{ZERO WIDTH SPACE}L"}

    assert oidc_people._shown(claims["name"]) == "Ada L"
