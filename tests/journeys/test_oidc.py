"""Signing in with a real provider in a real browser, with and without scripts, under our content security policy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.conftest import PASSWORD, person
from tests.journeys.site import Complaints, a_browser
from tests.oidc import corporate

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore::authlib.deprecate.AuthlibDeprecationWarning"),
]


@pytest.fixture
def address(live_server: Any, settings: Any, transactional_db: None) -> Iterator[str]:
    """Of a Logos that trusts the provider "corp" with addresses; alice has an account."""
    person("alice")
    with corporate(settings, trusts_email=True):
        yield live_server.url.replace("127.0.0.1", "localhost")


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_somebody_signs_in_with_the_provider_and_out_again(address: str, scripts: bool) -> None:
    with a_browser() as browser:
        page = _page(browser.new_context(java_script_enabled=scripts).new_page())
        complaints = Complaints(page)

        page.goto(f"{address}/account/sessions/")
        page.get_by_role("button", name="Continue with Corp").click()
        _agree(page, "s-alice")

        expect(page).to_have_url(f"{address}/account/sessions/")  # where they were going
        expect(page.get_by_text("alice").first).to_be_visible()
        if not scripts:
            page.goto(f"{address}/accounts/logout/")
        page.get_by_role("button", name="Sign out").last.click()
        page.goto(f"{address}/account/")
        expect(page).to_have_url(re.compile("/accounts/login/"))
        assert complaints.unexpected == []


def test_somebody_without_an_account_is_told_so_on_the_sign_in_page(address: str) -> None:
    with a_browser() as browser:
        page = _page(browser.new_page())

        page.goto(f"{address}/accounts/login/")
        page.get_by_role("button", name="Continue with Corp").click()
        _agree(page, "s-liar")

        expect(page).to_have_url(re.compile("/accounts/login/"))
        expect(page.get_by_text("there is no account here for you to use")).to_be_visible()


def test_somebody_connects_the_provider_under_their_account_and_disconnects_it(address: str) -> None:
    with a_browser() as browser:
        page = _page(browser.new_page())
        complaints = Complaints(page)
        page.goto(f"{address}/accounts/login/?next=/account/sign-in/")
        page.get_by_label("User name or e-mail").fill("alice")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()

        page.get_by_role("button", name="Connect Corp").click()
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Confirm").click()
        _agree(page, "s-new")
        expect(page.get_by_text("new@example.org")).to_be_visible()

        page.get_by_role("button", name="Disconnect Corp").click()
        expect(page.get_by_text("Corp does not open your account any more.")).to_be_visible()
        assert complaints.unexpected == []


def _page(page: Page) -> Page:
    # The provider's own pages want a stylesheet from elsewhere.
    page.route("**/*", _answer)
    return page


def _answer(route: Route) -> None:
    if "://localhost:" in route.request.url:
        route.continue_()
    else:
        route.fulfill(body="", content_type="text/css")


def _agree(page: Page, sub: str) -> None:
    """Answer the provider's question; what its pages complain about is not ours."""
    page.wait_for_url(re.compile("/oauth2/authorize"))
    page.get_by_role("button", name=sub, exact=True).click()
