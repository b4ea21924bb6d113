"""The frame in a real browser: the palette, the keys, the phone's bar, a form that two people save, no scripts at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect

from agents import composition, permissions, routes, souls
from agents.models import Policy, Role, User
from tests.conftest import person
from tests.journeys.site import Complaints, a_browser
from tests.rules import rules
from tests.runs.acting import finished

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Enter = Callable[..., Page]
PHONE = {"width": 390, "height": 780}


@pytest.fixture
def cast(transactional_db: None) -> dict[str, Any]:
    """Ada and Olga who run things, Alice with two agents and a run, a policy Olga may edit."""
    ada, alice, olga = person("ada", Role.ADMIN), person("alice"), person("olga", Role.OPERATOR)
    routes.rehearsal_route(ada)
    soul = souls.create("Steady hand", "You are calm.\n", alice)
    atlas = composition.create(alice, "Atlas", soul, description="Looks after the build.")
    bertha = composition.create(alice, "Bertha", soul)
    finished(alice, atlas, "Why is the build slow?")
    finished(alice, atlas, "Another one")
    policy = Policy.objects.create(name="Python", description="Packages", rules=rules("pypi.org"), owner=ada)
    permissions.grant(olga, "manage", policy)
    return {"ada": ada, "alice": alice, "olga": olga, "atlas": atlas, "bertha": bertha, "policy": policy}


@pytest.fixture
def enter(cast: dict[str, Any], live_server: Any) -> Iterator[Enter]:
    """``enter("alice", "/runs/")``: a page of a browser of her own; at the end nothing may have complained."""
    cookies = {name: _cookie(cast[name]) for name in ("ada", "alice", "olga")}
    heard: list[Complaints] = []
    with a_browser() as browser:

        def go(name: str, path: str, **options: Any) -> Page:
            page = _context(browser, live_server.url, cookies[name], **options).new_page()
            heard.append(Complaints(page))
            page.set_default_timeout(60_000)
            page.goto(path)
            return page

        yield go
    assert [words for each in heard for words in each.unexpected if "409" not in words] == []


def _cookie(user: User) -> str:
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client.cookies["logos_session"].value


def _context(browser: Browser, url: str, cookie: str, **options: Any) -> BrowserContext:
    context = browser.new_context(base_url=url, **options)
    context.add_cookies([{"name": "logos_session", "value": cookie, "url": url}])
    return context


def _chosen(page: Page) -> str:
    """The title of the option a screen reader would be on."""
    number = page.locator("#palette [role=combobox]").get_attribute("aria-activedescendant")
    return page.locator(f"#{number} .clip").first.inner_text()


def test_the_palette_opens_finds_and_goes_by_keys_alone(enter: Enter, cast: dict[str, Any]) -> None:
    page = enter("alice", "/")

    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="Search pages, agents, runs and actions")
    expect(field).to_be_focused()
    page.keyboard.type("bertha")
    expect(page.get_by_role("option", name="New chat with Bertha")).to_be_visible()
    assert _chosen(page) == "Bertha"
    page.keyboard.press("ArrowDown")
    assert _chosen(page) == "New chat with Bertha"
    expect(page.get_by_role("option", selected=True)).to_have_count(1)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")  # round to the last one
    assert _chosen(page) == "Look for “bertha” in all runs"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/agents/{cast['bertha'].pk}/")

    page.keyboard.press("Control+k")
    expect(page.get_by_role("group", name="Recent").get_by_role("option", name="Bertha")).to_be_visible()


def test_escape_closes_the_palette_only_and_gives_the_focus_back(enter: Enter) -> None:
    page = enter("alice", "/runs/")
    opener = page.locator("[data-palette-open]")
    opener.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Search and actions")
    expect(dialog).to_be_visible()

    # Focus stays inside, however often one goes on.
    for _ in range(12):
        page.keyboard.press("Tab")
        assert page.evaluate("!document.activeElement || document.activeElement === document.body"
                             " || document.getElementById('palette').contains(document.activeElement)")  # fmt: skip
    page.keyboard.press("Escape")

    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()
    assert page.url.endswith("/runs/")


def test_control_enter_opens_another_tab_and_actions_act(enter: Enter) -> None:
    page = enter("alice", "/")
    page.keyboard.press("Control+k")
    page.keyboard.type("atlas")
    expect(page.get_by_role("option", name="New chat with Atlas")).to_be_visible()
    with page.context.expect_page() as opened:
        page.keyboard.press("Control+Enter")
    opened.value.wait_for_url("**/agents/agent_*/")
    page.keyboard.press("Escape")

    before = page.evaluate("document.documentElement.dataset.theme || ''")
    page.keyboard.press("Control+k")
    page.keyboard.type("dark")
    page.keyboard.press("Enter")
    page.wait_for_function("before => (document.documentElement.dataset.theme || '') !== before", arg=before)

    page.keyboard.press("Control+k")
    page.keyboard.type("sign out")
    page.keyboard.press("Enter")  # at once: what counts is what was typed, not what was shown before
    page.wait_for_url(re.compile("/accounts/login/"))


def test_single_keys_go_move_open_and_search(enter: Enter, cast: dict[str, Any]) -> None:
    page = enter("alice", "/")
    page.keyboard.press("g")
    page.keyboard.press("r")
    page.wait_for_url("**/runs/")

    page.keyboard.press("j")
    expect(page.get_by_role("link", name="Another one")).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("j")  # the last stays the last
    expect(page.get_by_role("link", name="Why is the build slow?")).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/run_*/")

    page.keyboard.press("g")
    page.keyboard.press("a")
    page.wait_for_url("**/agents/")
    page.keyboard.press("/")
    expect(page.locator("[data-search]")).to_be_focused()
    page.keyboard.type("gr?jk")  # letters in a field are letters
    expect(page.locator("[data-search]")).to_have_value("gr?jk")
    assert page.url.endswith("/agents/")


def test_the_sheet_lists_the_keys_and_no_key_acts_behind_it(enter: Enter) -> None:
    page = enter("alice", "/runs/")
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(sheet).to_be_visible()
    expect(sheet.get_by_text("Agents", exact=True)).to_be_visible()
    expect(sheet.get_by_text("People", exact=True)).to_have_count(0)  # not a place of hers

    page.keyboard.press("g")
    page.keyboard.press("h")
    page.keyboard.press("j")
    page.wait_for_timeout(200)
    assert page.url.endswith("/runs/")
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()


def test_who_saves_second_sees_the_difference_and_decides(enter: Enter, cast: dict[str, Any]) -> None:
    path = f"/policies/{cast['policy'].pk}/"
    ada, olga = enter("ada", path), enter("olga", path)
    ada.get_by_role("textbox", name="Rules").fill("pypi.org\nfiles.pythonhosted.org")
    ada.get_by_role("button", name="Save").click()
    expect(ada.get_by_text("Python is saved.")).to_be_visible()

    olga.get_by_label("Description").fill("What pip needs")
    olga.get_by_role("button", name="Save").click()

    conflict = olga.get_by_role("alert").filter(has_text="Somebody saved this first.")
    expect(conflict).to_contain_text("ada saved")
    expect(conflict.locator("ins")).to_contain_text("files.pythonhosted.org")
    expect(olga.get_by_label("Description")).to_have_value("What pip needs")
    expect(olga.get_by_role("textbox", name="Rules")).to_have_value("pypi.org\nfiles.pythonhosted.org")
    olga.get_by_role("button", name="Save").click()
    expect(olga.get_by_text("Python is saved.")).to_be_visible()
    expect(olga.get_by_role("textbox", name="Rules")).to_have_value("pypi.org\nfiles.pythonhosted.org")
    expect(olga.get_by_label("Description")).to_have_value("What pip needs")


def test_whoever_thinks_better_of_it_discards_their_own(enter: Enter, cast: dict[str, Any]) -> None:
    path = f"/policies/{cast['policy'].pk}/"
    first, second = enter("ada", path), enter("ada", path)
    first.get_by_label("Description").fill("First")
    first.get_by_role("button", name="Save").click()
    second.get_by_label("Description").fill("Second")
    second.get_by_role("button", name="Save").click()
    expect(second.get_by_text("You, in another window")).to_be_visible()

    second.get_by_role("link", name="Discard mine").click()

    expect(second.get_by_label("Description")).to_have_value("First")
    expect(second.get_by_text("Somebody saved this first.")).to_have_count(0)


def test_a_phone_has_four_places_and_the_others_behind_more(enter: Enter) -> None:
    page = enter("ada", "/runs/", viewport=PHONE)
    bar = page.get_by_role("navigation", name="Main, small screens")
    expect(bar.get_by_role("link")).to_have_count(4)
    expect(page.locator(".rail")).to_be_hidden()

    bar.get_by_role("button", name="More").click()
    expect(page.get_by_role("link", name="Policies")).to_be_visible()
    page.keyboard.press("g")  # a sheet lies on top: no key goes anywhere
    page.keyboard.press("h")
    page.keyboard.press("Escape")
    expect(page.locator(".rail")).to_be_hidden()
    assert page.url.endswith("/runs/")

    bar.get_by_role("button", name="More").click()
    page.locator("[data-palette-open]").click()
    expect(page.get_by_role("dialog", name="Search and actions")).to_be_visible()
    page.get_by_role("option", name="Policies").click()
    page.wait_for_url("**/policies/")


@pytest.mark.parametrize("path", ["/", "/runs/", "/models/", "/policies/", "/agents/", "/people/", "/search/?q=a"])
def test_no_page_is_wider_than_a_phone(enter: Enter, path: str) -> None:
    page = enter("ada", path, viewport=PHONE)

    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_without_scripts_the_search_is_a_page_and_forms_work(enter: Enter, cast: dict[str, Any]) -> None:
    page = enter("ada", "/", java_script_enabled=False)
    page.get_by_role("link", name="Search").first.click()
    page.get_by_role("searchbox").fill("python")
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_role("link", name="Python Packages").click()
    page.get_by_label("Description").fill("By hand")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Python is saved.")).to_be_visible()
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete policy Python").click()
    expect(page.get_by_text("Python is deleted.")).to_be_visible()


def test_relative_times_go_on_and_tell_the_exact_one(enter: Enter, cast: dict[str, Any]) -> None:
    page = enter("alice", "/runs/")
    page.clock.install()
    page.reload()
    shown = page.locator("td.begun time").first
    expect(shown).to_have_text("just now")
    assert re.search(r"\d{4}", shown.get_attribute("title") or "")

    page.clock.fast_forward("05:00")

    expect(shown).to_have_text(re.compile("^[45] min ago$"))
