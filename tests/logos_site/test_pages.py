"""Home, login, errors and the frame around every page."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.template.loader import render_to_string
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from agents import composition
from agents.models import Agent, User
from tests.conftest import PASSWORD
from tests.runs.acting import ONE_COMMAND, ask, finished, play

Browser = Callable[..., Client]
ROOT = Path(settings.BASE_DIR)


def text_of(response) -> str:
    return response.content.decode()


def test_home_shows_what_runs_recent_chats_and_agents(browser: Browser, alice: User, atlas: Agent) -> None:
    live = play(ask(alice, atlas, "Live one"), ONE_COMMAND[:3])
    done = finished(alice, atlas, "Done one")

    page = text_of(browser(alice).get("/"))

    now, recent = page.split('id="recent"')
    assert "Live one" in now
    assert f"/chat/{live.conversation_id}/" in now
    assert "Done one" in recent
    assert f"/chat/{done.conversation_id}/" in recent
    assert f'href="/chat/new/{atlas.pk}/"' in page


def test_home_of_somebody_without_anything_teaches_one_thing(browser: Browser, mallory: User, atlas: Agent) -> None:
    page = text_of(browser(mallory).get("/"))

    assert "No agent is shared with you yet" in page
    assert "atlas" not in page


def test_home_shows_nothing_of_others(browser: Browser, alice: User, mallory: User, atlas: Agent) -> None:
    play(ask(alice, atlas, "Private matter"), ONE_COMMAND[:3])
    finished(alice, atlas, "Private too")

    assert "Private" not in text_of(browser(mallory).get("/"))


def test_an_agent_shared_with_a_person_is_on_their_home(browser: Browser, bob: User, atlas: Agent) -> None:
    page = text_of(browser(bob).get("/"))

    assert f'href="/chat/new/{atlas.pk}/"' in page
    assert "of alice" in page


def test_a_viewer_is_not_offered_what_ends_in_a_refusal(browser: Browser, viewer: User) -> None:
    page = text_of(browser(viewer).get("/"))

    assert "/chat/" not in page
    assert 'href="/runs/"' in page


def test_home_takes_few_queries(
    browser: Browser, alice: User, atlas: Agent, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(10):
        finished(alice, atlas)
    client = browser(alice)

    with django_assert_max_num_queries(9):
        client.get("/")


def test_strangers_are_sent_to_the_login_page(browser: Browser, ada: User) -> None:
    assert browser().get("/")["Location"] == "/accounts/login/?next=/"


def test_signing_in_leads_where_one_wanted_to_go(browser: Browser, ada: User) -> None:
    response = browser().post("/accounts/login/?next=/runs/", {"login": "ada", "password": PASSWORD, "next": "/runs/"})

    assert response["Location"] == "/runs/"


@pytest.mark.parametrize("login", ["ada", "ada@example.org"])
def test_one_may_sign_in_by_name_or_address(browser: Browser, ada: User, login: str) -> None:
    assert browser().post("/accounts/login/", {"login": login, "password": PASSWORD}).status_code == 302


def test_a_wrong_password_is_said_and_the_name_kept(browser: Browser, ada: User) -> None:
    page = text_of(browser().post("/accounts/login/", {"login": "ada", "password": "wrong password"}))

    assert 'role="alert"' in page
    assert 'value="ada"' in page
    assert "wrong password" not in page


def test_signing_in_never_leads_to_another_site(browser: Browser, ada: User) -> None:
    data = {"login": "ada", "password": PASSWORD, "next": "https://evil.example/"}

    assert browser().post("/accounts/login/", data)["Location"] == "/"


def test_a_suspended_person_is_out_at_once(browser: Browser, alice: User, ada: User, atlas: Agent) -> None:
    client = browser(alice)
    assert client.get("/").status_code == 200

    User.objects.filter(pk=alice.pk).update(is_active=False)

    assert client.get("/")["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/accounts/login/", "Sign in"),
        ("/accounts/signup/", "Sign Up Closed"),
    ],
)
def test_account_pages_of_strangers_are_in_our_frame(browser: Browser, ada: User, path: str, words: str) -> None:
    page = text_of(browser().get(path))

    assert words in page
    assert "css/app.css" in page


def test_the_password_can_be_changed(browser: Browser, alice: User) -> None:
    client, new = browser(alice), "another long password"
    data = {"oldpassword": PASSWORD, "password1": new, "password2": new}

    assert "Change password" in text_of(client.get("/accounts/password/change/"))
    client.post("/accounts/password/change/", data)

    alice.refresh_from_db()
    assert alice.check_password(new)


def test_signing_out_asks_first_and_then_does(browser: Browser, alice: User, ada: User) -> None:
    client = browser(alice)

    assert "Sign out?" in text_of(client.get("/accounts/logout/"))
    client.post("/accounts/logout/")

    assert client.get("/").status_code == 302


@pytest.mark.parametrize("path", ["/nothing/", "/runs/run_nothing/", "/chat/conv_nothing/"])
def test_what_is_not_there_has_a_calm_page(browser: Browser, alice: User, path: str) -> None:
    response = browser(alice).get(path)

    assert response.status_code == 404
    assert 'href="/"' in text_of(response)
    assert "css/app.css" in text_of(response)


@pytest.mark.parametrize("name", ["400", "403", "403_csrf", "404", "500"])
def test_error_pages_need_no_context(name: str) -> None:
    assert "css/app.css" in render_to_string(f"{name}.html")


@pytest.mark.parametrize(
    ("who", "links"),
    [
        (
            "ada",
            "/ /chat/ /approvals/ /runs/ /agents/ /souls/ /models/ /policies/ /mcp-servers/ /budgets/ /people/ /audit/ /admin/",
        ),
        ("alice", "/ /chat/ /approvals/ /runs/ /agents/ /souls/ /models/ /policies/ /mcp-servers/ /budgets/"),
        ("viewer", "/ /runs/ /agents/ /souls/ /mcp-servers/ /budgets/"),
    ],
)
def test_the_rail_has_only_what_one_may_use_and_every_link_opens(
    request: pytest.FixtureRequest, browser: Browser, who: str, links: str
) -> None:
    client = browser(request.getfixturevalue(who))
    rail = text_of(client.get("/")).split('aria-label="Main"')[1].split("</nav>")[0]

    assert re.findall(r'<a href="([^"]+)"', rail) == links.split()
    assert {client.get(link, follow=True).status_code for link in re.findall(r'<a href="([^"]+)"', rail)} == {200}


def test_the_rail_marks_the_page_one_is_on(browser: Browser, alice: User) -> None:
    page = text_of(browser(alice).get("/runs/"))

    assert re.search(r'href="/runs/" aria-current="page"', page)
    assert not re.search(r'href="/" aria-current="page"', page)


def test_the_console_links_back(browser: Browser, ada: User) -> None:
    page = text_of(browser(ada).get("/admin/"))

    assert "Logos console" in page
    assert "Back to Logos" in page


def test_pages_forbid_inline_scripts_and_styles_and_hold_none(
    browser: Browser, alice: User, ada: User, atlas: Agent
) -> None:
    run = finished(alice, atlas)
    addresses = ("/", f"/chat/{run.conversation_id}/", f"/chat/new/{atlas.pk}/", "/runs/", f"/runs/{run.pk}/")
    pages = [browser(alice).get(address) for address in addresses]
    pages.append(browser().get("/accounts/login/"))

    for response in pages:
        policy, page = response["Content-Security-Policy"], text_of(response)
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert not re.search(r"<script(?![^>]*\bsrc=)", page)
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page)


def test_every_page_has_a_title_one_heading_and_landmarks(browser: Browser, alice: User, atlas: Agent) -> None:
    run = finished(alice, atlas)

    for address in ("/", f"/chat/{run.conversation_id}/", "/runs/", f"/runs/{run.pk}/", f"/runs/{run.pk}/record/"):
        page = text_of(browser(alice).get(address))
        assert page.count("<h1") == 1, address
        assert page.count("<main") == 1, address
        assert re.search(r"<title>[^<]+ · Logos</title>", page), address
        assert len(page) < 60_000, address


def test_every_icon_that_is_used_is_drawn() -> None:
    drawn = set(re.findall(r'<symbol id="([^"]+)"', (ROOT / "static/icons.svg").read_text()))
    sources = [*(ROOT / "templates").rglob("*.html"), ROOT / "logos_site/navigation.py", ROOT / "runs/purposes.py"]
    used = {name for path in sources for name in re.findall(r'{% icon "([^"]+)"', path.read_text())}

    from logos_site.navigation import LINKS
    from runs.purposes import ICONS

    used |= {link.icon for link in LINKS} | set(ICONS.values()) | {"plug", "tool"}
    assert used <= drawn


def test_no_template_loads_anything_from_elsewhere() -> None:
    for path in [*(ROOT / "templates").rglob("*.html"), *(ROOT / "static").rglob("*.*")]:
        text = path.read_text().replace("http://www.w3.org/2000/svg", "").replace("http://127.0.0.1", "")
        assert not re.search(r"(?:src|href|url|import|fetch)\s*[=(]\s*[\"']?(?:https?:)?//", text), path


def test_home_shows_the_first_agents_and_the_way_to_the_others(browser: Browser, alice: User, atlas: Agent) -> None:
    for number in range(30):
        composition.create(alice, f"helper {number:02}", atlas.soul)

    page = browser(alice).get("/").content.decode()

    assert page.count('class="card agent"') == 24
    assert '<a href="/agents/">All agents</a>' in page
