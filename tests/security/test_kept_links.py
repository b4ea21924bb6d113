"""A one-time link is worth no more than whoever made it: an admin cannot keep one for after their demotion."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from agents import invitations, people, service_accounts
from agents.models import Role, User
from tests.conftest import PASSWORD, person

NEW = "another long enough password"


def _demoted(ada: User, eve: User) -> None:
    people.change_role(ada, eve, Role.OPERATOR)


def _suspended(ada: User, eve: User) -> None:
    people.suspend(ada, eve)


def _deleted(ada: User, eve: User) -> None:
    eve.delete()


@pytest.mark.parametrize("fate", [_demoted, _suspended, _deleted])
def test_links_end_with_the_rights_of_whoever_made_them(
    ada: User, browser: Callable[..., Client], fate: Callable[[User, User], None]
) -> None:
    eve = person("eve", Role.ADMIN)
    _, invitation = invitations.invite(eve, Role.ADMIN)
    _, password = invitations.password_link(eve, ada)
    addresses = (f"/invited/{invitation}/", f"/set-password/{password}/")
    assert [browser().get(address).status_code for address in addresses] == [200, 200]

    fate(ada, eve)

    typed = {"username": "eve-2", "password": NEW, "password2": NEW}
    for address in addresses:
        assert browser().get(address).status_code == 404
        assert browser().post(address, typed).status_code == 404
    ada.refresh_from_db()
    assert ada.check_password(PASSWORD)
    assert not User.objects.filter(username="eve-2").exists()


def test_links_of_a_program_end_with_its_keepers_account(ada: User, browser: Callable[..., Client]) -> None:
    eve = person("eve", Role.ADMIN)
    bot = service_accounts.make(eve, "bot", Role.ADMIN)
    _, invitation = invitations.invite(bot, Role.ADMIN)

    people.suspend(ada, eve)

    assert browser().get(f"/invited/{invitation}/").status_code == 404


def test_links_of_others_go_on(ada: User, browser: Callable[..., Client]) -> None:
    eve = person("eve", Role.ADMIN)
    _, invitation = invitations.invite(ada, Role.USER)

    people.suspend(ada, eve)

    assert browser().get(f"/invited/{invitation}/").status_code == 200
