"""Clients outside: their tokens and their configuration, on the page, in the API and from the shell."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from django.conf import LazySettings
from django.test import Client

from agents import composition, souls
from agents.models import Agent, User
from mcp_gateway import access, clients, where
from mcp_gateway.book import digest
from mcp_gateway.models import McpToken
from tests import shell
from tests.api_client import Program
from tests.conftest import person as new_person

pytestmark = pytest.mark.django_db

SECRET = "logos_mcp_made-for-a-test"


def person(name: str) -> User:
    return User.objects.filter(username=name).first() or new_person(name)


def an_agent(name: str = "atlas", of: str = "alice") -> Agent:
    owner = person(of)
    return composition.create(owner, name, souls.create(f"Soul of {name}", "Text.", owner))


def browser(who: str) -> Client:
    client = Client()
    client.force_login(person(who))
    return client


def parsed(each: clients.Configuration) -> Any:
    """A configuration as its client reads it."""
    readers: dict[str, Callable[[str], Any]] = {"json": json.loads, "toml": tomllib.loads, "yaml": yaml.safe_load}
    return readers[each.language](each.text)


def test_a_token_is_shown_once_and_works_in_every_configuration() -> None:
    agent, alice = an_agent(), browser("alice")
    here = f"/agents/{agent.pk}/outside/"

    first = alice.get(here).content.decode()
    made = alice.post(here, {"name": "Cursor <on> my laptop", "days": "30"})
    page = made.content.decode()
    row = McpToken.objects.get()
    secret = page.partition("<pre>logos_mcp_")[2].partition("<")[0]
    again = alice.get(here).content.decode()

    assert "nobody works as atlas" in first
    assert made["Cache-Control"].startswith("max-age=0")
    assert row.digest == digest(f"logos_mcp_{secret}")
    assert page.count(f"logos_mcp_{secret}") > 4
    assert secret not in again
    assert "Cursor &lt;on&gt; my laptop" in again
    assert clients.PLACEHOLDER in again
    assert (row.expires_at - row.created_at).days in (29, 30)

    alice.post(here, {"do": "revoke", "token": row.pk})
    row.refresh_from_db()
    assert row.revoked_at is not None
    assert "Cursor &lt;on&gt;" not in alice.get(here).content.decode()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": ""}, "needs a name"),
        ({"name": "x" * 81}, "needs a name"),
        ({"name": "a\u202eb"}, "needs a name"),
        ({"name": "fine", "days": "0"}, "1 to 365 days"),
        ({"name": "fine", "days": "9999"}, "1 to 365 days"),
        ({"name": "fine", "days": "²"}, "whole number"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_stays(given: dict[str, str], words: str) -> None:
    agent = an_agent()
    answer = browser("alice").post(f"/agents/{agent.pk}/outside/", given)

    assert answer.status_code == 400
    assert words in answer.content.decode()
    assert f'value="{given["name"]}"' in answer.content.decode()
    assert not McpToken.objects.exists()


def test_strangers_and_those_who_only_chat_see_nothing_of_it() -> None:
    agent = an_agent()
    access.make_token(person("alice"), agent.pk, "Alices editor")
    other = an_agent("other", of="mallory")
    token = McpToken.objects.get()

    for who in ("mallory", "bob"):
        for method in ("get", "post"):
            answer = getattr(browser(who), method)(f"/agents/{agent.pk}/outside/", {"name": "mine"})
            assert answer.status_code == 404
            assert b"Alices" not in answer.content
        assert Program(person(who)).get(f"agents/{agent.pk}/mcp-clients", 404)["error"]["reason"] == "not_found"
    for number in (token.pk, "x", "", 10**12):
        answer = browser("mallory").post(f"/agents/{other.pk}/outside/", {"do": "revoke", "token": number})
        assert answer.status_code == 404
    assert McpToken.objects.get().revoked_at is None


def test_the_page_asks_the_database_as_often_for_many_tokens(django_assert_max_num_queries: Any) -> None:
    agent, alice = an_agent(), browser("alice")
    for number in range(access.MAX_TOKENS):
        access.make_token(person("alice"), agent.pk, f"token {number}")

    with django_assert_max_num_queries(20):
        page = alice.get(f"/agents/{agent.pk}/outside/")
    assert len(page.content) < 60_000
    assert alice.post(f"/agents/{agent.pk}/outside/", {"name": "one more"}).status_code == 400


def test_every_configuration_is_what_its_client_reads() -> None:
    agent = 'at"las 🙂\\'
    found = {each.client: each for each in clients.configurations("https://logos.example/mcp", agent, SECRET)}

    desktop = parsed(found["claude-desktop"])["mcpServers"]["logos"]
    assert desktop["env"] == {"MCP_URL": "https://logos.example/mcp", "MCP_TOKEN": SECRET, "MCP_AGENT": agent}
    npx = parsed(found["claude-desktop-npx"])["mcpServers"]["logos"]
    assert "--allow-http" not in npx["args"]
    assert npx["env"]["AUTHORIZATION"] == f"Bearer {SECRET}"
    assert parsed(found["generic"])["mcpServers"]["logos"]["headers"]["Authorization"] == f"Bearer {SECRET}"
    cursor = parsed(found["cursor"])["mcpServers"]["logos"]
    assert cursor["headers"]["Authorization"] == "Bearer ${env:LOGOS_MCP_TOKEN}"
    assert SECRET in found["cursor"].note
    code = parsed(found["vscode"])
    assert code["servers"]["logos"]["headers"]["Authorization"] == f"Bearer ${{input:{code['inputs'][0]['id']}}}"
    assert code["inputs"][0]["password"]
    codex = parsed(found["codex"])["mcp_servers"]["logos"]
    assert codex == {"url": "https://logos.example/mcp", "bearer_token_env_var": "LOGOS_MCP_TOKEN"}
    hermes = parsed(found["hermes"])["mcp_servers"]["logos"]
    assert hermes["headers"]["Authorization"] == "Bearer ${LOGOS_MCP_TOKEN}"
    assert found["claude-code"].text.startswith("claude mcp add --transport http logos https://logos.example/mcp")
    far = clients.configurations("http://logos.lan:8091/mcp", agent)
    assert (
        "--allow-http"
        in parsed(next(each for each in far if each.client == "claude-desktop-npx"))["mcpServers"]["logos"]["args"]
    )


def test_programs_and_shells_have_the_same(run_command: Callable[..., str]) -> None:
    agent = an_agent()
    found = Program(person("alice")).get(f"agents/{agent.pk}/mcp-clients")
    secret = run_command("mcp", "token", "atlas", "editor", "--user", "alice").strip()
    listed = run_command("mcp", "tokens", "atlas", "--user", "alice")
    text = run_command("mcp", "clients", "atlas", "codex", "--url", "https://x.example/mcp", "--user", "alice")
    every = run_command("mcp", "clients", "atlas", "--user", "alice")
    run_command("mcp", "revoke", "atlas", str(McpToken.objects.get().pk), "--user", "alice")

    assert [each["client"] for each in found["items"]] == [each.name for each in clients.CLIENTS]
    assert found["url"].endswith("/mcp")
    assert "editor" in listed
    assert secret[14:] not in listed
    assert tomllib.loads(text)["mcp_servers"]["logos"]["url"] == "https://x.example/mcp"
    assert all(each.label in every for each in clients.CLIENTS)
    assert McpToken.objects.get().revoked_at is not None


@pytest.mark.parametrize(
    ("set_to", "answering", "address"),
    [
        ({}, ["http://127.0.0.1:8081/mcp", "http://127.0.0.1:8091/mcp"], "http://127.0.0.1:8081/mcp"),
        ({}, [], "http://127.0.0.1:8081/mcp"),
        ({}, ["http://127.0.0.1:8091/mcp"], "http://127.0.0.1:8091/mcp"),
        ({"LOGOS_MCP_PORT": 0}, [], "http://127.0.0.1:8091/mcp"),
        ({"LOGOS_MCP_BIND": "10.0.0.5"}, [], "http://10.0.0.5:8081/mcp"),
        ({"LOGOS_URL": "https://logos.example"}, ["http://127.0.0.1:8081/mcp"], "https://logos.example/mcp"),
    ],
)
def test_a_shell_says_the_address_that_pages_say(
    settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
    run_command: Callable[..., str],
    set_to: dict[str, Any],
    answering: list[str],
    address: str,
) -> None:
    an_agent()
    usual = {"LOGOS_URL": "", "LOGOS_PORT": 8091, "LOGOS_MCP_PORT": 8081, "LOGOS_MCP_BIND": "127.0.0.1"}
    for name, value in {**usual, **set_to}.items():
        setattr(settings, name, value)
    monkeypatch.setattr(where, "is_door", lambda url: url in answering)

    text = run_command("mcp", "clients", "atlas", "codex", "--user", "alice")

    assert tomllib.loads(text)["mcp_servers"]["logos"]["url"] == address


@pytest.mark.parametrize("url", ["javascript:x", "logos.example", "https://", "https://ada:secret@logos.example"])
def test_no_configuration_is_written_for_what_is_no_address(ada: User, alice: User, url: str) -> None:
    composition.create(alice, "atlas-of-alice", souls.create("Soul of hers", "Text.", alice))

    refused = shell.run("mcp", "clients", "atlas-of-alice", "--url", url)
    whole = shell.run("mcp", "clients", "atlas-of-alice", "--url", "https://logos.example/mcp/")

    assert (refused.code, refused.out) == (1, "")
    assert "An address is like https://logos.example/mcp" in refused.said
    assert "https://logos.example/mcp" in whole.out
