"""Access that was given before a server's tier got narrower or it was made private: ended along with that if somebody says so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from agents import composition, sharing, souls
from agents.errors import Invalid, LogosError
from agents.models import Agent, SecurityEvent, User
from mcp_gateway import access, servers
from mcp_gateway.models import McpAccess, McpServer
from tests.api_client import Program

Browser = Callable[..., Client]


@pytest.fixture
def server(ada: User, alice: User, bob: User) -> McpServer:
    """Used by an agent of Alice's and one of Bob's; another's time is over."""
    made = servers.create(ada, "files", "true", enabled=False, visibility="shared")
    for owner in (alice, bob):
        agent = composition.create(owner, f"agent-of-{owner.username}", souls.create("Soul", "Text.", owner))
        access.give(owner, agent.pk, made.pk)
    late = access.give(alice, Agent.objects.get(name="agent-of-alice").pk, made.pk)
    McpAccess.objects.create(
        agent=late.agent, server=made, given_by=alice, expires_at=timezone.now() - timedelta(minutes=1)
    )
    return servers.rows().get(pk=made.pk)


def using() -> int:
    return access.living(McpAccess.objects.all()).count()


def test_it_stays_unless_it_is_said_and_ends_with_it(ada: User, server: McpServer) -> None:
    servers.change(ada, server.pk, None, tier="admin")
    stayed = using()
    servers.change(ada, server.pk, None, tier="user", end_access=True)

    assert stayed == 2
    assert using() == 0
    assert set(McpAccess.objects.exclude(revoked_at=None).values_list("revoked_by", flat=True)) >= {ada.pk}
    assert SecurityEvent.objects.filter(kind="mcp_access_revoked").count() == 2


def test_only_whoever_manages_the_server_ends_it(alice: User, bob: User, server: McpServer) -> None:
    for who in (alice, bob):
        with pytest.raises(LogosError):
            access.end_all(who, server)
        with pytest.raises(LogosError):
            sharing.end_given(who, server)
        with pytest.raises(LogosError):
            servers.change(who, server.pk, None, end_access=True)
    assert using() == 2


def test_what_agents_are_given_nothing_on_has_nothing_to_end(alice: User, atlas: Agent) -> None:
    with pytest.raises(Invalid, match="given nothing"):
        sharing.set_visibility(alice, atlas, "private", end_access=True)
    assert sharing.given_on(atlas) == 0


def test_the_form_offers_it_with_the_number_of_agents(browser: Browser, ada: User, server: McpServer) -> None:
    client, address = browser(ada), f"/mcp-servers/{server.pk}/edit/"
    shown = client.get(address)
    given = {name: field.value() for name, field in ((each.name, each) for each in shown.context["form"])}
    posted: dict[str, Any] = {
        name: "on" if value is True else value for name, value in given.items() if value not in (None, False, [], {})
    }

    client.post(address, {**posted, "tier": "admin"})
    stayed = using()
    again = client.get(address).context["form"]["version"].value()
    client.post(address, {**posted, "version": again, "tier": "admin", "end_access": "on"})
    later = client.get(address).content.decode()

    assert "Also end the access given until now (2 agents)" in shown.content.decode()
    assert stayed == 2
    assert using() == 0
    server.refresh_from_db()
    assert server.tier == "admin"
    assert "Also end the access" not in later, "there is none"


def test_programs_and_a_shell_say_so_too(ada: User, alice: User, server: McpServer) -> None:
    agent = Agent.objects.get(name="agent-of-alice")
    Program(ada)("PATCH", f"mcp-servers/{server.pk}", {"version": server.version, "tier": "admin"})
    stayed = using()
    server.refresh_from_db()
    Program(ada)("PATCH", f"mcp-servers/{server.pk}", {"version": server.version, "tier": "user", "end_access": True})
    ended = using()
    access.give(alice, agent.pk, server.pk)
    Program(ada)("PUT", f"mcp-servers/{server.pk}/visibility", {"visibility": "private"})
    kept = using()
    Program(ada)("PUT", f"mcp-servers/{server.pk}/visibility", {"visibility": "private", "end_access": True})
    private = using()
    access.give(ada, agent.pk, server.pk)
    call_command("mcp", "edit", "files", "--tier", "deny", "--end-access")

    assert (stayed, ended, kept, private, using()) == (2, 0, 1, 0, 0)


def test_the_page_of_sharing_says_who_keeps_it_and_ends_it(browser: Browser, ada: User, server: McpServer) -> None:
    client, address = browser(ada), f"/share/server/{server.pk}/"
    shared = client.get(address).content.decode()
    client.post(address, {"do": "visibility", "visibility": "private"})
    private = client.get(address).content.decode()
    client.post(address, {"do": "end-given"})

    assert "End their access" not in shared
    assert "2 agents" in private
    assert "End their access" in private
    assert using() == 0
    assert "End their access" not in client.get(address).content.decode()
