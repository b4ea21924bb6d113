"""A terminal in the page, in a real browser against a real sandbox: typed, seen, sized, left, ended, and within the policy."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from pytest_django.plugin import DjangoDbBlocker

from sandboxes.models import Sandbox, State
from tests.journeys.house import House, a_house, manage, until
from tests.journeys.site import Complaints, a_browser

pytestmark = [pytest.mark.browser, pytest.mark.runtime]
WAIT_MS = 90_000
SIGN_IN = """
from django.test import Client
from agents.models import User
client = Client()
client.force_login(User.objects.get(username="ada"), backend="allauth.account.auth_backends.AuthenticationBackend")
print(client.cookies["logos_session"].value)
"""


@pytest.fixture
def logos(django_db_blocker: DjangoDbBlocker) -> Iterator[House]:
    """A house with its static files collected, as ``up`` does."""
    with django_db_blocker.unblock(), a_house() as house:
        manage(house.home, "collectstatic", "--no-input", "--verbosity", "0")
        house.start()
        yield house


def test_a_person_works_in_a_terminal_and_leaves_it(logos: House) -> None:
    box = running(logos)
    with a_browser() as browser:
        page = signed_in(browser, logos)
        complaints = Complaints(page)
        page.goto(f"/sandboxes/{box.pk}/shell/")
        rows, state = page.locator(".xterm-rows"), page.locator("[data-shell-state]")
        expect(state).to_contain_text("Open. What", timeout=WAIT_MS)

        page.keyboard.type("echo $((6*7))-hi; stty size\n")
        expect(rows).to_contain_text("42-hi", timeout=WAIT_MS)
        # Colours that no class of xterm.js has are inline styles: the policy would forbid them.
        page.keyboard.type(r"printf '\033[38;2;200;0;90mpink\033[0m \033[4;58;5;99munder\033[0m\n'" + "\n")
        expect(rows.get_by_text("pink", exact=True).last).to_have_attribute(
            "style", re.compile("color"), timeout=WAIT_MS
        )
        before = columns(page)
        page.set_viewport_size({"width": 700, "height": 600})
        page.keyboard.type("tput cols\n")
        expect(rows).to_contain_text(re.compile(r"tput cols\s*\d+"), timeout=WAIT_MS)
        assert columns(page) < before

        page.keyboard.press("Control+Shift+L")
        expect(page.locator("[data-shell-enter]")).to_be_focused()
        page.keyboard.press("Tab")
        assert not page.evaluate("document.activeElement.matches('.xterm-helper-textarea')")
        page.locator("[data-shell-enter]").click()
        page.keyboard.type("exit 7\n")
        expect(state).to_have_text("The shell has ended. Exit code 7.", timeout=WAIT_MS)
        expect(page.locator("[data-shell-again]")).to_be_focused()

        page.locator("[data-shell-again]").click()
        expect(state).to_contain_text("Open.", timeout=WAIT_MS)
        page.keyboard.type("sleep 4711\n")
        until(lambda: logos.inside("sleep 4711"), "it runs", 60)
        page.goto("/")
        until(lambda: not logos.inside("sleep 4711"), "it ended with the page", 60)

    assert complaints.unexpected == []


def running(logos: House) -> Sandbox:
    """The agent's sandbox, once it runs."""
    logos.ask("hello", 120)
    return until(lambda: Sandbox.objects.filter(agent_id=logos.agent_id, state=State.RUNNING).first(), "it runs", 60)


def signed_in(browser: Browser, logos: House) -> Page:
    """A page of Ada's. The session is made by the house itself: it has a secret key of its own."""
    cookie = manage(logos.home, "shell", "--verbosity", "0", "-c", SIGN_IN).strip().splitlines()[-1]
    url = str(logos.http.base_url)
    context = browser.new_context(base_url=url)
    context.add_cookies([{"name": "logos_session", "value": cookie, "url": url}])
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    return page


def columns(page: Page) -> float:
    """How wide the terminal is drawn."""
    box = page.locator(".xterm-screen").bounding_box()
    assert box is not None
    return box["width"]
