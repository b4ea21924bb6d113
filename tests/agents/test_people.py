"""People have one role that decides everything, and tokens that are shown once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from agents.models import ApiToken, Role, User
from tests.conftest import person

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("role", "staff", "superuser"),
    [("admin", True, True), ("operator", True, False), ("user", False, False), ("viewer", False, False)],
)
def test_what_django_asks_follows_the_role(role: str, staff: bool, superuser: bool) -> None:
    somebody = person("somebody", role)
    person("grace", Role.ADMIN)
    assert (somebody.is_staff, somebody.is_superuser, somebody.is_admin) == (staff, superuser, superuser)

    somebody.role = Role.USER
    somebody.save(update_fields=["role"])

    somebody.refresh_from_db()
    assert (somebody.is_staff, somebody.is_superuser) == (False, False)


def test_nobody_is_more_than_their_role_says() -> None:
    sly = User.objects.create_user("sly", is_staff=True, is_superuser=True)

    assert (sly.role, sly.is_staff, sly.is_superuser) == (Role.USER, False, False)


def test_a_superuser_made_by_djangos_command_is_an_admin() -> None:
    assert User.objects.create_superuser("root", "root@example.org", "a long password").role == Role.ADMIN


def test_a_suspended_admin_is_no_admin(ada: User) -> None:
    ada.is_active = False

    assert not ada.is_admin


def test_people_are_called_by_their_name_or_else_their_user_name(alice: User) -> None:
    assert alice.display_name == "alice"
    alice.first_name, alice.last_name = "Alice", "Liddell"
    assert alice.display_name == "Alice Liddell"


def test_a_token_opens_for_its_person_and_is_nowhere_to_be_read(alice: User) -> None:
    token, secret = ApiToken.make(alice, "laptop" * 20)

    opened = ApiToken.live(secret)
    assert opened is not None
    assert opened.user == alice
    assert secret.startswith("logos_")
    assert (len(token.name), token.hint) == (80, secret[:12])
    assert secret[12:] not in str(ApiToken.objects.values().get())


@pytest.mark.parametrize("secret", ["", "logos_", "logos_wrong", "x" * 5000, "\x00"])
def test_a_wrong_secret_is_nobodys(alice: User, secret: str) -> None:
    ApiToken.make(alice, "laptop")

    assert ApiToken.live(secret) is None


@pytest.mark.parametrize("change", ["revoked", "expired", "suspended"])
def test_a_token_that_has_ended_is_nobodys(alice: User, change: str) -> None:
    _, secret = ApiToken.make(alice, "laptop", days=1)
    past = timezone.now() - timedelta(seconds=1)
    if change == "suspended":
        User.objects.update(is_active=False)
    else:
        changes: dict[str, Any] = {"revoked": {"revoked_at": past}, "expired": {"expires_at": past}}[change]
        ApiToken.objects.update(**changes)

    assert ApiToken.live(secret) is None


def test_a_token_lives_as_many_days_as_it_was_given(alice: User) -> None:
    token, _ = ApiToken.make(alice, "laptop", days=30)
    endless, _ = ApiToken.make(alice, "server")

    assert token.expires_at is not None
    assert 29 < (token.expires_at - timezone.now()) / timedelta(days=1) <= 30
    assert endless.expires_at is None


def test_its_use_is_noted_once_a_minute(alice: User, django_assert_num_queries: Any) -> None:
    token, secret = ApiToken.make(alice, "laptop")

    with django_assert_num_queries(2):
        ApiToken.live(secret)
    with django_assert_num_queries(1):
        ApiToken.live(secret)

    token.refresh_from_db()
    assert token.last_used_at is not None
