"""Asking for an account: closed unless opened, one answer whoever asks, a queue that is decided once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from agents import badges, registration
from agents.errors import Conflict, Invalid, NotFound
from agents.models import Role, SecurityEvent, User
from tests import shell
from tests.api_client import Program
from tests.conftest import person

Browser = Callable[..., Client]
WORD = "an entirely new password"
FORM = {"username": "dora", "email": "dora@example.org", "password": WORD, "password2": WORD, "note": "From the lab."}


@pytest.fixture(autouse=True)
def nobody_asked_before(db: None) -> None:
    cache.clear()


@pytest.fixture
def approval(settings: Any) -> Any:
    settings.LOGOS_REGISTRATION = "approval"
    return settings


def test_it_is_closed_unless_opened(browser: Browser) -> None:
    assert browser().get("/register/").status_code == 404
    assert browser().post("/register/", FORM).status_code == 404
    assert "/register/" not in browser().get("/accounts/login/").content.decode()
    with pytest.raises(NotFound):
        registration.apply(username="dora", password=WORD)
    assert not User.objects.exists()


def test_whoever_asks_waits_and_gets_in_when_approved(approval: Any, ada: User, browser: Browser) -> None:
    stranger = browser()
    assert "/register/" in stranger.get("/accounts/login/").content.decode()
    assert stranger.post("/register/", {**FORM, "role": "admin", "is_active": "on"}).status_code == 200
    dora = User.objects.get(username="dora")
    assert (dora.state, dora.role, dora.is_active) == ("waiting", "user", False)
    stranger.post("/accounts/login/", {"login": "dora", "password": WORD})
    assert stranger.get("/account/").status_code == 302
    assert badges.of(ada)["/people/"].count == 1
    page = browser(ada).get("/people/waiting/").content.decode()
    assert "From the lab." in page

    assert (
        browser(ada).post("/people/waiting/", {"person": dora.pk, "do": "approve", "note": "Yes."}).status_code == 302
    )

    stranger.post("/accounts/login/", {"login": "dora", "password": WORD})
    assert stranger.get("/account/").status_code == 200
    assert SecurityEvent.objects.get(kind="application_approved").detail == {"note": "Yes."}
    assert set(SecurityEvent.objects.filter(person=dora).values_list("kind", flat=True)) == {
        "applied", "application_approved", "signed_in",
    }  # fmt: skip
    assert "/people/" not in badges.of(ada)


@pytest.mark.parametrize(
    "taken",
    [
        {"username": "Alice"},
        {"email": "ALICE@example.org"},
        {"username": "alice@example.org"},
        {"email": "", "username": "alice"},
    ],
)
@pytest.mark.parametrize("mode", ["approval", "open"])
def test_the_answer_is_the_same_for_a_taken_name(
    settings: Any, alice: User, taken: dict, mode: str, browser: Browser
) -> None:
    settings.LOGOS_REGISTRATION = mode
    free = browser().post("/register/", FORM)
    before = User.objects.count()

    answer = browser().post("/register/", {**FORM, "username": "other", "email": "other@example.org", **taken})

    assert (answer.status_code, answer.content) == (free.status_code, free.content)
    assert User.objects.count() == before


def test_a_taken_name_costs_a_password_too(approval: Any, alice: User, monkeypatch: Any) -> None:
    hashed = []
    monkeypatch.setattr(User, "set_password", lambda self, word: hashed.append(word))

    registration.apply(username="alice", password=WORD)

    assert hashed == [WORD]


@pytest.mark.parametrize(
    "wrong",
    [{"username": ""}, {"username": "a b"}, {"username": "x" * 151}, {"email": "no"}, {"password": "short", "password2": "short"},
     {"password2": "other"}, {"note": "x" * 501}, {"username": "a\x00" + "/"}],
)  # fmt: skip
def test_what_nobody_can_have_is_refused_and_kept(approval: Any, wrong: dict, browser: Browser) -> None:
    page = browser().post("/register/", {**FORM, "name": "Dora the typed", **wrong})

    assert page.status_code == 400
    assert "Dora the typed" in page.content.decode()
    assert WORD not in page.content.decode()
    assert not User.objects.exists()


def test_an_address_may_ask_a_few_times_an_hour(approval: Any, browser: Browser) -> None:
    codes = [browser().post("/register/", {**FORM, "username": f"dora{n}", "email": ""}).status_code for n in range(9)]

    assert codes == [200] * 8 + [429]


def test_a_flood_ends_somewhere(approval: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(registration, "MOST_WAITING", 1)
    registration.apply(username="dora", password=WORD)

    with pytest.raises(Conflict, match="Too many"):
        registration.apply(username="eve", password=WORD)


def test_open_registration_lets_in_at_once_with_the_role_of_the_setting(settings: Any, browser: Browser) -> None:
    settings.LOGOS_REGISTRATION, settings.LOGOS_REGISTRATION_ROLE = "open", "viewer"
    client = browser()
    client.post("/register/", FORM)

    client.post("/accounts/login/", {"login": "dora", "password": WORD})

    assert client.get("/account/").status_code == 200
    assert User.objects.get().role == Role.VIEWER


def test_a_decision_is_made_once(approval: Any, ada: User) -> None:
    registration.apply(username="dora", password=WORD)
    dora = User.objects.get(username="dora")
    registration.refuse(ada, dora, "No.")

    for decide in (registration.approve, registration.refuse):
        with pytest.raises(Conflict):
            decide(ada, dora)

    dora.refresh_from_db()
    assert (dora.state, dora.application) == ("refused", "")


def test_the_refused_go_after_some_days_with_their_history(approval: Any, ada: User) -> None:
    registration.apply(username="dora", password=WORD, email="dora@example.org")
    dora = User.objects.get(username="dora")
    registration.refuse(ada, dora)
    assert registration.sweep() == 0
    User.objects.filter(pk=dora.pk).update(refused_at=timezone.now() - timedelta(days=31))

    assert registration.sweep() == 1

    assert not User.objects.filter(username="dora").exists()
    assert not User.history.filter(username="dora").exists()


def test_others_decide_nothing(approval: Any, mallory: User, browser: Browser) -> None:
    registration.apply(username="dora", password=WORD)
    dora = User.objects.get(username="dora")
    for somebody in (mallory, person("otto", Role.OPERATOR)):
        assert browser(somebody).get("/people/waiting/").status_code == 404
        assert browser(somebody).post("/people/waiting/", {"person": dora.pk, "do": "approve"}).status_code == 404
        assert Program(somebody)("POST", f"people/{dora.pk}/approve", {}).status_code == 404
        assert registration.waiting_for(somebody) is None

    assert User.objects.get(pk=dora.pk).state == "waiting"


def test_the_api_and_the_command_decide_too(approval: Any, ada: User) -> None:
    for name in ("dora", "eve"):
        registration.apply(username=name, password=WORD)
    program = Program(ada)
    waiting = program.get("people?state=waiting")["items"]
    assert sorted(each["username"] for each in waiting) == ["dora", "eve"]

    assert program.post(f"people/{User.objects.get(username='dora').pk}/approve", {"note": "x"})["state"] == "active"
    assert shell.run("people", "refuse", "eve", "--note", "No.").code == 0

    assert User.objects.get(username="eve").state == "refused"
    with pytest.raises(Invalid):
        registration.refuse(ada, ada, "x" * 501)
