"""People as admins manage them: roles, suspension, limits, the admin who always stays, and two who act at once."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.db import connections, transaction
from django.test import Client

from agents import audit, composition, people, sharing
from agents.errors import Conflict, Invalid, LogosError, NotFound
from agents.models import Agent, ApiToken, Role, SecurityEvent, Soul, User
from agents.models.people import LastAdmin
from tests.api_client import Program
from tests.conftest import PASSWORD, person
from tests.console import Console, complaints


def at_once(*acts: Callable[[], object]) -> list[object]:
    """What each of these came to when all began together: a result, or the refusal."""
    gate, found = threading.Barrier(len(acts)), [None] * len(acts)

    def act(number: int) -> None:
        gate.wait()
        try:
            found[number] = acts[number]()
        except LogosError as error:
            found[number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=act, args=[number]) for number in range(len(acts))]
    [thread.start() for thread in threads]
    [thread.join(30) for thread in threads]
    return found


def test_a_demotion_counts_on_the_next_request(ada: User, browser: Callable[..., Client]) -> None:
    otto = person("otto", Role.OPERATOR)
    page, program = browser(otto), Program(otto)
    assert page.get("/admin/").status_code == 200

    people.change_role(ada, otto, Role.VIEWER)

    assert page.get("/admin/").status_code != 200
    assert program.get("me")["role"] == "viewer"
    assert SecurityEvent.objects.get(kind="role_changed").detail == {"before": "operator", "after": "viewer"}


def test_a_suspended_person_is_out_at_once_and_comes_back_by_signing_in(
    ada: User, alice: User, browser: Callable[..., Client]
) -> None:
    page, program = browser(), Program(alice)
    page.post("/accounts/login/", {"login": "alice", "password": PASSWORD})
    assert page.get("/account/").status_code == 200

    people.suspend(ada, alice)
    assert (page.get("/account/").status_code, program("GET", "me").status_code) == (302, 401)
    people.restore(ada, alice)

    assert page.get("/account/").status_code == 302
    assert program("GET", "me").status_code == 200
    with pytest.raises(Conflict):
        people.restore(ada, alice)


@pytest.mark.parametrize("act", [lambda u: people.change_role(u, u, "user"), lambda u: people.suspend(u, u)])
def test_nobody_demotes_or_suspends_themselves(ada: User, act: Callable[[User], None]) -> None:
    person("grace", Role.ADMIN)

    with pytest.raises(Invalid):
        act(ada)

    ada.refresh_from_db()
    assert ada.is_admin


def by_save(somebody: User) -> None:
    now = User.objects.get(pk=somebody.pk)
    now.is_active = False
    now.save()


@pytest.mark.parametrize(
    "act",
    [
        lambda ada: people.change_role(ada, ada, "user"),
        lambda ada: people.suspend(ada, ada),
        lambda ada: ada.delete(),
        lambda ada: User.objects.all().delete(),
        by_save,
    ],
)
def test_the_last_admin_stays_by_whatever_door(ada: User, act: Callable[[User], None]) -> None:
    User.objects.filter(pk=person("grace", Role.ADMIN).pk).update(is_active=False)

    with pytest.raises(LogosError), transaction.atomic():
        act(User.objects.get(pk=ada.pk))

    assert User.objects.get(pk=ada.pk).is_admin
    assert User.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_admins_who_demote_each_other_leave_one(ada: User) -> None:
    grace = person("grace", Role.ADMIN)

    found = at_once(lambda: people.change_role(ada, grace, "user"), lambda: people.change_role(grace, ada, "user"))

    assert sorted(type(each).__name__ for each in found) == ["NoneType", "NotFound"]
    assert User.objects.filter(role=Role.ADMIN, is_active=True).count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_admins_who_suspend_each_other_by_saving_rows_leave_one(ada: User) -> None:
    def suspend(pk: int) -> None:
        somebody = User.objects.get(pk=pk)
        somebody.is_active = False
        somebody.save(update_fields=["is_active"])

    grace = person("grace", Role.ADMIN)
    found = at_once(lambda: suspend(ada.pk), lambda: suspend(grace.pk))

    assert sorted(type(each).__name__ for each in found) == ["LastAdmin", "NoneType"]
    assert User.objects.filter(role=Role.ADMIN, is_active=True).count() == 1
    assert LastAdmin().reason == "last_admin"


def test_people_who_manage_nobody_find_nobody(alice: User, mallory: User) -> None:
    for act in (
        lambda: people.find(mallory, alice.pk),
        lambda: people.change_role(mallory, mallory, "admin"),
        lambda: people.suspend(mallory, alice),
        lambda: people.set_limit(mallory, mallory, "unlimited"),
        lambda: people.sign_out(mallory, alice),
        lambda: people.reset_second_factor(mallory, alice),
    ):
        with pytest.raises(NotFound):
            act()
    assert not SecurityEvent.objects.exclude(kind="person_added").exists()


# --- how many agents somebody may own -------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "stored"), [("3", 3), ("0", 0), ("unlimited", -1), ("role", None), ("", None), (" Unlimited ", -1)]
)
def test_a_limit_is_a_number_or_a_word(text: str, stored: int | None) -> None:
    assert people.limit_from(text) == stored


@pytest.mark.parametrize("text", ["-1", "many", "1e3", "\u0663", "10001", "9" * 50, "3.5"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        people.limit_from(text)


def test_nobody_owns_more_agents_than_their_limit(ada: User, alice: User, soul: Soul, atlas: Agent) -> None:
    people.set_limit(ada, alice, "1")

    with pytest.raises(Conflict, match="alice may own 1 agent at most"):
        composition.create(alice, "hermes", soul)
    answer = Program(alice)("POST", "agents", {"name": "hermes"})
    assert (answer.status_code, answer.json()["error"]["reason"]) == (409, "agent_limit_reached")
    atlas.mark_deleted()
    composition.create(alice, "hermes", soul)

    assert Agent.objects.alive().filter(owner=alice).count() == 1


def test_the_limit_of_a_role_counts_for_who_has_none_of_their_own(
    ada: User, alice: User, soul: Soul, atlas: Agent, settings: object
) -> None:
    settings.LOGOS_MAX_AGENTS = {"user": 1}
    with pytest.raises(Conflict):
        composition.create(alice, "hermes", soul)

    people.set_limit(ada, alice, "unlimited")

    composition.create(alice, "hermes", soul)


def test_nobody_is_given_an_agent_beyond_their_limit(ada: User, alice: User, bob: User, atlas: Agent) -> None:
    people.set_limit(ada, bob, "0")

    with pytest.raises(Conflict, match="bob may not own agents"):
        sharing.transfer(alice, atlas, bob)

    atlas.refresh_from_db()
    assert atlas.owner == alice


def test_the_console_keeps_the_limit_too(ada: User, alice: User, bob: User, atlas: Agent, soul: Soul) -> None:
    people.set_limit(ada, bob, "0")
    people.set_limit(ada, ada, "0")
    console = Console(ada)

    assert "may not own agents" in complaints(console.save(atlas, owner="bob"))
    assert "may not own agents" in complaints(console.save(Agent, name="new", soul=soul.pk, owner="bob"))
    assert console.save(atlas, description="Still hers.").status_code == 302

    assert Agent.objects.alive().get().owner == alice


@pytest.mark.django_db(transaction=True)
def test_two_agents_made_at_once_do_not_share_the_last_place(ada: User, alice: User, soul: Soul) -> None:
    people.set_limit(ada, alice, "1")

    found = at_once(*[lambda name=name: composition.create(alice, name, soul) for name in ("one", "two", "three")])

    assert sorted(type(each).__name__ for each in found) == ["Agent", "Conflict", "Conflict"]
    assert Agent.objects.alive().filter(owner=alice).count() == 1


def test_every_event_of_people_has_its_words() -> None:
    assert not [kind for kind, words in audit.EVENTS.items() if not words]


def test_a_token_of_a_suspended_person_is_nobodys(ada: User, alice: User) -> None:
    _, secret = ApiToken.make(alice, "a test")

    people.suspend(ada, alice)

    assert ApiToken.live(secret) is None
