"""People in the console: roles, tokens, and an admin that always stays."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group

from agents.models import ApiToken, Role, SecurityEvent, User
from runs import dispatch
from tests.api_client import Program
from tests.conftest import person
from tests.console import Console, complaints

LAST = "This is the last admin"


@pytest.mark.parametrize("values", [{"role": "user"}, {"is_active": None}])
def test_the_last_admin_is_neither_demoted_nor_suspended(ada: User, values: dict) -> None:
    page = Console(ada).save(ada, **values)

    assert LAST in complaints(page)
    ada.refresh_from_db()
    assert ada.is_admin


def test_the_last_admin_is_not_deleted_alone_or_among_others(ada: User, mallory: User) -> None:
    console = Console(ada)
    assert LAST in console.open(ada, "delete").content.decode()

    console.delete(ada)
    chosen = {"action": "delete_selected", "_selected_action": [ada.pk, mallory.pk], "post": "yes"}
    console.client.post(console.address(User), chosen)

    assert User.objects.count() == 2


def test_a_suspended_admin_does_not_count(ada: User) -> None:
    User.objects.filter(pk=person("grace", Role.ADMIN).pk).update(is_active=False)

    assert LAST in complaints(Console(ada).save(ada, role="user"))


def test_with_another_admin_one_may_go(ada: User) -> None:
    grace = person("grace", Role.ADMIN)
    assert "ask another admin" in complaints(Console(ada).save(ada, role="user"))

    assert Console(grace).save(ada, role="user").status_code == 302

    ada.refresh_from_db()
    assert (ada.role, ada.is_staff, ada.is_superuser) == ("user", False, False)


def test_a_new_person_has_a_role(ada: User) -> None:
    password = {"usable_password": "true", "password1": "correct horse battery", "password2": "correct horse battery"}

    assert Console(ada).save(User, username="dora", role="operator", **password).status_code == 302

    dora = User.objects.get(username="dora")
    assert (dora.role, dora.is_staff, dora.check_password("correct horse battery")) == ("operator", True, True)


def test_a_limit_and_groups_changed_here_are_events(ada: User, bob: User) -> None:
    stays, comes, goes = (Group.objects.create(name=name) for name in ("stays", "comes", "goes"))
    bob.groups.set([stays, goes])

    assert Console(ada).save(bob, max_agents="3", groups=[stays.pk, comes.pk]).status_code == 302

    events = SecurityEvent.objects.filter(person=bob, actor=ada, via="console").order_by("pk")
    assert [(event.kind, event.object_name) for event in events] == [
        ("limit_changed", ""),
        ("member_added", "comes"),
        ("member_removed", "goes"),
    ]
    assert events[0].detail == {"before": "role", "after": "3"}


def test_somebody_with_a_history_is_suspended_rather_than_deleted(ada: User, alice: User, atlas: object) -> None:
    dispatch.start(alice, "hello", agent=atlas)
    console = Console(ada)

    assert "Suspend the account instead." in console.delete(alice).content.decode()
    assert console.save(alice, is_active=None).status_code == 302

    alice.refresh_from_db()
    assert not alice.is_active


def test_operators_manage_nobody(alice: User) -> None:
    console = Console(person("otto", Role.OPERATOR))

    assert console.list(User).status_code == 403
    assert console.open(alice).status_code == 403
    assert "alice" not in console.client.get("/admin/").content.decode()
    assert console.client.get(f"/admin/agents/user/{alice.pk}/password/").status_code == 403


def test_tokens_show_no_digest_and_an_admin_revokes_them(ada: User, alice: User) -> None:
    token, secret = ApiToken.make(alice, "build")
    console = Console(ada)
    for page in (console.list(ApiToken), console.open(token)):
        assert token.digest not in page.content.decode()
        assert "build" in page.content.decode()

    console.act(ApiToken, "revoke", token, confirmed="yes")

    assert Program(secret=secret)("GET", "me").status_code == 401


def test_an_operator_sees_and_revokes_only_their_own_tokens(alice: User) -> None:
    otto = person("otto", Role.OPERATOR)
    theirs, _ = ApiToken.make(alice, "alice's own")
    own, _ = ApiToken.make(otto, "otto's own")
    console = Console(otto)

    page = console.list(ApiToken).content.decode()
    assert ("otto&#x27;s own" in page, "alice" in page) == (True, False)
    assert console.open(theirs).status_code == 302
    console.act(ApiToken, "revoke", own, theirs, confirmed="yes")

    own.refresh_from_db()
    theirs.refresh_from_db()
    assert (own.revoked_at is None, theirs.revoked_at is None) == (False, True)
