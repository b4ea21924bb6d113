"""The last admin stays one, by every door there is; a service account does not count as one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from agents import service_accounts
from agents.errors import LogosError
from agents.models import Role, User
from tests import shell
from tests.api_client import Program
from tests.conftest import person
from tests.console import Console

Act = Callable[[User], Any]


def page(do: str, **data: str) -> Act:
    def act(ada: User) -> Any:
        client = Client(raise_request_exception=False)
        client.force_login(ada, backend="allauth.account.auth_backends.AuthenticationBackend")
        return client.post(f"/people/{ada.pk}/", {"do": do, **data})

    return act


def console(change: Callable[[Console, User], Any]) -> Act:
    return lambda ada: change(Console(ada), ada)


DOORS: dict[str, Act] = {
    "the API, by role": lambda ada: Program(ada)("PATCH", f"people/{ada.pk}", {"role": "user"}),
    "the API, by suspending": lambda ada: Program(ada)("PATCH", f"people/{ada.pk}", {"suspended": True}),
    "the API, by deleting": lambda ada: Program(ada)("DELETE", f"people/{ada.pk}"),
    "the page, by role": page("role", role="viewer"),
    "the page, by suspending": page("suspend"),
    "the console's form, by role": console(lambda it, ada: it.save(ada, role="user")),
    "the console's form, by suspending": console(lambda it, ada: it.save(ada, is_active=None)),
    "the console, by deleting": console(lambda it, ada: it.delete(ada)),
    "the console's action": console(
        lambda it, ada: it.client.post(
            it.address(User), {"action": "delete_selected", "_selected_action": [ada.pk], "post": "yes"}
        )
    ),
    "the shell, by role": lambda ada: shell.run("people", "role", "ada", "user"),
    "the shell, by suspending": lambda ada: shell.run("people", "suspend", "ada"),
    "a save": lambda ada: _save(ada, role=Role.VIEWER),
    "a save of being active": lambda ada: _save(ada, is_active=False),
    "a deletion": lambda ada: ada.delete(),
    "a deletion of all": lambda ada: User.objects.all().delete(),
}


def _save(ada: User, **values: Any) -> None:
    row = User.objects.get(pk=ada.pk)
    for name, value in values.items():
        setattr(row, name, value)
    row.save()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("door", DOORS)
def test_the_last_admin_cannot_be_demoted_suspended_or_deleted(ada: User, alice: User, door: str) -> None:
    service_accounts.make(ada, "team-bot", "admin", for_team=True)
    suspended = person("grace", Role.ADMIN)
    suspended.is_active = False
    suspended.save()

    with contextlib.suppress(LogosError):
        DOORS[door](ada)

    now = User.objects.get(pk=ada.pk)
    assert now.is_admin
    assert now.is_active
    assert now.is_superuser


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("door", ["the API, by role", "the page, by suspending", "the console's action"])
def test_with_another_admin_the_same_doors_do_what_they_are_for(ada: User, door: str) -> None:
    """Aimed at somebody else by a second admin, or what does not happen above would prove nothing."""
    grace = person("grace", Role.ADMIN)
    if door == "the API, by role":
        Program(ada)("PATCH", f"people/{grace.pk}", {"role": "user"})
        assert User.objects.get(pk=grace.pk).role == Role.USER
    elif door == "the page, by suspending":
        client = Client()
        client.force_login(ada, backend="allauth.account.auth_backends.AuthenticationBackend")
        client.post(f"/people/{grace.pk}/", {"do": "suspend"})
        assert not User.objects.get(pk=grace.pk).is_active
    else:
        it = Console(ada)
        it.client.post(it.address(User), {"action": "delete_selected", "_selected_action": [grace.pk], "post": "yes"})
        assert not User.objects.filter(pk=grace.pk, is_active=True).exists()
