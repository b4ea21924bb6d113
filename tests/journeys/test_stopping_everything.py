"""The red button in a real browser, with the real runtime: what works ends, every page says so, and it goes on again."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from pytest_django.plugin import DjangoDbBlocker

from runs.models import Run
from tests.journeys.house import PASSWORD
from tests.journeys.site import Complaints, Site, a_browser, a_site
from tests.journeys.sound import assert_sound

pytestmark = [pytest.mark.browser, pytest.mark.runtime]

SLOW = 120_000  # ms; a first answer waits for its sandbox
WHY = "A model runs wild"


@pytest.fixture(scope="module")
def site(django_db_blocker: DjangoDbBlocker) -> Iterator[Site]:
    with django_db_blocker.unblock(), a_site() as site:
        yield site


@pytest.fixture(scope="module")
def chromium(site: Site) -> Iterator[Browser]:
    with a_browser() as browser:
        yield browser


def begun(page: Page, site: Site) -> None:
    """The first run, still working in its sandbox."""
    page.goto(site.first_link)
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.get_by_label(re.compile("rehearsal model")).check()
    page.get_by_label("Agent's name").fill("Atlas")
    page.get_by_label("First message", exact=True).fill("run: sleep 1234; echo never")
    page.get_by_role("button", name="Start").click()
    page.wait_for_url("**/chat/conv_*/")
    expect(page.locator(".turn.agent .step.running")).to_be_visible(timeout=SLOW)


def test_everything_stops_says_so_and_goes_on(site: Site, chromium: Browser) -> None:
    page = chromium.new_context(base_url=site.url).new_page()
    complaints = Complaints(page)
    begun(page, site)
    chat = page.url
    run_id = page.locator(".turn.agent").last.get_attribute("data-run")

    page.get_by_role("link", name="Stop everything…").click()
    page.get_by_label("Everything", exact=True).check()
    page.get_by_label(re.compile("^Why")).fill(WHY)
    page.get_by_label(re.compile("^Type")).fill("STOP")
    page.get_by_role("button", name="Stop now").click()

    banner = page.locator(".halted")
    expect(banner).to_contain_text(f"Everything is stopped: {WHY}.", timeout=SLOW)
    page.goto(chat)
    expect(page.locator(".turn.agent").last).to_have_attribute("data-status", "cancelled", timeout=SLOW)
    expect(banner).to_contain_text(WHY)
    page.goto("/admin/")
    expect(banner).to_contain_text(f"Everything is stopped: {WHY}.")
    assert site.rows(lambda: assert_sound(Run.objects.get(pk=run_id)))

    page.goto(chat)
    complaints.expected.append("423")
    page.get_by_role("textbox", name="Message to Atlas").fill("hello")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("Nothing is lost: it can go on once somebody who may resumes it.")).to_be_visible(
        timeout=SLOW
    )

    page.goto("/stop/")
    page.locator(".halted").get_by_role("link", name="Details").click()
    page.get_by_role("button", name="Resume", exact=True).click()
    expect(banner).to_have_count(0, timeout=SLOW)

    page.goto(chat)
    page.get_by_role("textbox", name="Message to Atlas").fill("hello again")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".turn.agent").last).to_have_attribute("data-status", "completed", timeout=SLOW)
    assert complaints.unexpected == []
