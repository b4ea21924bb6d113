"""The whole way in a real browser: the first link, an agent that works, its record, and what goes wrong in between.

One ``manage.py up`` for all; the first run is made once, by the fixture, through the page.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pytest_django.plugin import DjangoDbBlocker

from runs.models import Run
from sandboxes.inference.rehearsal_lines import CONTINUATION, long_reply
from tests.journeys.house import PASSWORD
from tests.journeys.site import Complaints, Site, a_browser, a_site
from tests.journeys.sound import assert_sound

pytestmark = [pytest.mark.browser, pytest.mark.runtime]

LIVE = ".turn.agent[data-stream]"
SLOW = 120_000  # ms; a first answer waits for its sandbox


@dataclass
class First:
    """What the first run left behind."""

    site: Site
    chat_url: str
    state: dict
    complaints: list[str]


@pytest.fixture(scope="module")
def site(django_db_blocker: DjangoDbBlocker) -> Iterator[Site]:
    with django_db_blocker.unblock(), a_site() as site:
        yield site


@pytest.fixture(scope="module")
def chromium(site: Site) -> Iterator[Browser]:
    with a_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def first(site: Site, chromium: Browser) -> Iterator[First]:
    with contextlib.closing(chromium.new_context(base_url=site.url)) as context:
        page = context.new_page()
        complaints = Complaints(page)
        page.goto(site.first_link)
        page.get_by_label("User name").fill("ada")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("Password again").fill(PASSWORD)
        page.get_by_label(re.compile("rehearsal model")).check()
        page.get_by_label("Agent's name").fill("Atlas")
        page.get_by_label("First message", exact=True).fill("run: echo hello && id")
        page.get_by_role("button", name="Start").click()
        page.wait_for_url("**/chat/conv_*/")
        yield First(site, page.url, context.storage_state(), complaints.heard)


@pytest.fixture
def context(first: First, chromium: Browser) -> Iterator[BrowserContext]:
    """A signed-in browser profile of its own: no drafts of other tests."""
    context = chromium.new_context(base_url=first.site.url, storage_state=first.state)
    yield context
    context.close()


@pytest.fixture
def watched(context: BrowserContext) -> Iterator[tuple[Page, Complaints]]:
    page = context.new_page()
    complaints = Complaints(page)
    yield page, complaints
    assert complaints.unexpected == []


@pytest.fixture
def page(watched: tuple[Page, Complaints]) -> Page:
    """A signed-in page that must not complain."""
    return watched[0]


def new_chat(page: Page) -> None:
    page.goto("/chat/")
    page.get_by_role("link", name="New chat").first.click()
    page.wait_for_url("**/chat/new/*/")


def send(page: Page, text: str) -> None:
    page.get_by_role("textbox", name="Message to Atlas").fill(text)
    page.get_by_role("button", name="Send").click()


def run_id_of(page: Page) -> str:
    found = page.locator(".turn.agent").last.get_attribute("data-run")
    assert found
    return found


def words_of(page: Page) -> str:
    """What the agent said in its last turn, without how it is laid out."""
    return " ".join(" ".join(page.locator(".turn.agent").last.locator(".said").all_inner_texts()).split())


def until_done(page: Page, status: str = "completed") -> None:
    expect(page.locator(".turn.agent").last).to_have_attribute("data-status", status, timeout=SLOW)


def test_the_first_link_leads_to_an_agent_that_works(first: First, page: Page) -> None:
    page.goto(first.chat_url)

    until_done(page)
    expect(page.locator(".turn.agent .step")).to_have_count(1)
    page.locator(".turn.agent .step summary").click()
    expect(page.locator(".turn.agent .step .out.args")).to_contain_text("echo hello && id")
    expect(page.locator(".turn.agent .step .out").last).to_contain_text("uid=10001(agent)")
    expect(page.locator(".turn.agent .said").last).to_contain_text("hello")
    assert first.complaints == []
    run_id = run_id_of(page)
    run = first.site.rows(lambda: Run.objects.get(pk=run_id))
    assert first.site.rows(lambda: assert_sound(run))


def test_the_first_link_is_dead_once_there_is_an_administrator(first: First, watched: tuple[Page, Complaints]) -> None:
    page, complaints = watched
    complaints.expected.append("404")

    answer = page.goto(first.site.first_link)

    assert answer is not None
    assert answer.status == 404


def test_a_tool_is_seen_while_it_runs_and_its_run_can_be_opened(page: Page) -> None:
    new_chat(page)
    send(page, "run: sleep 3; echo hello && id")

    expect(page.locator(f"{LIVE} .step.running")).to_be_visible(timeout=SLOW)
    until_done(page)
    expect(page.locator(".turn.agent .said").last).to_contain_text("uid=10001(agent)")
    expect(page.locator(".turn.agent .foot")).to_contain_text("2 model calls")
    page.get_by_role("link", name="Open the run").click()
    page.wait_for_url("**/runs/run_*/")
    expect(page.locator("#run-state")).to_contain_text("done", ignore_case=True)
    expect(page.locator(".timeline .step")).to_have_count(1)
    expect(page.get_by_text("rehearsal-1").first).to_be_visible()


def test_a_reload_in_mid_run_shows_everything_and_goes_on_without_gap_or_duplicate(page: Page) -> None:
    new_chat(page)
    send(page, "words: 500\nslow: 20ms")
    expect(page.locator(f"{LIVE} .said")).to_contain_text("It says nothing new", timeout=SLOW)
    page.wait_for_url("**/chat/conv_*/")

    for _ in range(3):
        before = words_of(page)
        page.reload()
        expect(page.locator(LIVE)).to_be_visible()
        assert words_of(page).startswith(before)
        # More than was there before: the page's policy allows no expression that Playwright would evaluate.
        expect(page.locator(f"{LIVE} .said")).to_have_text(
            re.compile(rf".{{{len(before) + 20},}}", re.DOTALL), timeout=SLOW
        )

    until_done(page)
    assert words_of(page) == " ".join(long_reply(500).split())
    page.reload()
    assert words_of(page) == " ".join(long_reply(500).split())


def test_the_run_page_follows_a_run_live_and_survives_a_reload(page: Page) -> None:
    new_chat(page)
    send(page, "words: 80\nslow: 20ms")
    page.locator(LIVE).wait_for(timeout=SLOW)
    page.goto(f"/runs/{run_id_of(page)}/")

    expect(page.locator(".timeline[data-stream] .said")).to_contain_text("This is a long", timeout=SLOW)
    page.reload()
    expect(page.locator("#run-state")).to_contain_text("done", ignore_case=True, timeout=SLOW)
    said = " ".join(" ".join(page.locator(".timeline .said").all_inner_texts()).split())
    assert said == " ".join(long_reply(80).split())


def test_the_stop_button_stops(first: First, page: Page) -> None:
    new_chat(page)
    send(page, "words: 2000\nslow: 30ms")
    expect(page.locator(f"{LIVE} .said")).to_contain_text("This is", timeout=SLOW)

    page.get_by_role("button", name="Stop").click()

    expect(page.locator(".turn.agent").last).to_have_attribute("data-status", "cancelled", timeout=SLOW)
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    expect(page.locator(".turn.agent .foot")).to_contain_text("stopped", ignore_case=True)
    assert words_of(page).startswith("This is")


def test_everything_can_be_done_with_the_keyboard(page: Page) -> None:
    new_chat(page)
    box = page.get_by_role("textbox", name="Message to Atlas")
    expect(box).to_be_focused()
    page.keyboard.type("words: 2000")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("slow: 30ms")
    assert box.input_value() == "words: 2000\nslow: 30ms"

    page.keyboard.press("Enter")
    expect(page.locator(f"{LIVE} .said")).to_contain_text("This is", timeout=SLOW)
    page.keyboard.press("Escape")

    until_done(page, "cancelled")
    expect(box).to_be_focused()
    page.keyboard.type("run: sleep 60")
    page.keyboard.press("Enter")
    expect(page.locator(f"{LIVE} .step.running")).to_be_visible(timeout=SLOW)
    page.keyboard.press("Escape")
    expect(page.get_by_text("Esc again stops it")).to_be_visible()
    page.keyboard.press("Escape")
    until_done(page, "cancelled")
    for _ in range(40):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == "Open the run":
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/run_*/")


def test_a_dangerous_command_is_asked_about_and_runs_when_allowed(page: Page) -> None:
    new_chat(page)
    send(page, "run: mkdir -p doomed/deep && rm -rf doomed && echo it is gone")
    question = page.locator(f"{LIVE} .step.waiting")
    expect(question).to_contain_text("rm -rf doomed", timeout=SLOW)
    page.reload()
    expect(question).to_contain_text("rm -rf doomed")

    question.get_by_role("button", name="Allow once").click()

    expect(page.locator(".turn.agent .step.decided")).to_contain_text("allowed once by ada")
    until_done(page)
    expect(page.locator(".turn.agent .said").last).to_contain_text("it is gone")


def test_a_run_can_be_cloned_into_a_new_chat(page: Page) -> None:
    new_chat(page)
    send(page, "run: echo twice")
    until_done(page)
    page.goto(f"/runs/{run_id_of(page)}/")

    page.get_by_role("button", name="Clone into a new chat").click()

    page.wait_for_url("**/chat/conv_*/")
    until_done(page)
    expect(page.locator(".turn.agent")).to_have_count(1)
    expect(page.locator(".turn.agent .said").last).to_contain_text("twice")


def test_a_draft_survives_a_reload_and_goes_when_it_is_sent(page: Page) -> None:
    new_chat(page)
    box = page.get_by_role("textbox", name="Message to Atlas")
    box.fill("a half-written thought")

    page.reload()

    expect(box).to_have_value("a half-written thought")
    page.get_by_role("button", name="Send").click()
    until_done(page)
    expect(box).to_have_value("")
    page.reload()
    expect(box).to_have_value("")


def test_a_note_written_while_the_agent_works_is_sent_when_it_is_done(page: Page) -> None:
    new_chat(page)
    send(page, "words: 30\nslow: 30ms")
    page.locator(LIVE).wait_for(timeout=SLOW)
    send(page, "and then this")

    expect(page.get_by_text("Sent when the agent is done:")).to_be_visible()
    expect(page.locator(".turn.agent")).to_have_count(2, timeout=SLOW)
    until_done(page)
    expect(page.locator(".turn.agent .said").last).to_contain_text("and then this")


def test_a_phone_shows_all_of_it(first: First, chromium: Browser) -> None:
    context = chromium.new_context(
        base_url=first.site.url,
        storage_state=first.state,
        viewport={"width": 390, "height": 844},
        has_touch=True,
        is_mobile=True,
    )
    page = context.new_page()
    complaints = Complaints(page)
    page.goto(first.chat_url)
    until_done(page)
    send(page, "run: echo a-word-that-is-" + "very-" * 40 + "long")
    expect(page.locator(".turn.agent")).to_have_count(2, timeout=SLOW)
    until_done(page)

    for path in (first.chat_url, f"/runs/{run_id_of(page)}/", "/runs/", "/"):
        page.goto(path)
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 390, path
    page.goto(first.chat_url)
    box = page.get_by_role("textbox", name="Message to Atlas").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 844
    assert complaints.heard == []
    context.close()


def test_two_tabs_that_send_at_once_lose_nothing(context: BrowserContext, first: First) -> None:
    one, two = context.new_page(), context.new_page()
    new_chat(one)
    send(one, "hello")
    until_done(one)
    one.wait_for_url("**/chat/conv_*/")
    two.goto(one.url)
    send(one, "words: 60\nslow: 30ms")
    one.locator(LIVE).wait_for()

    send(two, "me too")

    expect(two.locator("[data-error]")).to_contain_text("still answering")
    expect(two.get_by_role("textbox", name="Message to Atlas")).to_have_value("me too")
    two.reload()
    until_done(one)
    until_done(two)
    assert words_of(two) == words_of(one) == " ".join(long_reply(60).split())


def test_the_page_outlives_a_killed_server(first: First, watched: tuple[Page, Complaints]) -> None:
    page, complaints = watched
    complaints.expected += ["ERR_", "Failed to load resource"]
    new_chat(page)
    send(page, "words: 2000\nslow: 15ms")
    expect(page.locator(f"{LIVE} .said")).to_contain_text("It says nothing new", timeout=SLOW)
    before = words_of(page)

    first.site.kill_serve()

    until_done(page)
    assert words_of(page).startswith(before)
    assert words_of(page).endswith(" ".join(CONTINUATION.replace("*", "").split())[-40:])
    live = words_of(page)
    page.reload()
    assert words_of(page) == live
    run_id = run_id_of(page)
    run = first.site.rows(lambda: Run.objects.get(pk=run_id))
    assert first.site.rows(lambda: assert_sound(run))


def test_up_ends_in_good_order(first: First) -> None:
    assert first.site.stop() < 60.0
