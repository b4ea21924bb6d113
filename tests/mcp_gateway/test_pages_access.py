"""The pages of access, calls and categories, and "ask every time": who sees and changes what, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents import composition, souls
from agents.models import Agent, Role, User, Visibility
from mcp_gateway import categories, pins, requesting, servers
from mcp_gateway.models import McpAccess, McpCall, McpCategory, McpServer
from sandboxes.models import ToolRule
from sandboxes.tool_server import rules
from tests.conftest import person

Browser = Callable[..., Client]

READ = {"name": "read_file", "description": "Reads a file.", "inputSchema": {"type": "object"}}


@pytest.fixture
def files(ada: User) -> McpServer:
    made = servers.create(ada, "files", "mcp-files", visibility=Visibility.SHARED, category="docs")
    pins.compare(made.pk, [READ])
    return made


@pytest.fixture
def hidden(ada: User) -> McpServer:
    return servers.create(ada, "hidden-server", "true")


@pytest.fixture
def atlas(alice: User) -> Agent:
    return composition.create(alice, "atlas-of-alice", souls.create("Soul", "Text.", alice))


def costs(look: Callable[[], Any]) -> int:
    """The queries of one look; the smaller of two, as one of them may also note when this session was last seen."""
    found = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as captured:
            assert look().status_code == 200
        found.append(len(captured))
    return min(found)


def call(agent: Agent, server: McpServer, **more: Any) -> McpCall:
    told = {"tool": "read_file", "outcome": "ok", "method": "tools/call", "via": "token", "at": timezone.now(), **more}
    return McpCall.objects.create(agent=agent, server=server, server_name=server.name, **told)


def test_my_agents_access_is_given_and_taken_on_one_page_and_a_stranger_sees_nothing(
    browser: Browser, alice: User, mallory: User, files: McpServer, hidden: McpServer, atlas: Agent
) -> None:
    given = {"do": "give", "agent": atlas.pk, "server": files.pk, "minutes": "90", "reason": "The week's triage"}

    empty = browser(alice).get("/mcp-access/").content.decode()
    wrong = browser(alice).post("/mcp-access/", {**given, "minutes": "soon"})
    unseen = browser(alice).post("/mcp-access/", {**given, "server": hidden.pk})
    foreign = browser(mallory).post("/mcp-access/", given)
    done = browser(alice).post("/mcp-access/", given)
    row = McpAccess.objects.get()
    shown = browser(alice).get("/mcp-access/").content.decode()
    others = browser(mallory).get("/mcp-access/").content.decode()
    theirs = browser(mallory).post("/mcp-access/", {"do": "take", "access": row.pk})
    taken = browser(alice).post("/mcp-access/", {"do": "take", "access": row.pk})

    assert "hidden-server" not in empty
    assert (wrong.status_code, "Minutes are a whole number" in wrong.content.decode()) == (400, True)
    assert "The week&#x27;s triage" in wrong.content.decode()
    assert (unseen.status_code, foreign.status_code, theirs.status_code) == (404, 404, 404)
    assert (done.status_code, taken.status_code) == (302, 302)
    assert "Take files from atlas-of-alice" in shown
    assert "The week&#x27;s triage" in shown
    assert "atlas-of-alice" not in others
    after = browser(alice).get("/mcp-access/").content.decode()
    over = browser(alice).get("/mcp-access/?state=over").content.decode()
    assert "The week&#x27;s triage" not in after
    assert "taken back" in over
    assert "Take files from" not in over


def test_what_has_ended_is_told_apart_and_the_name_of_an_unseen_server_leads_nowhere(
    browser: Browser, ada: User, alice: User, hidden: McpServer, atlas: Agent
) -> None:
    past = timezone.now() - timedelta(minutes=1)
    McpAccess.objects.create(agent=atlas, server=hidden, given_by=ada, expires_at=past)
    McpAccess.objects.create(agent=atlas, server=hidden, given_by=ada)

    now = browser(alice).get("/mcp-access/").content.decode()
    over = browser(alice).get("/mcp-access/?state=over").content.decode()

    assert f"/mcp-servers/{hidden.pk}/" not in now
    assert "no end" in now
    assert "ended" in over
    assert browser(alice).get(f"/mcp-servers/{hidden.pk}/access/").status_code == 404
    assert "atlas-of-alice" in browser(ada).get(f"/mcp-servers/{hidden.pk}/access/").content.decode()


def test_an_open_request_stands_before_who_may_answer_it(
    browser: Browser, alice: User, mallory: User, files: McpServer, atlas: Agent
) -> None:
    requesting.ask(atlas.pk, "files", "I was asked to tidy up.", None, "")

    assert "I was asked to tidy up." in browser(alice).get("/mcp-access/").content.decode()
    assert "tidy up" not in browser(mallory).get("/mcp-access/").content.decode()


def test_pages_of_access_and_calls_cost_the_same_however_long(
    browser: Browser, alice: User, files: McpServer, atlas: Agent
) -> None:
    client = browser(alice)
    pages = (
        "/mcp-access/",
        f"/mcp-servers/{files.pk}/access/",
        f"/mcp-servers/{files.pk}/calls/",
        f"/mcp-servers/{files.pk}/",
    )

    def fill(count: int) -> None:
        for _ in range(count):
            McpAccess.objects.create(agent=atlas, server=files, given_by=alice, reason="x" * 300)
            call(atlas, files, reason="y" * 300, tool="z" * 128, run_id="run_1")

    fill(2)
    before = [costs(lambda page=page: client.get(page)) for page in pages]
    fill(40)
    assert [costs(lambda page=page: client.get(page)) for page in pages] == before
    assert max(len(client.get(page).content) for page in pages) < 60_000


def test_calls_are_seen_by_who_manages_the_agent_and_narrowed_by_agent_and_outcome(
    browser: Browser, alice: User, mallory: User, files: McpServer, atlas: Agent
) -> None:
    call(atlas, files, tool="read_aloud")
    call(atlas, files, tool="burn_down", outcome="denied", reason="A rule says so.")
    address = f"/mcp-servers/{files.pk}/calls/"

    every = browser(alice).get(address).content.decode()
    refused = browser(alice).get(f"{address}?outcome=denied&agent={atlas.pk}").content.decode()
    others = browser(mallory).get(address).content.decode()

    assert "read_aloud" in every
    assert "burn_down" in refused
    assert "A rule says so." in refused
    assert "read_aloud" not in refused
    assert "read_aloud" not in others
    assert "atlas-of-alice" not in others


def test_categories_are_read_by_all_and_written_by_admins(
    browser: Browser, ada: User, alice: User, files: McpServer
) -> None:
    address = "/mcp-servers/categories/"
    typed = {"name": "docs", "access": "admin", "calls": "ask"}

    before = browser(alice).get(address).content.decode()
    refused = browser(alice).post(address, typed)
    wrong = browser(ada).post(address, {**typed, "calls": "burn", "name": "Überschrift"})
    done = browser(ada).post(address, typed)
    seen = browser(alice).get(address).content.decode()
    mine = browser(ada).get(f"{address}?name=docs").content.decode()
    removed = browser(ada).post(address, {"remove": "docs"})
    again = browser(ada).post(address, {"remove": "docs"})

    assert "docs" in before
    assert refused.status_code in (403, 404)
    assert (wrong.status_code, "Überschrift" in wrong.content.decode()) == (400, True)
    assert (done.status_code, removed.status_code, again.status_code) == (302, 302, 404)
    assert "ask first" in seen
    assert "1 server" in seen
    assert "Remove docs" not in seen
    assert "Remove docs" in mine
    assert '<option value="admin" selected>' in mine
    assert not McpCategory.objects.exists()


def test_many_categories_are_paged(browser: Browser, ada: User) -> None:
    for number in range(60):
        categories.put(ada, f"Kategorie {number:02} <b>", "user", "allow")

    page = browser(ada).get("/mcp-servers/categories/").content

    assert b"Next" in page
    assert b"<b>" not in page
    assert len(page) < 60_000


def test_ask_every_time_is_a_rule_of_the_one_table_for_all_or_for_one_agent(
    browser: Browser, ada: User, alice: User, mallory: User, files: McpServer, atlas: Agent
) -> None:
    address = f"/mcp-servers/{files.pk}/"
    ask = {"do": "rule", "rule": "ask 0 read_file"}

    own = browser(alice).post(address, {**ask, "for": atlas.pk})
    site = browser(alice).post(address, ask)
    foreign = browser(mallory).post(address, {**ask, "for": atlas.pk})
    unknown = browser(ada).post(address, {"do": "rule", "rule": "ask 0 no_such_tool"})
    rule = ToolRule.objects.get()
    shown = browser(alice).get(f"{address}?for={atlas.pk}").content.decode()
    everyones = browser(ada).get(address).content.decode()
    stale = browser(alice).post(address, {**ask, "for": atlas.pk})
    off = browser(alice).post(address, {"do": "rule", "rule": f"leave {rule.version} read_file", "for": atlas.pk})
    twice = browser(alice).post(address, {"do": "rule", "rule": f"leave {rule.version} read_file", "for": atlas.pk})

    assert (own.status_code, own["Location"]) == (302, f"{address}?for={atlas.pk}")
    assert (rule.tool, rule.tier, rule.layer, rule.agent) == ("mcp:files.read_file", "ask", "agent", atlas)
    assert site.status_code in (403, 404)
    assert (foreign.status_code, unknown.status_code) == (404, 404)
    assert "Do not ask every time for read_file" in shown
    assert "ask first" in shown
    assert "Ask every time for read_file" in everyones
    assert (stale.status_code, off.status_code, twice.status_code) == (409, 302, 409)
    assert not ToolRule.objects.exists()


def test_asking_keeps_how_often_and_follows_the_category(browser: Browser, ada: User, files: McpServer) -> None:
    address = f"/mcp-servers/{files.pk}/"
    rule = rules.put(ada, None, tool="mcp:files.read_file", tier="allow", per_minute=7, note="Fine", layer="site")

    done = browser(ada).post(address, {"do": "rule", "rule": f"ask {rule.version} read_file"})
    rule.refresh_from_db()
    asked = (rule.tier, rule.per_minute, rule.note)
    browser(ada).post(address, {"do": "rule", "rule": f"leave {rule.version} read_file"})
    categories.put(ada, "docs", "user", "block")
    blocked = browser(ada).get(address).content.decode()

    assert done.status_code == 302
    assert asked == ("ask", 7, "Fine")
    assert '<span class="state blocked">block</span>' in blocked


def test_a_server_with_very_many_tools_is_paged_and_small(browser: Browser, ada: User) -> None:
    made = servers.create(ada, "large", "mcp-large")
    tools = [{**READ, "name": f"tool_{n:03}", "description": "d" * 900} for n in range(120)]
    pins.compare(made.pk, tools)
    pins.compare(made.pk, [{**each, "description": "e" * 4_000} for each in tools[:30]] + tools[30:])

    page = browser(ada).get(f"/mcp-servers/{made.pk}/").content
    found = browser(ada).get(f"/mcp-servers/{made.pk}/?text=tool_11").content.decode()

    assert len(page) < 60_000
    assert b"There are more" in page
    assert "tool_119" in found
    assert "tool_109" not in found


def test_operators_see_what_users_do_not_change(browser: Browser, files: McpServer) -> None:
    otto = person("otto", Role.OPERATOR)
    page = browser(otto).get(f"/mcp-servers/{files.pk}/").content.decode()
    assert "Ask every time" not in page
    assert browser(otto).get("/mcp-servers/categories/").status_code == 200
