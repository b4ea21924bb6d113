"""Where servers connected to: kept as rows, bounded, read by whoever may edit the server, with who allowed which host."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents import acting, composition, souls
from agents.halts import Halts, Held
from agents.models import Agent, Role, User
from mcp_gateway import boxes, servers
from mcp_gateway.connections import reading, rows
from mcp_gateway.connections.rows import Noted
from mcp_gateway.connections.ways import stopped
from mcp_gateway.models import McpConnection, McpServer
from sandboxes.egress.proxy import Decision
from tests.api_client import Program
from tests.conftest import person

Browser = Callable[..., Client]

NOW = timezone.now()
EVERYTHING, ATLAS = Held("h", "everything"), Held("h", "agent", "atlas")
CHOSEN = Held("h", "everything", stage="chosen", chosen=frozenset({"atlas"}))
FILES = Held("h", "server", "files")


@pytest.fixture
def olga(db: Any) -> User:
    return person("olga", Role.ADMIN)


@pytest.fixture
def olive(db: Any) -> User:
    """Who looks after the server, and sees no agent of others."""
    return person("olive", Role.OPERATOR)


@pytest.fixture
def server(ada: User, olga: User, olive: User) -> McpServer:
    with acting.through("page", ada):
        made = servers.create(ada, "files", "true", hosts=["api.example.org"], enabled=False, visibility="shared")
    with acting.through("api", olga):
        servers.change(olga, made.pk, None, hosts=["api.example.org", "*.example.net:8443"])
    made.refresh_from_db()
    made.owner = olive
    made.save()
    return made


def noted(server: McpServer, id: str, agent: Agent | None = None, **parts: Any) -> Noted:
    given = {"host": "api.example.org", "port": 443, "binary": "/usr/bin/curl", "allowed": True, **parts}
    decision = Decision(id, rule="api.example.org" if given["allowed"] else "", reason="Because.", **given)
    return Noted(server.pk, server.name, agent.pk if agent else "", decision, timezone.now())


@pytest.mark.parametrize(
    ("held", "agent", "closed"),
    [
        ((), "", False),
        ((EVERYTHING,), "", True),
        ((EVERYTHING,), "atlas", True),
        ((ATLAS,), "", False),
        ((ATLAS,), "atlas", True),
        ((ATLAS,), "bruno", False),
        ((CHOSEN,), "", False),
        ((CHOSEN,), "atlas", False),
        ((CHOSEN,), "bruno", True),
        ((CHOSEN, FILES), "atlas", True),
        ((FILES,), "", True),
        ((Held("h", "server", "mail"),), "", False),
        ((Held("h", "person", "7"),), "atlas", False),
    ],
)
def test_which_stop_closes_which_sandbox(held: tuple[Held, ...], agent: str, closed: bool) -> None:
    assert bool(stopped(Halts(held), agent, ("machine", "files"))) is closed


def test_records_say_which_host_let_it_through() -> None:
    reach = boxes.reach(["api.example.org", "*.example.net:8443", "example.net"])

    assert reach.decide("api.example.org", 443).rule == "api.example.org"
    assert reach.decide("a.b.example.net", 8443).rule == "*.example.net:8443"
    assert not reach.decide("example.net", 8443)
    assert not reach.decide("a.example.net", 443)


def test_a_connection_is_one_row_when_it_begins_and_when_it_is_over(server: McpServer) -> None:
    rows.store([noted(server, "conn_1"), noted(server, "conn_2", host="evil.example", allowed=False, is_over=True)])
    rows.store([noted(server, "conn_1", sent=5, received=7, duration_ms=2.5, is_over=True)])
    rows.store([noted(server, "conn_1", sent=5, received=7, duration_ms=2.5, is_over=True)])
    gone = Noted("mcp_gone", "gone", "agent_gone", noted(server, "conn_3").decision, timezone.now())
    rows.store([gone])

    one, two, three = McpConnection.objects.order_by("pk")
    assert (one.server, one.sent, one.received, one.duration_ms, one.allowed) == (server, 5, 7, 2.5, True)
    assert (two.host, two.allowed, two.rule) == ("evil.example", False, "")
    assert (three.server, three.server_name, three.agent) == (None, "gone", None)


def test_what_is_old_or_too_much_is_forgotten(
    server: McpServer, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    rows.store([noted(server, f"conn_{number}") for number in range(5)])
    McpConnection.objects.filter(pk="conn_0").update(at=NOW - timedelta(days=settings.LOGOS_EGRESS_DAYS + 1))
    monkeypatch.setattr(rows, "MOST_PER_SERVER", 2)

    assert (rows.sweep(), rows.sweep(), rows.sweep()) == (1, 2, 0)
    assert sorted(McpConnection.objects.values_list("pk", flat=True)) == ["conn_3", "conn_4"]


def test_it_is_told_who_allowed_which_host_and_whether_it_was_needed(ada: User, olga: User, server: McpServer) -> None:
    rows.store([noted(server, "conn_1"), noted(server, "conn_2")])
    with acting.through("page", ada):
        servers.change(ada, server.pk, None, hosts=["*.example.net:8443"])

    wild, former = reading.hosts(servers.rows().get(pk=server.pk))
    assert (wild.host, wild.allowed_by, wild.count, wild.is_allowed) == (
        "*.example.net:8443",
        olga.display_name,
        0,
        True,
    )
    assert (former.host, former.allowed_by, former.count) == ("api.example.org", ada.display_name, 2)
    assert not former.is_allowed
    with acting.through("page", olga):
        servers.change(olga, server.pk, None, hosts=["api.example.org"])
    (again,) = reading.hosts(servers.rows().get(pk=server.pk))
    assert (again.allowed_by, again.is_allowed) == (olga.display_name, True), "who put it there last"


def test_whoever_may_edit_the_server_reads_it_and_nobody_else(
    browser: Browser, ada: User, olive: User, bob: User, server: McpServer
) -> None:
    hidden = composition.create(bob, "hidden-agent", souls.create("Soul", "Text.", bob))
    rows.store([noted(server, "conn_1", hidden), noted(server, "conn_2", host="evil\u202e.example", allowed=False)])
    path = f"mcp-servers/{server.pk}"

    page = browser(olive).get(f"/{path}/connections/")
    said = page.content.decode()
    assert "evil" in said
    assert "\u202e" not in said
    assert "an agent’s copy" in said
    assert "hidden-agent" not in said
    assert "hidden-agent" in browser(ada).get(f"/{path}/connections/").content.decode()
    refused = browser(olive).get(f"/{path}/connections/?decision=denied").content.decode()
    assert "evil" in refused
    assert "/usr/bin/curl" in refused
    assert refused.count('class="state ok"') == 0
    found = Program(olive).get(f"{path}/connections")["items"]
    assert [each["id"] for each in found] == ["conn_2", "conn_1"]
    assert {each["agent_id"] for each in found} == {None}
    assert [each["id"] for each in Program(ada).get(f"{path}/connections?allowed=true")["items"]] == ["conn_1"]
    assert Program(ada).get(f"{path}/connections?allowed=true")["items"][0]["agent_id"] == hidden.pk
    assert Program(olive).get(f"{path}/hosts")["items"][1]["allowed_by"] == "olga"
    for what in ("connections", "hosts"):
        Program(bob).get(f"{path}/{what}", 404)
    assert browser(bob).get(f"/{path}/connections/").status_code == 404


def test_a_shell_lists_them(ada: User, server: McpServer, capsys: Any) -> None:
    rows.store([noted(server, "conn_1"), noted(server, "conn_2", host="evil.example", allowed=False)])

    call_command("mcp", "connections", "files", "--denied")
    listed = capsys.readouterr().out
    call_command("mcp", "hosts", "files")
    hosts = capsys.readouterr().out

    assert "evil.example:443" in listed
    assert "api.example.org:443" not in listed
    assert "*.example.net:8443" in hosts
    assert ada.display_name in hosts


@pytest.mark.parametrize("verb", ["connections", "hosts"])
@pytest.mark.parametrize(
    ("settings", "said"),
    [({"command": "true", "place": "host"}, "nobody sees where it connects to"), ({}, "is not seen from here")],
)
def test_a_shell_and_the_page_say_where_nothing_can_be_seen(
    browser: Browser, ada: User, server: McpServer, capsys: Any, verb: str, settings: dict[str, Any], said: str
) -> None:
    elsewhere = {"command": "", "kind": "http", "url": "https://mcp.example.org/mcp"}
    made = servers.create(ada, "unseen", **{**(settings or elsewhere), "enabled": False})

    call_command("mcp", verb, "unseen")
    told = capsys.readouterr()
    page = browser(ada).get(f"/mcp-servers/{made.pk}/connections/").content.decode()
    call_command("mcp", verb, "files")

    assert (said in told.err, said in told.out, said in page) == (True, False, True)
    assert capsys.readouterr().err == ""


def test_a_page_of_them_costs_the_same_however_many(browser: Browser, ada: User, server: McpServer) -> None:
    client, address = browser(ada), f"/mcp-servers/{server.pk}/connections/"
    agent = composition.create(ada, "atlas", souls.create("Soul", "Text.", ada))
    rows.store([noted(server, "conn_0", agent)])
    client.get(address)
    with CaptureQueriesContext(connection) as few:
        client.get(address)
    rows.store([noted(server, f"conn_{number}", agent) for number in range(1, 80)])
    with CaptureQueriesContext(connection) as many:
        page = client.get(address).content

    assert len(many) == len(few)
    assert len(page) < 60_000
