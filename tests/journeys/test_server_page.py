"""The page of an MCP server in a browser: it renews itself without moving what is read; its form shows what is of its kind."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from agents.models import User
from mcp_gateway import servers
from mcp_gateway.models import McpHealth
from tests.journeys.site import Complaints, a_browser

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PATIENCE_MS = 120_000
TAIL = "() => { const log = document.querySelector('pre[data-tail]'); return [log.scrollTop, log.scrollHeight - log.clientHeight]; }"


def test_the_page_renews_itself_and_the_form_shows_what_is_of_its_kind(
    live_server: Any, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Playwright keeps an event loop in this thread, which alone reaches the rows of the test.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    shelf = servers.create(ada, "shelf", "mcp-shelf")
    health = McpHealth.objects.filter(server=shelf)
    health.update(state="ready", errors="\n".join(f"line {number}" for number in range(120)))
    client = Client()
    client.force_login(ada, backend="allauth.account.auth_backends.AuthenticationBackend")
    cookie: Any = {"name": "logos_session", "value": client.cookies["logos_session"].value, "url": live_server.url}
    with a_browser() as browser:
        context = browser.new_context(base_url=live_server.url)
        context.add_cookies([cookie])
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        heard = Complaints(page)

        page.goto(f"/mcp-servers/{shelf.pk}/")
        health.update(state="parked", reason="Ended five times.", errors="\n".join(map(str, range(150))))
        page.get_by_text("Ended five times.").wait_for()
        at, end = page.evaluate(TAIL)
        assert abs(at - end) < 2  # the end is in sight

        page.evaluate("() => { document.querySelector('pre[data-tail]').scrollTop = 40; }")
        page.wait_for_function("() => document.querySelector('pre[data-tail]').scrollTop === 40")
        health.update(reason="Once more.", errors="\n".join(map(str, range(170))))
        page.get_by_text("Once more.").wait_for()
        assert page.evaluate(TAIL)[0] == 40  # what is being read does not move

        page.goto("/mcp-servers/new/")
        command, address = page.locator("[name=command]"), page.locator("[name=url]")
        assert command.is_visible()
        assert not address.is_visible()
        page.get_by_text("Elsewhere, over HTTP").click()
        address.wait_for()
        assert not command.is_visible()
        assert heard.unexpected == []
