"""The page with the red button: typed confirmation, what confirmed, the steps back, and what every page says meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.utils import timezone

from agents import halting
from agents.models import Agent, Halt, HaltStop, Role, User
from tests.conftest import person

pytestmark = pytest.mark.django_db
Browser = Callable[..., Client]


def stopping(**values: str) -> dict[str, str]:
    return {"scope": "everything", "typed": "STOP", "reason": "", **values}


def test_the_button_stops_everything_once_stop_is_typed(browser: Browser, ada: User) -> None:
    page = browser(ada)

    for typed in ("", "stop", "STOP IT"):
        answer = page.post("/stop/", stopping(typed=typed, reason="a fire"))
        assert (answer.status_code, Halt.objects.count()) == (400, 0)
        assert "Nothing was stopped" in answer.content.decode()
        assert 'value="a fire"' in answer.content.decode()
    answer = page.post("/stop/", stopping(reason="a fire"))

    halt = Halt.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/stop/{halt.pk}/")
    assert (halt.scope, halt.reason, halt.by) == ("everything", "a fire", ada)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"scope": "agent"}, "Say which one"),
        ({"scope": "agent", "which": "nobody"}, "was not found"),
        ({"scope": "person", "which": "nobody"}, "was not found"),
        ({"scope": "server", "which": " "}, "Say which one"),
        ({"scope": "moon", "which": "x"}, "no halt of"),
        ({"reason": "x" * 301}, "at most 300"),
        ({"reason": "\u202e"}, "at most 300"),
    ],
)
def test_what_cannot_be_stopped_is_said_and_what_was_typed_stays(
    browser: Browser, ada: User, values: dict[str, str], said: str
) -> None:
    answer = browser(ada).post("/stop/", stopping(**{"reason": "because", **values}))

    assert answer.status_code == 400
    assert said in answer.content.decode()
    assert not Halt.objects.exists()


def test_an_agent_is_stopped_by_its_name_on_either_page(browser: Browser, alice: User, atlas: Agent) -> None:
    page = browser(alice)
    assert page.post(f"/agents/{atlas.pk}/stop/", {"typed": "atlas!"}).status_code == 400
    assert not Halt.objects.exists()

    page.post(f"/agents/{atlas.pk}/stop/", {"typed": "atlas"})
    page.post("/stop/", stopping(scope="agent", which="atlas"))

    assert Halt.objects.get().agent == atlas


def test_who_may_not_finds_no_way_and_no_word_of_it(browser: Browser, mallory: User, atlas: Agent) -> None:
    page = browser(mallory)
    halt = Halt.objects.create(scope="agent", subject=atlas.pk, agent=atlas, name="atlas", at=timezone.now())

    for address in (f"/stop/{halt.pk}/", f"/stop/{halt.pk}/stops/", f"/agents/{atlas.pk}/stop/"):
        assert page.get(address).status_code == 404
    assert page.post(f"/stop/{halt.pk}/resume/", {"stage": "lifted"}).status_code == 404
    shown = page.get("/stop/").content.decode()
    assert "atlas" not in shown
    assert "Stop everything…" not in shown
    assert page.post("/stop/", stopping()).status_code in (400, 403)
    halt.refresh_from_db()
    assert halt.is_on
    assert Halt.objects.count() == 1


@pytest.mark.parametrize(("role", "is_offered"), [(Role.ADMIN, True), (Role.OPERATOR, True), (Role.USER, False)])
def test_the_button_is_in_the_menu_of_every_page_of_who_may(browser: Browser, role: str, is_offered: bool) -> None:
    shown = browser(person("somebody", role)).get("/agents/").content.decode()

    assert ("Stop everything…" in shown) == is_offered


def test_every_page_says_what_is_stopped_to_whom_it_concerns(
    browser: Browser, ada: User, alice: User, mallory: User, atlas: Agent
) -> None:
    halting.stop(alice, "agent", atlas.pk, "it misbehaves")
    assert "atlas is stopped: it misbehaves." in browser(alice).get("/runs/").content.decode()
    assert "is stopped" not in browser(mallory).get("/runs/").content.decode()

    halt = halting.stop(ada, "everything")
    shown = browser(mallory).get("/runs/").content.decode()
    assert "Everything is stopped." in shown
    assert "Nothing new begins" in shown
    assert "misbehaves" not in shown
    halting.resume(ada, halt.pk, "lifted")
    assert "is stopped" not in browser(mallory).get("/runs/").content.decode()


def test_what_confirmed_is_told_apart_from_what_was_asked_and_moves_until_all_has(browser: Browser, ada: User) -> None:
    halt = halting.stop(ada, "everything")
    for number in range(3):
        HaltStop.objects.create(halt=halt, kind="terminal", subject=f"t{number}", requested_at=timezone.now())
    HaltStop.objects.filter(subject="t0").update(confirmed_at=timezone.now())

    part = browser(ada).get(f"/stop/{halt.pk}/stops/").content.decode()
    assert "1 of 3 have confirmed." in part
    assert 'hx-trigger="every 1s"' in part
    HaltStop.objects.update(confirmed_at=timezone.now())
    part = browser(ada).get(f"/stop/{halt.pk}/stops/").content.decode()
    assert "All 3 have confirmed." in part
    assert "hx-trigger" not in part


def test_an_operator_learns_how_many_and_not_whose(browser: Browser, ada: User, atlas: Agent) -> None:
    halt = halting.stop(ada, "everything")
    HaltStop.objects.create(halt=halt, kind="run", subject="run_secret", agent=atlas, requested_at=timezone.now())

    shown = browser(person("otto", Role.OPERATOR)).get(f"/stop/{halt.pk}/").content.decode()

    assert "0 of 1 have confirmed." in shown
    assert "atlas" not in shown
    assert "run_secret" not in shown
    assert "atlas" in browser(ada).get(f"/stop/{halt.pk}/").content.decode()


def test_it_is_taken_back_step_by_step_on_the_page(browser: Browser, ada: User, atlas: Agent) -> None:
    page, halt = browser(ada), halting.stop(ada, "everything")

    page.post(f"/stop/{halt.pk}/resume/", {"stage": "deciding"})
    answer = page.post(f"/stop/{halt.pk}/resume/", {"stage": "chosen"})
    assert (answer.status_code, "Choose the agents" in answer.content.decode()) == (409, True)
    page.post(f"/stop/{halt.pk}/resume/", {"stage": "chosen", "agents": [atlas.pk]})
    assert "atlas" in page.get(f"/stop/{halt.pk}/").content.decode()
    answer = page.post(f"/stop/{halt.pk}/resume/", {"stage": "lifted"}, follow=True)

    assert "Nothing is stopped." in answer.content.decode()
    again = page.post(f"/stop/{halt.pk}/resume/", {"stage": "lifted"})
    assert (again.status_code, "resumed already" in again.content.decode()) == (409, True)


def test_pages_stay_small_and_cost_the_same_with_many_rows(
    browser: Browser, ada: User, atlas: Agent, django_assert_max_num_queries: Callable
) -> None:
    halt, now = halting.stop(ada, "everything"), timezone.now()
    HaltStop.objects.bulk_create(
        HaltStop(halt=halt, kind="run", subject=f"run_{number:026}", agent=atlas, requested_at=now)
        for number in range(500)
    )
    page = browser(ada)
    page.get("/stop/")

    with django_assert_max_num_queries(16):
        shown = page.get(f"/stop/{halt.pk}/").content.decode()

    assert "450 more" in shown
    assert len(shown) < 60_000
