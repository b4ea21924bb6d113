"""Follow every link of every page, as each role, from the home page on: none ends nowhere."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from html import unescape
from urllib.parse import urljoin, urlsplit

import pytest
from django.test import Client

from agents.models import ModelRoute, User
from tests.journeys.plenty import plenty

pytestmark = pytest.mark.sweep

# An id stands for all of its kind: the second agent's page has the links of the first's.
_IDS = re.compile(
    r"(?<=[/_=])(?:[a-z]+_5?F?[0-9a-z]{26}|[0-9]+)(?=[/&]|$)|(?:(?<=/presets/)|(?<=/preset/))(?!new/)[a-z0-9-]+(?=/|$)"
)
# Files, what leaves, and what asks another machine (a provider of this house answers nobody).
_SKIPPED = re.compile(r"^/(static/|accounts/logout|account/export|providers/[^/]+/models/)")
MOST = 700


def links(page: str, at: str) -> Iterator[str]:
    """The addresses on this site that the page links to."""
    for found in re.findall(r'<a\s[^>]*?href="([^"]*)"', page):
        parts = urlsplit(urljoin(at, unescape(found)))
        if not parts.netloc and parts.scheme in ("", "http") and not found.startswith("#"):
            yield f"{parts.path}{'?' + parts.query if parts.query else ''}"


def kinds(path: str) -> set[str]:
    """What is new about an address: the page, ids apart, and each question it may be asked. Their combinations are
    the same code again."""
    parts = urlsplit(path)
    page = _IDS.sub("ID", parts.path)
    names = {pair.partition("=")[0] for pair in parts.query.split("&") if pair} - {"_changelist_filters"}
    return {page, *(f"{page}?{name}" for name in names)}


@pytest.mark.parametrize("who", ["ada", "olga", "alice", "viola"])
def test_no_link_ends_nowhere(who: str, route: ModelRoute) -> None:
    plenty()
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.get(username=who), backend="allauth.account.auth_backends.AuthenticationBackend")
    waiting, met, dead = deque([("/", "")]), kinds("/"), []

    while waiting and len(met) < MOST:
        path, source = waiting.popleft()
        if _SKIPPED.match(path):
            continue
        answer = client.get(path)
        if answer.status_code not in (200, 302):
            dead.append(f"{path} on {source}: {answer.status_code}")
        elif answer.status_code == 200 and not answer.streaming and "html" in answer.headers["Content-Type"]:
            for link in links(answer.content.decode(), path):
                if not kinds(link) <= met:
                    met |= kinds(link)
                    waiting.append((link, path))

    assert not dead
    assert len(met) > {"ada": 200, "olga": 100, "alice": 40, "viola": 15}[who]
    assert not waiting, "more kinds of pages than this test allows for"
