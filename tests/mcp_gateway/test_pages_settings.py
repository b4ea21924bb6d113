"""The pages that change an MCP server: its settings and who may, two people at once, its secrets, its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from agents import permissions
from agents.models import Role, User, Visibility
from mcp_gateway import servers
from mcp_gateway.models import AccountUse, McpSecret, McpServer, ServerKind
from mcp_gateway.server_forms import ServerForm
from tests.conftest import person

Browser = Callable[..., Client]


@pytest.fixture
def shelf(ada: User) -> McpServer:
    return servers.create(
        ada, "shelf", "mcp-shelf", args=["--root", "  /srv/a b"], env={"LEVEL": "3", "KEY": "${SHELF_KEY}"},
        limits={"open_files": 64}, exclude=["burn"], visibility=Visibility.SHARED, category="code",
    )  # fmt: skip


@pytest.fixture
def otto() -> User:
    return person("otto", Role.OPERATOR)


def filled(user: User, server: McpServer, **more: Any) -> dict[str, Any]:
    """What a browser posts when somebody changes ``more`` of the form as it is drawn."""
    form = ServerForm(user, server=server)
    posted = {}
    for name, field in form.fields.items():
        value = field.prepare_value(form.get_initial_for_field(field, name))
        if not field.disabled and value not in (None, False):
            posted[name] = "on" if value is True else value
    return {**posted, **more}


def test_an_empty_form_says_all_that_is_missing_at_once(browser: Browser, ada: User) -> None:
    program = browser(ada).post("/mcp-servers/new/", {"kind": "stdio"}).content.decode()
    elsewhere = browser(ada).post("/mcp-servers/new/", {"kind": "http"}).content.decode()

    assert program.count("This field is required") == elsewhere.count("This field is required") > 0
    assert "Say which program is the server." in program
    assert "Say where the server is." not in program
    assert "Say where the server is." in elsewhere


def test_saving_what_is_shown_changes_nothing_however_it_is_spelled(
    browser: Browser, ada: User, shelf: McpServer
) -> None:
    address = f"/mcp-servers/{shelf.pk}/edit/"
    page = browser(ada).get(address).content.decode()

    done = browser(ada).post(address, filled(ada, shelf))

    assert "--root" in page
    assert "KEY=${SHELF_KEY}" in page
    assert "runs on the host, as Logos itself does" in page
    assert done.status_code == 302
    now = McpServer.objects.get(pk=shelf.pk)
    assert (now.version, now.args, now.limits) == (shelf.version, ["--root", "  /srv/a b"], {"open_files": 64})


def test_every_field_can_be_changed_and_what_is_refused_stays_as_typed(
    browser: Browser, ada: User, shelf: McpServer
) -> None:
    address = f"/mcp-servers/{shelf.pk}/edit/"
    typed = filled(
        ada, shelf, name="books", description="Søren's 本", category="library", command="/opt/books", args="--all\n\n-v",
        env="A=1\nB=${C}", cwd="/srv/books", memory_mb="512", open_files="", file_mb="9", include="read\nlend",
        exclude="", asks_caller="on", timeout_s="7", connect_timeout_s="8", tier="admin",
    )  # fmt: skip

    for wrong, said in (
        ({"args": "--token=abcdef123456"}, "holds a secret"),
        ({"env": "no-equals"}, "Write no-equals as NAME=VALUE"),
        ({"env": "A=1\nA=2"}, "A stands twice"),
        ({"cwd": "relative"}, "absolute path"),
        ({"memory_mb": "1"}, "greater than or equal to 64"),
        ({"timeout_s": "0"}, "greater than or equal to 1"),
        ({"name": "hub"}, "a name of Logos itself"),
        ({"command": "sh -c ls"}, "no shell runs it"),
        ({"tier": "nobody"}, "Select a valid choice"),
        ({"include": "a\x00b"}, "Null characters"),
    ):
        refused = browser(ada).post(address, {**typed, **wrong})
        shown = refused.content.decode()
        assert (refused.status_code, said in shown) == (400, True), wrong
        assert "Søren" in shown
        assert "/opt/books" in shown or "command" in wrong
    del typed["enabled"]
    done = browser(ada).post(address, typed)

    assert done.status_code == 302
    now = McpServer.objects.get(pk=shelf.pk)
    assert (now.name, now.description, now.category, now.tier) == ("books", "Søren's 本", "library", "admin")
    assert (now.command, now.args, now.env, now.cwd) == (
        "/opt/books",
        ["--all", "-v"],
        {"A": "1", "B": "${C}"},
        "/srv/books",
    )
    assert (now.limits, now.include, now.exclude) == ({"memory_mb": 512, "file_mb": 9}, ["read", "lend"], [])
    assert (now.asks_caller, now.timeout_s, now.connect_timeout_s, now.enabled) == (True, 7, 8, False)


def test_a_program_becomes_a_server_elsewhere_and_leaves_its_command_behind(
    browser: Browser, ada: User, shelf: McpServer
) -> None:
    typed = filled(
        ada, shelf, kind="http", url="https://shelf.example/mcp", headers="X-Team: library\nX-Room=3", memory_mb="x"
    )

    done = browser(ada).post(f"/mcp-servers/{shelf.pk}/edit/", {**typed, "account": "shared"})

    assert done.status_code == 302
    now = McpServer.objects.get(pk=shelf.pk)
    assert (now.kind, now.command, now.args, now.env, now.limits) == (ServerKind.HTTP, "", [], {}, {})
    assert (now.headers, now.account) == ({"X-Team": "library", "X-Room": "3"}, AccountUse.SHARED)


def test_an_operator_changes_what_is_no_command_and_cannot_smuggle_one_in(
    browser: Browser, ada: User, otto: User, shelf: McpServer
) -> None:
    address = f"/mcp-servers/{shelf.pk}/edit/"
    permissions.grant(otto, "edit", shelf)

    page = browser(otto).get(address).content.decode()
    smuggled = {
        "command": "evil",
        "args": "-x",
        "env": "",
        "cwd": "/",
        "kind": "http",
        "url": "https://evil.example/",
        "tier": "auto",
        "memory_mb": "9999",
    }
    done = browser(otto).post(address, filled(otto, shelf, description="Books", **smuggled))

    assert "only admins say which" in page
    assert done.status_code == 302
    now = McpServer.objects.get(pk=shelf.pk)
    assert (now.description, now.command, now.kind, now.tier) == ("Books", "mcp-shelf", "stdio", "category")
    assert (now.args, now.limits, now.url) == (shelf.args, shelf.limits, "")


def test_who_saves_second_sees_what_the_first_did_and_loses_nothing(
    browser: Browser, ada: User, shelf: McpServer
) -> None:
    address = f"/mcp-servers/{shelf.pk}/edit/"
    mine = filled(ada, shelf, description="My own words", args="--root\n/mine")
    servers.change(ada, shelf.pk, None, args=["--root", "/theirs"], timeout_s=9)

    stale = browser(ada).post(address, mine)
    shown = stale.content.decode()
    version = McpServer.objects.get(pk=shelf.pk).version
    again = browser(ada).post(address, {**mine, "timeout_s": "9", "version": version})

    assert stale.status_code == 409
    assert "Somebody saved this first" in shown
    assert "<ins>theirs" in shown
    assert "My own words" in shown
    assert f'name="version" value="{version}"' in shown
    assert again.status_code == 302
    now = McpServer.objects.get(pk=shelf.pk)
    assert (now.args, now.description, now.timeout_s) == (["--root", "/mine"], "My own words", 9)


def test_secrets_go_in_are_replaced_and_forgotten_and_never_come_out(
    browser: Browser, ada: User, shelf: McpServer
) -> None:
    address = f"/mcp-servers/{shelf.pk}/secrets/"

    missing = browser(ada).get(address).content.decode()
    short = browser(ada).post(address, {"do": "set", "name": "SHELF_KEY", "value": "tiny"})
    small = browser(ada).post(address, {"do": "set", "name": "shelf", "value": "shelf-value-4711"})
    stored = browser(ada).post(address, {"do": "set", "name": "SHELF_KEY", "value": "shelf-value-4711"}, follow=True)
    sealed = McpSecret.objects.get().sealed
    replaced = browser(ada).post(address, {"do": "set", "name": "SHELF_KEY", "value": "shelf-value-4712"})
    odd = browser(ada).post(address, {"do": "show", "name": "SHELF_KEY"})

    assert "it is not set" in missing
    assert "In capital letters" not in missing
    assert (short.status_code, small.status_code, odd.status_code) == (400, 400, 400)
    assert "named in capital letters" in small.content.decode()
    assert "shelf-value" not in small.content.decode() + short.content.decode() + stored.content.decode()
    assert "given to the server" in stored.content.decode()
    assert replaced.status_code == 302
    assert McpSecret.objects.get().sealed != sealed
    assert browser(ada).post(address, {"do": "remove", "name": "SHELF_KEY"}).status_code == 302
    assert not McpSecret.objects.exists()
    assert browser(ada).post(address, {"do": "remove", "name": "SHELF_KEY"}).status_code == 404


def test_a_server_is_deleted_only_after_a_question_and_only_by_who_manages_it(
    browser: Browser, ada: User, otto: User, alice: User, shelf: McpServer
) -> None:
    address = f"/mcp-servers/{shelf.pk}/delete/"
    permissions.grant(otto, "edit", shelf)

    asked = browser(ada).get(address)

    assert "every agent that may use it loses it" in asked.content.decode()
    assert browser(otto).post(address).status_code == 404
    assert browser(otto).get(f"/mcp-servers/{shelf.pk}/off/").status_code == 200
    for page in ("edit", "secrets", "off", "delete"):
        assert browser(alice).get(f"/mcp-servers/{shelf.pk}/{page}/").status_code == 404
    assert browser(ada).post(address).status_code == 302
    assert not McpServer.objects.exists()
