"""`manage.py account`: a lost phone does not mean a lost account."""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from django.test import Client

from agents.models import User
from tests import shell
from tests.conftest import PASSWORD
from tests.logos_site.test_account_second_factor import AREA, set_up
from tests.logos_site.test_account_sessions import is_in, signed_in


def test_after_a_reset_the_password_is_enough_and_old_sessions_are_over(alice: User, bob: User) -> None:
    client, other = signed_in(alice), signed_in(bob)
    set_up(client)
    set_up(other)

    assert shell.run("account", "reset-second-factor", "alice").code == 0

    assert not is_in(client)
    assert is_in(signed_in(alice))
    answer = Client().post("/accounts/login/", {"login": "bob", "password": PASSWORD})
    assert answer["Location"] == f"{AREA}authenticate/"
    assert not Authenticator.objects.filter(user=alice).exists()


def test_sessions_can_be_ended_and_the_second_factor_stays(alice: User) -> None:
    client = signed_in(alice)
    set_up(client)

    assert shell.run("account", "end-sessions", "alice").code == 0

    assert not is_in(client)
    assert Authenticator.objects.filter(user=alice).exists()


def test_somebody_who_is_not_there_is_refused(db: None) -> None:
    assert shell.run("account", "reset-second-factor", "nobody").code == 1
