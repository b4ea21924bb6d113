"""Every page and every console list of a house full of long names, on a phone: nothing sticks out, nothing is nameless."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db.models import Model
from django.test import Client
from playwright.sync_api import Page

from agents.models import Provider, User
from tests.doors import addresses, filled
from tests.journeys.plenty import plenty
from tests.journeys.site import Complaints, a_browser

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PHONE = {"width": 390, "height": 844}
# Signing out would end the walk; the data of the console's translations are no page.
SKIPPED = ("/api", "/static", "/accounts/logout", "/admin/logout", "/admin/jsi18n")

# What is wrong with a page as it stands: sentences, none when it is well.
WRONG = """() => {
  const seen = (element) => element.checkVisibility({ visibilityProperty: true });
  const controls = [...document.querySelectorAll(
    "a[href], button, summary, input:not([type=hidden]), select, textarea")].filter(seen);
  const name = (each) => [each.getAttribute("aria-label"), each.title, each.textContent, each.placeholder, each.value,
    each.querySelector("[aria-label]")?.getAttribute("aria-label"), ...[...each.labels || []].map((l) => l.textContent),
  ].some((words) => words?.trim());
  const found = [];
  const wider = document.documentElement.scrollWidth - innerWidth;
  if (wider > 0) found.push(`${wider} pixels wider than the window`);
  if (document.querySelectorAll("h1").length !== 1) found.push("not exactly one h1");
  if (!document.title || document.documentElement.lang !== "en") found.push("no title or language");
  for (const each of controls) if (!name(each)) found.push(`no name: ${each.outerHTML.slice(0, 120)}`);
  for (const each of controls) {
    if (!each.matches("input:not([type=submit], [type=button]), select, textarea")) continue;
    if (!each.labels?.length && !each.getAttribute("aria-label") && !each.getAttribute("aria-labelledby"))
      found.push(`no label: ${each.outerHTML.slice(0, 120)}`);
  }
  const ids = [...document.querySelectorAll("[id]")].map((each) => each.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push(`twice on the page: #${id}`);
  return found;
}"""


def _client(user: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def _console_rows() -> Iterator[str]:
    """One form page of every model that has a row."""
    for model in admin.site._registry:
        row = model._default_manager.first()
        if row is not None:
            yield f"/admin/{model._meta.app_label}/{model._meta.model_name}/{quote(row.pk)}/change/"


def _paths(rows: dict[type[Model], Any]) -> Iterator[str]:
    for address in dict.fromkeys(addresses()):
        if address.startswith(SKIPPED) or (address.startswith("/admin/") and "<" in address):
            continue
        address = address.replace("<str:provider_id>", rows[Provider].pk)
        yield filled(address, rows)
    yield from _console_rows()


def _is_page(client: Client, path: str) -> bool:
    answer = client.get(path)
    return not answer.streaming and answer.status_code == 200 and b"<!doctype html" in answer.content[:200].lower()


def test_every_page_of_a_full_house_fits_a_phone_and_names_what_it_offers(live_server: Any) -> None:
    rows = plenty()
    clients = {user.username: _client(user) for user in (rows[User], User.objects.get(username="ada"))}
    found = [(name, path) for path in _paths(rows) for name, client in clients.items() if _is_page(client, path)]
    assert len(found) > 120  # the walk itself works

    wrong: dict[str, list[str]] = {}
    with a_browser() as browser:
        for name, client in clients.items():
            context = browser.new_context(base_url=live_server.url, viewport=PHONE, color_scheme="dark")
            cookie = client.cookies["logos_session"].value
            context.add_cookies([{"name": "logos_session", "value": cookie, "url": live_server.url}])
            page = context.new_page()
            heard = Complaints(page)
            for path in [path for who, path in found if who == name]:
                if problems := _problems(page, heard, path):
                    wrong[f"{name} {path}"] = problems
    assert wrong == {}


def _problems(page: Page, heard: Complaints, path: str) -> list[str]:
    heard.heard.clear()
    page.goto(path)
    page.wait_for_load_state("load")
    # The test's server cannot stream; what is shown live is looked at elsewhere.
    complaints = [words for words in heard.unexpected if "404" not in words]
    return [*page.evaluate(WRONG), *complaints]
