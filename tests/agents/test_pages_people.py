"""The pages of people and groups: what an admin finds and changes there, and that nobody else finds them at all."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from agents import groups, invitations, permissions
from agents.models import Agent, OneTimeLink, Role, User
from tests.conftest import PASSWORD, person

Browser = Callable[..., Client]
NEW = "an entirely new password"


def link_in(page: object) -> str:
    """The path of the one-time link a page shows."""
    found = re.search(r"http://testserver(/(?:invited|set-password)/[\w-]+/)", page.content.decode())
    assert found
    return found[1]


@pytest.mark.parametrize("path", ["/people/", "/people/new/", "/people/{}/", "/groups/", "/groups/{group}/"])
@pytest.mark.parametrize("role", ["operator", "user", "viewer"])
def test_nobody_but_admins_finds_these_pages(path: str, role: str, alice: User, browser: Browser) -> None:
    group = Group.objects.create(name="lab")
    client = browser(person("somebody", role))

    page = client.get(path.format(alice.pk, group=group.pk))

    assert page.status_code == 404
    assert "alice" not in page.content.decode()
    assert "/people/" not in client.get("/").content.decode()


def test_the_list_tells_role_state_agents_and_second_factor(ada: User, atlas: Agent, browser: Browser) -> None:
    User.objects.filter(pk=person("sue").pk).update(is_active=False)

    text = browser(ada).get("/people/").content.decode()

    assert all(word in text for word in ("alice", "alice@example.org", "Admin", "suspended", "1<span"))
    assert "sue" in browser(ada).get("/people/?state=suspended").content.decode()
    assert "alice@" not in browser(ada).get("/people/?state=suspended").content.decode()
    assert "alice@" not in browser(ada).get("/people/?role=admin").content.decode()
    assert "Nothing matches" in browser(ada).get("/people/?text=nobody+here").content.decode()


def test_the_list_costs_the_same_for_many(
    ada: User, browser: Browser, django_assert_num_queries: Callable, django_assert_max_num_queries: Callable
) -> None:
    client = browser(ada)
    client.get("/people/")
    with django_assert_max_num_queries(12) as few:
        client.get("/people/")
    for number in range(40):
        person(f"somebody{number}")

    with django_assert_num_queries(len(few.captured_queries)):
        page = client.get("/people/")

    assert len(page.content) < 60_000
    assert 'rel="next"' in page.content.decode()


def test_an_admin_changes_role_limit_and_groups_and_suspends(ada: User, alice: User, browser: Browser) -> None:
    client, group = browser(ada), Group.objects.create(name="lab")
    path = f"/people/{alice.pk}/"
    for data in (
        {"do": "role", "role": "operator"},
        {"do": "limit", "max_agents": "7"},
        {"do": "group", "group": group.pk},
        {"do": "suspend"},
    ):
        assert client.post(path, data).status_code == 302, data

    alice.refresh_from_db()
    assert (alice.role, alice.max_agents, alice.is_active) == ("operator", 7, False)
    assert list(alice.groups.all()) == [group]
    assert "Restore alice" in client.get(path).content.decode()


def test_what_was_typed_stays_when_it_is_refused(ada: User, alice: User, browser: Browser) -> None:
    page = browser(ada).post(f"/people/{alice.pk}/", {"do": "limit", "max_agents": "plenty"})

    assert page.status_code == 400
    assert 'value="plenty"' in page.content.decode()
    assert "This is no limit." in page.content.decode()


@pytest.mark.parametrize(
    "data", [{"do": "role", "role": "owner"}, {"do": "nothing"}, {"do": "group", "group": "x"}, {}]
)
def test_what_makes_no_sense_changes_nothing(ada: User, alice: User, data: dict, browser: Browser) -> None:
    assert browser(ada).post(f"/people/{alice.pk}/", data).status_code in (400, 404)

    alice.refresh_from_db()
    assert alice.role == Role.USER


def test_more_than_the_form_has_is_not_taken(ada: User, alice: User, browser: Browser) -> None:
    browser(ada).post(f"/people/{alice.pk}/", {"do": "limit", "max_agents": "3", "role": "admin", "is_superuser": "on"})
    browser(alice).post(
        "/account/", {"first_name": "A", "last_name": "", "email": "", "role": "admin", "is_staff": "on"}
    )

    alice.refresh_from_db()
    assert (alice.role, alice.is_staff, alice.is_superuser, alice.max_agents) == ("user", False, False, 3)


# --- one-time links -------------------------------------------------------------------------------
def test_somebody_invited_joins_once(ada: User, browser: Browser) -> None:
    path = link_in(browser(ada).post("/people/new/", {"role": "operator", "email": "dora@example.org"}))
    stranger = browser()
    assert "dora@example.org" in stranger.get(path).content.decode()
    form = {"username": "dora", "email": "dora@example.org", "password": NEW, "password2": NEW, "role": "admin"}

    wrong = stranger.post(path, {**form, "password2": "other"})
    assert (wrong.status_code, 'value="dora"' in wrong.content.decode()) == (400, True)
    assert stranger.post(path, form).status_code == 302

    dora = User.objects.get(username="dora")
    assert (dora.role, dora.email, dora.check_password(NEW)) == ("operator", "dora@example.org", True)
    assert stranger.get("/account/").status_code == 200
    assert browser().get(path).status_code == 404
    assert browser().post(path, {**form, "username": "eve"}).status_code == 404


@pytest.mark.parametrize("field", ["username", "email"])
def test_a_taken_name_leaves_the_invitation_open(ada: User, alice: User, field: str, browser: Browser) -> None:
    _, secret = invitations.invite(ada, Role.USER)
    form = {"username": "dora", "email": "dora@example.org", "password": NEW, "password2": NEW}

    page = browser().post(
        f"/invited/{secret}/", {**form, field: {"username": "Alice", "email": "ALICE@example.org"}[field]}
    )

    assert page.status_code == 400
    assert invitations.opened(secret, "invite")


def test_a_link_dies_when_it_expires_is_withdrawn_or_is_for_something_else(ada: User, browser: Browser) -> None:
    link, secret = invitations.invite(ada, Role.USER)
    assert browser().get(f"/set-password/{secret}/").status_code == 404
    OneTimeLink.objects.update(expires_at=timezone.now())
    assert browser().get(f"/invited/{secret}/").status_code == 404
    link, secret = invitations.invite(ada, Role.USER)

    assert browser(ada).post("/people/new/", {"withdraw": link.pk}).status_code == 302

    assert browser().get(f"/invited/{secret}/").status_code == 404


def test_the_secret_of_a_link_is_stored_nowhere(ada: User) -> None:
    link, secret = invitations.invite(ada, Role.USER)

    assert secret not in str(OneTimeLink.objects.values().get(pk=link.pk))


def test_a_forgotten_password_is_set_by_a_link(ada: User, alice: User, browser: Browser) -> None:
    laptop = browser(alice)
    path = link_in(browser(ada).post(f"/people/{alice.pk}/", {"do": "password"}))
    assert laptop.get("/account/").status_code == 200
    assert browser().post(path, {"password": "short", "password2": "short"}).status_code == 400

    assert browser().post(path, {"password": NEW, "password2": NEW}).status_code == 302

    alice.refresh_from_db()
    assert (alice.check_password(NEW), alice.check_password(PASSWORD)) == (True, False)
    assert laptop.get("/account/").status_code == 302
    assert browser().get(path).status_code == 404


def test_a_new_password_link_ends_the_one_before_and_a_suspension_ends_both(ada: User, alice: User) -> None:
    _, first = invitations.password_link(ada, alice)
    _, second = invitations.password_link(ada, alice)
    assert OneTimeLink.objects.count() == 1

    User.objects.filter(pk=alice.pk).update(is_active=False)

    for secret in (first, second):
        with pytest.raises(Exception, match="not found"):
            invitations.opened(secret, "password")


# --- groups ---------------------------------------------------------------------------------------
def test_a_group_is_made_filled_renamed_and_deleted_with_what_is_lost(
    ada: User, alice: User, mallory: User, atlas: Agent, browser: Browser
) -> None:
    client = browser(ada)
    path = client.post("/groups/", {"name": "lab"}).headers["Location"]
    assert client.post(path, {"do": "add", "person": "mallory"}).status_code == 302
    permissions.grant(Group.objects.get(), "chat", atlas)
    assert permissions.allows(mallory, "agent.chat", atlas)
    assert client.post(path, {"do": "rename", "name": "kitchen"}).status_code == 302
    text = client.get(path).content.decode()
    assert not [word for word in ("kitchen", "atlas", "1 person would lose 1 grant") if word not in text]

    assert client.post(path, {"do": "delete", "name": "lab"}).status_code == 400
    assert client.post(path, {"do": "delete", "name": "kitchen"}).status_code == 302

    assert not permissions.allows(User.objects.get(pk=mallory.pk), "agent.chat", atlas)
    assert not Group.objects.exists()


@pytest.mark.parametrize("name", ["", "  ", "x" * 81, "a\u200bb", "LAB", "a\tb"])
def test_a_group_name_that_cannot_be_is_refused(ada: User, name: str, browser: Browser) -> None:
    groups.create(ada, "lab")

    assert browser(ada).post("/groups/", {"name": name}).status_code in (400, 409)

    assert Group.objects.count() == 1


def test_an_unknown_member_is_refused_and_kept_in_the_field(ada: User, browser: Browser) -> None:
    group = groups.create(ada, "lab")

    page = browser(ada).post(f"/groups/{group.pk}/", {"do": "add", "person": "nobody"})

    assert page.status_code == 404
    assert 'value="nobody"' in page.content.decode()
