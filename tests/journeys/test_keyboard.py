"""The main ways through the site without a mouse: what is reached, and where one stands after a part is drawn anew."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

from agents import composition, routes, souls
from agents.models import Agent, Role
from runs import approvals
from runs.models import Approval, Status
from tests.conftest import PASSWORD, person
from tests.journeys.site import Complaints, a_browser
from tests.runs.acting import ONE_COMMAND, ask, play

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PATIENCE_MS = 120_000
MOST_TABS = 80
# The focused control: what it is called and what it is, and whether one sees on the screen that it has the focus.
AT = """() => {
  const at = document.activeElement;
  const style = getComputedStyle(at);
  const box = at.getBoundingClientRect();
  const name = at.getAttribute("aria-label") || at.labels?.[0]?.textContent || at.textContent;
  const ring = at.matches(":focus-visible") && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  return [name.trim(), at.localName, ring && box.width > 0 && box.bottom > 0 && box.top < innerHeight];
}"""


@dataclass(frozen=True)
class House:
    """An agent of Ada's, who may do everything, and a command of its that waits for her."""

    atlas: Agent
    asked: Approval
    cookie: dict[str, str]


@pytest.fixture
def house(transactional_db: None, live_server: Any) -> House:
    ada = person("ada", Role.ADMIN)
    routes.rehearsal_route(ada)
    atlas = composition.create(ada, "Atlas", souls.create("Steady hand", "You are calm.\n", ada))
    run = play(ask(ada, atlas, "Tidy the archive."), ONE_COMMAND)
    asked = approvals.request(run.pk, "rm -rf ./build", "Deletes a directory.")
    play(run, [("approval.requested", approvals.shown(asked))], Status.WAITING)
    client = Client()
    client.force_login(ada, backend="allauth.account.auth_backends.AuthenticationBackend")
    cookie = {"name": "logos_session", "value": client.cookies["logos_session"].value, "url": live_server.url}
    return House(atlas, asked, cookie)


@pytest.fixture
def page(house: House, live_server: Any) -> Iterator[Page]:
    """A browser in which nobody is signed in yet."""
    with a_browser() as browser:
        page = browser.new_context(base_url=live_server.url).new_page()
        heard = Complaints(page)
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        yield page
        expect.set_options(timeout=5_000)
    assert [words for words in heard.unexpected if "404" not in words] == []


def _tab_to(page: Page, name: str, kind: str) -> None:
    """Go on with Tab to the control of this name. On the way each is seen to have the focus."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        said, is_a, is_seen = page.evaluate(AT)
        assert is_seen, f"nothing shows that the focus is on {is_a} {said}"
        if is_a == kind and said.startswith(name):
            return
    raise AssertionError(f"{name} is not reached in {MOST_TABS} steps")


def test_one_signs_in_adds_a_server_and_lets_an_agent_use_it_by_keys_alone(page: Page) -> None:
    page.goto("/accounts/login/?next=/mcp-servers/")
    expect(page.get_by_label("User name or e-mail")).to_be_focused()
    page.keyboard.type("ada")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"^http://[^/]+/mcp-servers/$"))

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    _tab_to(page, "Add a server", "a")
    page.keyboard.press("Enter")
    page.wait_for_url("**/mcp-servers/new/")
    _tab_to(page, "Name", "input")
    page.keyboard.type("shelf")
    _tab_to(page, "Command", "input")
    page.keyboard.type("true")
    page.keyboard.press("Enter")
    page.wait_for_url("**/mcp-servers/mcp_*/")
    _tab_to(page, "Let it use shelf", "button")
    page.keyboard.press("Enter")

    expect(page.get_by_role("button", name="Take it from Atlas")).to_be_visible()


def test_the_focus_stays_where_a_part_is_drawn_anew_and_escape_gives_it_back(page: Page, house: House) -> None:
    page.context.add_cookies([house.cookie])  # type: ignore[list-item]
    page.goto(f"/runs/{house.asked.run_id}/")
    item = page.locator(f"[id$='question-{house.asked.pk}']")
    reason = item.get_by_label("Reason, told to who asked")

    _tab_to(page, "Refuse…", "summary")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(reason).to_be_focused()
    page.keyboard.press("Escape")
    expect(item.locator("[data-more=deny] > summary")).to_be_focused()
    expect(reason).to_be_hidden()
    item.get_by_role("button", name="Allow once").focus()
    page.keyboard.press("Enter")
    expect(item).to_contain_text("allowed once by ada")
    expect(item).to_be_focused()

    page.goto(f"/agents/{house.atlas.pk}/capabilities/")
    switch = page.locator("#capability-plan")
    switch.get_by_role("button", name="Turn on").focus()
    page.keyboard.press("Enter")
    expect(switch.get_by_role("button", name="Turn off")).to_be_visible()
    expect(switch).to_be_focused()

    page.set_viewport_size({"width": 390, "height": 780})
    opener = page.get_by_role("button", name="More", exact=True)
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="MCP servers")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".rail")).to_be_hidden()
    expect(opener).to_be_focused()
