"""The inbox in a real browser: keys alone, what comes and what others decide, a phone, no scripts, a browser that is pushed to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from agents import composition, permissions, routes, souls
from agents.models import Agent, Role, User
from logos_site.asgi import application, django_application
from runs import approvals
from runs.models import Approval
from tests.conftest import person
from tests.journeys.house import until
from tests.journeys.site import Complaints, a_browser
from tests.ports import free_port
from tests.runs.waiting import aged, waiting

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Enter = Callable[..., Page]
PATIENCE_MS = 90_000
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def served(transactional_db: None) -> Iterator[str]:
    """Pages and streams of this process's rows; no engine, so nothing but the test acts on them."""
    files = ASGIStaticFilesHandler(django_application)

    async def everything(scope: Any, receive: Any, send: Any) -> None:
        is_file = scope["type"] == "http" and scope["path"].startswith("/static/")
        await (files if is_file else application)(scope, receive, send)

    port = free_port()
    server = uvicorn.Server(uvicorn.Config(everything, port=port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    until(lambda: server.started, "pages are served")
    yield f"http://127.0.0.1:{port}"
    server.should_exit = server.force_exit = True
    thread.join(60)


@pytest.fixture
def cast(served: str) -> dict[str, Any]:
    alice, olga = person("alice"), person("olga", Role.OPERATOR)
    routes.rehearsal_route()
    atlas = composition.create(alice, "Atlas", souls.create("Calm", "You are calm.", alice))
    permissions.grant(olga, "manage", atlas)
    return {
        "alice": alice,
        "olga": olga,
        "atlas": atlas,
        "cookies": {who.username: _cookie(who) for who in (alice, olga)},
    }


def _cookie(user: User) -> str:
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client.cookies["logos_session"].value


@pytest.fixture
def browser() -> Iterator[Browser]:
    with a_browser() as browser:
        yield browser


@pytest.fixture
def enter(cast: dict[str, Any], served: str, browser: Browser) -> Iterator[Enter]:
    heard: list[Complaints] = []

    def go(path: str = "/approvals/", who: str = "alice", **options: Any) -> Page:
        context = browser.new_context(base_url=served, **options)
        context.add_cookies([{"name": "logos_session", "value": cast["cookies"][who], "url": served}])
        page = context.new_page()
        heard.append(Complaints(page))
        page.set_default_timeout(PATIENCE_MS)
        page.goto(path)
        return page

    yield go
    assert [words for each in heard for words in each.unexpected if "409" not in words] == []


def rows(look: Callable[[], Any]) -> Any:
    """Ask the database from another thread: the browser's driver keeps an event loop in this one."""
    found: list[Any] = []

    def ask() -> None:
        from django.db import connection

        try:
            found.append(look())
        finally:
            connection.close()

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(60)
    return found[0]


def state(asked: Approval) -> str:
    return rows(lambda: Approval.objects.get(pk=asked.pk).state)


def three(alice: User, atlas: Agent) -> list[Approval]:
    return [aged(waiting(alice, atlas, f"echo {number}"), 40 - number) for number in range(3)]


def test_one_decides_by_keys_alone_and_never_what_one_did_not_mean(cast: dict[str, Any], enter: Enter) -> None:
    first, second, third = rows(lambda: three(cast["alice"], cast["atlas"]))
    page = enter()

    page.keyboard.press("1")  # nothing is chosen yet
    page.keyboard.press("j")
    expect(page.locator(f"#ask-{first.pk} h2 a")).to_be_focused()
    page.keyboard.press("1")
    page.keyboard.press("1")  # too soon for the next one
    expect(page.locator(f"#ask-{first.pk}")).to_contain_text("allowed once")
    expect(page.locator(f"#ask-{second.pk} h2 a")).to_be_focused()

    page.keyboard.press("r")
    page.wait_for_timeout(800)
    page.keyboard.press("r")
    note = page.locator(f"#ask-{second.pk} textarea")
    expect(note).to_be_focused()
    page.keyboard.type("1 2 3 a d: not today")
    page.keyboard.press("Control+Enter")
    expect(page.locator(f"#ask-{second.pk} .state.blocked")).to_have_text("refused")

    assert (state(first), state(second), state(third)) == ("allowed", "denied", "pending")
    assert rows(lambda: Approval.objects.get(pk=second.pk).note) == "1 2 3 a d: not today"


def test_the_rule_is_opened_by_its_key_read_and_made(cast: dict[str, Any], enter: Enter) -> None:
    asked = rows(lambda: waiting(cast["alice"], cast["atlas"]))
    page = enter()

    page.keyboard.press("j")
    page.keyboard.press("3")
    form = page.locator(f"#ask-{asked.pk} [data-more=rule]")
    expect(form).to_contain_text("in every run of Atlas")
    form.get_by_label("For", exact=False).last.select_option("8")
    form.get_by_role("button", name="Allow by this rule").click()

    expect(page.locator(f"#ask-{asked.pk}")).to_contain_text("allowed by a rule")
    assert state(asked) == "allowed"


def test_escape_closes_what_was_opened_and_decides_nothing(cast: dict[str, Any], enter: Enter) -> None:
    asked = rows(lambda: waiting(cast["alice"], cast["atlas"]))
    page = enter()

    page.keyboard.press("j")
    page.keyboard.press("d")
    page.keyboard.press("Escape")

    expect(page.locator(f"#ask-{asked.pk} textarea")).to_be_hidden()
    assert state(asked) == "pending"


def test_the_page_follows_what_comes_and_what_others_decide(cast: dict[str, Any], enter: Enter) -> None:
    alice, atlas = cast["alice"], cast["atlas"]
    page = enter()
    expect(page.get_by_text("Nothing waits for you")).to_be_visible()

    first = rows(lambda: waiting(alice, atlas, "echo first"))
    expect(page.locator(f"#ask-{first.pk}")).to_contain_text("echo first", timeout=PATIENCE_MS)
    expect(page.get_by_text("Nothing waits for you")).to_be_hidden()
    second = rows(lambda: waiting(alice, atlas, "echo second"))
    expect(page.locator(f"#ask-{second.pk}")).to_be_visible(timeout=PATIENCE_MS)

    rows(lambda: approvals.decide(alice, Approval.objects.get(pk=first.pk), "deny", via="api"))
    expect(page.locator(f"#ask-{first.pk} .state.blocked")).to_have_text("refused", timeout=PATIENCE_MS)
    expect(page.locator(f"#ask-{first.pk}")).to_contain_text("by alice by the API")
    expect(page).to_have_title("(1) Approvals · Logos")
    expect(page.locator(f"#ask-{second.pk} [data-answer=once]")).to_be_visible()


def test_what_one_types_stays_while_others_come(cast: dict[str, Any], enter: Enter) -> None:
    alice, atlas = cast["alice"], cast["atlas"]
    asked = rows(lambda: waiting(alice, atlas, "echo first"))
    page = enter()
    page.locator(f"#ask-{asked.pk} [data-more=deny] summary").click()
    page.locator(f"#ask-{asked.pk} textarea").fill("Because")

    other = rows(lambda: waiting(alice, atlas, "echo second"))
    expect(page.locator(f"#ask-{other.pk}")).to_be_visible(timeout=PATIENCE_MS)

    expect(page.locator(f"#ask-{asked.pk} textarea")).to_have_value("Because")


def test_a_stale_click_is_told_who_was_first(cast: dict[str, Any], enter: Enter) -> None:
    alice = cast["alice"]
    asked = rows(lambda: waiting(alice, cast["atlas"]))
    page = enter(f"/approvals/{asked.pk}/")

    rows(lambda: approvals.decide(alice, Approval.objects.get(pk=asked.pk), "deny"))
    page.locator("[data-answer=once]").click()

    expect(page.locator("[data-error]")).to_contain_text("already decided by alice")


def test_on_a_phone_the_answers_stand_two_by_two(cast: dict[str, Any], enter: Enter) -> None:
    asked = rows(lambda: waiting(cast["alice"], cast["atlas"], "echo " + "x" * 400))
    page = enter(viewport=PHONE)

    card = page.locator(f"#ask-{asked.pk}")
    boxes = [card.locator(place).bounding_box() for place in (
        "[data-answer=once]", "[data-answer=run]", "[data-more=rule] summary", "[data-more=deny] summary")]  # fmt: skip

    assert all(box is not None and box["height"] >= 40 for box in boxes)
    once, run, rule, deny = (box or {} for box in boxes)
    assert once["y"] == run["y"] < rule["y"] == deny["y"]
    assert once["x"] == rule["x"] < run["x"] == deny["x"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_without_scripts_everything_is_a_form(cast: dict[str, Any], enter: Enter) -> None:
    asked = rows(lambda: waiting(cast["alice"], cast["atlas"]))
    page = enter(java_script_enabled=False)

    page.locator("[data-more=deny] summary").click()
    page.get_by_label("Reason").fill("No, thank you.")
    page.get_by_role("button", name="Refuse", exact=True).click()

    expect(page.get_by_text("Refused.", exact=True)).to_be_visible()
    assert rows(lambda: Approval.objects.get(pk=asked.pk).note) == "No, thank you."


def test_the_worker_is_taken_by_a_browser_under_our_rules(cast: dict[str, Any], enter: Enter) -> None:
    page = enter("/account/notifications/")
    expect(page.get_by_role("button", name="Switch on in this browser")).to_be_visible()

    scope = page.evaluate("""async () => {
      await navigator.serviceWorker.register("/push-worker.js");
      return (await navigator.serviceWorker.ready).scope;
    }""")

    assert scope.endswith("/")
