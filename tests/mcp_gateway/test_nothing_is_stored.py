"""What may not become a server becomes none by any door: the page, the API, the console, a command, a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management.base import CommandError
from django.test import Client

from agents.errors import LogosError
from agents.models import Role, User
from mcp_gateway import servers
from mcp_gateway.declared import plan as planning
from mcp_gateway.models import McpServer
from tests import shell
from tests.api_client import Program
from tests.conftest import person
from tests.console import Console, complaints

pytestmark = pytest.mark.django_db

Door = Callable[[User, dict[str, Any]], str]
TAKEN = ""


def page(user: User, fields: dict[str, Any]) -> str:
    client = Client()
    client.force_login(user)
    spelled = {
        "args": "\n".join(fields.get("args", [])),
        "env": "\n".join(f"{name}={value}" for name, value in fields.get("env", {}).items()),
        "kind": "http" if "url" in fields else "stdio",
    }
    usual = {"tier": "user", "visibility": "private", "account": "none", "enabled": "on"}
    answer = client.post("/mcp-servers/new/", {**usual, **fields, **spelled})
    return TAKEN if answer.status_code == 302 else answer.content.decode()


def api(user: User, fields: dict[str, Any]) -> str:
    answer = Program(user)("POST", "mcp-servers", {"kind": "http" if "url" in fields else "stdio", **fields})
    return TAKEN if answer.status_code == 201 else str(answer.json())


def console(user: User, fields: dict[str, Any]) -> str:
    spelled = {name: json.dumps(value) if name in ("args", "env") else value for name, value in fields.items()}
    kind = "http" if "url" in fields else "stdio"
    typed = {**spelled, "kind": kind, "visibility": "private", "owner": user.username}
    console = Console(user)
    if (shown := console.client.get(address := console.address(McpServer, "add"))).status_code != 200:
        console.client.post(address, typed)
        return str(shown.status_code)
    answer = console.save(McpServer, **typed)
    if answer.status_code == 302:
        return TAKEN
    return f"{answer.status_code} {complaints(answer) if answer.status_code == 200 else ''}"


def command(user: User, fields: dict[str, Any]) -> str:
    words = ["add", fields["name"], *([fields["command"]] if "command" in fields else [])]
    for arg in fields.get("args", []):
        words.append(f"--arg={arg}")
    for name, value in fields.get("env", {}).items():
        words.append(f"--env={name}={value}")
    if "url" in fields:
        words.append(f"--url={fields['url']}")
    ended = shell.run("mcp", *words, "--user", user.username)
    return TAKEN if ended.code == 0 else ended.said


def file(user: User, fields: dict[str, Any]) -> str:
    said = {name: value for name, value in fields.items() if name != "name"}
    try:
        planning.apply(user, json.dumps({"mcp_servers": {fields["name"]: said}}))
    except (LogosError, CommandError) as error:
        return str(error)
    return TAKEN


DOORS: dict[str, Door] = {"page": page, "api": api, "console": console, "command": command, "file": file}

PROGRAM = {"name": "mine", "command": "mcp-mine"}
ELSEWHERE = {"name": "mine", "url": "https://tools.example.org/mcp"}
SECRETS = {
    "a token in an argument": {"args": ["--token=abcdefgh12345678"]},
    "a key in an argument": {"args": ["ghp_abcdefghij0123456789"]},
    "a reference in an argument": {"args": ["${TOKEN}"]},
    "a password in the environment": {"env": {"DB_PASSWORD": "abcdefgh"}},
    "a key under another name": {"env": {"WORD": "ghp_abcdefghij0123456789"}},
}
NOWHERE = (
    *("http://tools.example.org/mcp", "https://127.0.0.1/mcp", "https://10.0.0.1/", "https://192.168.1.1/"),
    *("https://169.254.169.254/latest/meta-data", "https://[::1]/", "https://[fd00::1]/", "https://localhost/mcp"),
    # Translated (NAT64), tunnelled (6to4), mapped, and numbers that are addresses.
    *("https://[64:ff9b::a00:1]/", "https://[2002:a00:1::]/", "https://[::ffff:10.0.0.1]/", "https://2130706433/"),
    *(
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://user:word@tools.example.org/",
        "file:///etc",
    ),
)


def stored() -> list[Any]:
    return list(McpServer.objects.values_list("name", "command", "url"))


@pytest.mark.parametrize("door", DOORS)
def test_what_is_as_it_should_be_is_stored(ada: User, door: str) -> None:
    """What shows that the tables below could fail."""
    assert DOORS[door](ada, PROGRAM) == TAKEN
    assert DOORS[door](ada, {**ELSEWHERE, "name": "far"}) == TAKEN
    assert [name for name, _, _ in stored()] == ["far", "mine"]


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.USER])
@pytest.mark.parametrize("door", DOORS)
def test_nobody_but_admins_says_what_is_started(door: str, role: str) -> None:
    who = person("olga", role)

    for fields in (PROGRAM, {**PROGRAM, "args": ["-x"], "env": {"A": "1"}}):
        assert DOORS[door](who, fields) != TAKEN
    assert stored() == []


@pytest.mark.parametrize("door", DOORS)
def test_a_secret_that_stands_where_all_read_it_is_refused_and_not_repeated(ada: User, door: str) -> None:
    for what, fields in SECRETS.items():
        said = DOORS[door](ada, {**PROGRAM, **fields})
        assert said != TAKEN, what
        if door in ("api", "command", "file"):  # a form keeps what was typed
            assert "abcdefgh" not in said, (what, said)
    assert stored() == []


@pytest.mark.parametrize("door", DOORS)
def test_an_address_that_leads_home_is_refused(door: str) -> None:
    olga = person("olga", Role.OPERATOR)

    # The console is for admins where something is added: they too say first that it may be at home.
    who = person("ada2", Role.ADMIN) if door == "console" else olga
    taken = [url for url in NOWHERE if DOORS[door](who, {**ELSEWHERE, "url": url}) == TAKEN]

    assert taken == []
    assert stored() == []


@pytest.mark.parametrize("door", DOORS)
def test_a_name_that_passes_for_another_is_refused(ada: User, door: str) -> None:
    names = ("control", "logos", "hub", "capabilities", "mcp", "Files", "a__b", "a--b", "a_b", "ä")

    assert [name for name in names if DOORS[door](ada, {**PROGRAM, "name": name}) == TAKEN] == []
    assert stored() == []


def test_a_change_is_refused_as_a_new_one_is(ada: User) -> None:
    mine = servers.create(ada, "mine", "mcp-mine", visibility="shared")
    for fields in SECRETS.values():
        with pytest.raises(LogosError):
            servers.change(ada, mine.pk, None, **fields)
    mine.refresh_from_db()
    assert (mine.args, mine.env) == ([], {})
