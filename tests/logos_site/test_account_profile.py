"""One's own name and e-mail: changed by oneself, the e-mail with the password, nothing else along with them."""

from __future__ import annotations

import pytest
from allauth.account.models import EmailAddress
from django.test import Client

from agents.models import Role, User
from tests.conftest import PASSWORD
from tests.logos_site.test_account_sessions import signed_in

PAGE = "/account/"


def profile(**changed: str) -> dict[str, str]:
    return {"first_name": "", "last_name": "", "email": "alice@example.org", **changed}


def test_the_name_is_changed_and_shown(alice: User) -> None:
    client = signed_in(alice)

    assert client.post(PAGE, profile(first_name="Alice", last_name="Liddell"))["Location"] == PAGE

    assert "Alice Liddell" in client.get(PAGE).content.decode()


def test_another_address_needs_the_password_and_the_old_one_then_opens_nothing(alice: User) -> None:
    client = signed_in(alice)
    EmailAddress.objects.create(user=alice, email="alice@example.org", primary=True, verified=True)

    asked = client.post(PAGE, profile(email="new@example.org"))["Location"]
    alice.refresh_from_db()
    assert asked.startswith("/accounts/reauthenticate/")
    assert alice.email == "alice@example.org"
    client.post(asked, {"password": PASSWORD})

    for login, status in (("new@example.org", 302), ("alice@example.org", 200)):
        answer = Client().post("/accounts/login/", {"login": login, "password": PASSWORD})
        assert answer.status_code == status, login


@pytest.mark.parametrize("taken", ["bob@example.org", "BOB@example.org"])
def test_the_address_of_somebody_else_is_refused_and_what_was_typed_kept(alice: User, bob: User, taken: str) -> None:
    answer = signed_in(alice).post(PAGE, profile(email=taken))

    assert answer.status_code == 400
    assert f'value="{taken}"' in answer.content.decode()


def test_nobody_makes_themselves_an_admin_here(alice: User) -> None:
    signed_in(alice).post(PAGE, profile(role="admin", is_superuser="1", is_staff="on", username="root"))

    alice.refresh_from_db()
    assert (alice.role, alice.is_staff, alice.is_superuser, alice.username) == (Role.USER, False, False, "alice")


def test_addresses_are_not_kept_anywhere_else(alice: User) -> None:
    assert signed_in(alice).get("/accounts/email/")["Location"] == PAGE


def test_the_way_there_is_in_the_rail_of_every_page(alice: User) -> None:
    assert f'href="{PAGE}"' in signed_in(alice).get("/runs/").content.decode()
