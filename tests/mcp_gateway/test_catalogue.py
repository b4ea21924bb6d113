"""The catalogue of known servers: each passes the checks of a typed one, names its version, and is only offered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django import forms
from django.test import Client

from agents.errors import Invalid
from agents.models import Role, User
from mcp_gateway import catalogue, launching, servers
from mcp_gateway.models import McpServer, Place, ServerKind
from mcp_gateway.server_forms import ServerForm
from tests.api_client import Program
from tests.conftest import person
from tests.shell import run

Browser = Callable[..., Client]

KNOWN = catalogue.every()


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
def test_an_entry_is_a_server_as_it_could_be_typed_and_cannot_change_behind_our_back(
    known: catalogue.Known, ada: User
) -> None:
    made = servers.create(ada, **known.fields, enabled=False)

    assert servers.check(known.fields) == known.fields
    assert launching.warnings(made.command, made.args) == []
    assert servers.lacking(made) == sorted(each.name for each in known.secrets)
    assert made.category
    assert known.homepage.startswith("https://")
    if known.is_program:
        assert made.place == Place.SANDBOX
        assert any("@2" in arg or "==" in arg for arg in made.args), "it pins a version"
        assert made.hosts, "its launcher fetches it from somewhere"
    else:
        assert made.url.startswith("https://")
        assert not made.allows_private


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
def test_its_form_as_it_is_drawn_makes_that_server(known: catalogue.Known, browser: Browser, ada: User) -> None:
    address = f"/mcp-servers/new/?from={known.name}"
    page = browser(ada).get(address).content.decode()
    form = ServerForm(ada, initial=dict(known.fields))
    posted = {name: form[name].value() for name in form.fields}
    chosen = {name: field.choices[0][0] for name, field in form.fields.items() if isinstance(field, forms.ChoiceField)}
    posted |= {name: value for name, value in chosen.items() if posted[name] is None}

    done = browser(ada).post(address, {name: value for name, value in posted.items() if value not in (None, False)})

    assert "Nothing is added yet" in page
    assert all(each.name in page for each in known.secrets)
    assert done.status_code == 302, done.content.decode()
    made = McpServer.objects.get(name=known.name)
    assert {name: getattr(made, name) for name in known.fields} == known.fields


def test_the_file_is_read_strictly_and_names_stand_once() -> None:
    assert len({known.name for known in KNOWN}) == len(KNOWN) >= 10
    good = {"name": "x", "title": "X", "does": "It.", "homepage": "https://x.example", "server": {"command": "x"}}
    assert catalogue._read(good).is_program
    bad: list[dict[str, Any]] = [
        {**good, "more": 1},
        {name: value for name, value in good.items() if name != "does"},
        {**good, "server": {"command": "sh -c x"}},
        {**good, "server": {"command": "x", "args": ["--token=abcdef123456"]}},
        {**good, "server": {"kind": "http", "url": "http://127.0.0.1/"}},
        {**good, "name": "hub"},
    ]
    for entry in bad:
        with pytest.raises(Invalid):
            catalogue._read(entry)


def test_people_are_offered_what_they_may_add_and_told_what_is_there(browser: Browser, ada: User, alice: User) -> None:
    otto = person("otto", Role.OPERATOR)
    servers.create(ada, "linear", kind=ServerKind.HTTP, url="https://mcp.linear.app/mcp")

    admins = browser(ada).get("/mcp-servers/catalogue/")
    operators = browser(otto).get("/mcp-servers/catalogue/").content.decode()
    form = browser(otto).get("/mcp-servers/new/?from=github").content.decode()

    shown = admins.content.decode()
    assert "Look at linear" in shown
    assert "Add Git<" not in shown
    assert 'aria-label="Add Git"' in shown
    assert len(admins.content) < 60_000
    assert 'aria-label="Add Git"' not in operators
    assert 'aria-label="Add Linear"' in operators  # there is one, and it is none of theirs
    assert "Programs are added by admins" in operators
    assert "https://api.githubcopilot.com/mcp/" in form
    assert browser(otto).get("/mcp-servers/new/?from=git").status_code == 403
    assert browser(ada).get("/mcp-servers/new/?from=nothing").status_code == 404
    assert browser(alice).get("/mcp-servers/catalogue/").status_code == 403


def test_programs_read_it_and_send_what_it_says(ada: User, alice: User) -> None:
    program = Program(ada)
    items = program.get("mcp-catalogue")["items"]
    github = next(each for each in items if each["name"] == "github")

    made = program.post("mcp-servers", github["server"], status=201)
    again = program.get("mcp-catalogue")["items"]

    assert (github["server_id"], github["may_add"]) == (None, True)
    assert next(each for each in again if each["name"] == "github")["server_id"] == made["id"]
    Program(alice).get("mcp-catalogue", status=403)


def test_a_shell_lists_it_and_adds_one(ada: User) -> None:
    listed = run("mcp", "catalogue", "--user", "ada")
    made = run("mcp", "catalogue", "--add", "brave-search", "--as", "brave", "--disabled", "--user", "ada")

    assert "brave-search" in listed.out
    assert "BRAVE_API_KEY" in listed.out
    server = McpServer.objects.get()
    assert (server.name, server.enabled, server.pk) == ("brave", False, made.out.strip())
    assert "names the secret BRAVE_API_KEY" in made.said
