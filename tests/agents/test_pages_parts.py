"""The pages of an agent's capabilities, secrets and documents: what they say before, take, keep and never show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from agents import agent_secrets, capabilities, documents, permissions, secrets
from agents.models import Agent, AgentCapability, AgentDocument, AgentSecret, User

pytestmark = pytest.mark.django_db

VALUE = "s3cret-of-alice-4711"


@pytest.fixture
def at(atlas: Agent) -> str:
    return f"/agents/{atlas.pk}"


@pytest.fixture
def hers(alice: User, browser: Callable[..., Client]) -> Client:
    return browser(alice)


def text(answer: Any) -> str:
    content: str = answer.content.decode()
    return content


def test_what_a_switch_turns_on_is_said_before(hers: Client, at: str) -> None:
    page = text(hers.get(f"{at}/capabilities/"))

    for words in ("api.github.com:443", "GITHUB_TOKEN", "go to GitHub", "every host is refused", "Third party"):
        assert words in page
    assert len(page) < 60_000


def test_the_switch_works_with_and_without_htmx(hers: Client, at: str, atlas: Agent) -> None:
    answer = hers.post(f"{at}/capabilities/", {"do": "on", "key": "github", "version": "1"})
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{at}/capabilities/")
    part = text(hers.post(f"{at}/capabilities/", {"do": "off", "key": "github"}, headers={"HX-Request": "true"}))

    assert part.lstrip().startswith("<article")
    assert "GitHub is off" in part
    assert not AgentCapability.objects.exists()


@pytest.mark.parametrize(
    "given",
    [{}, {"do": "on", "key": "plan"}, {"do": "on", "key": "plan", "version": "²"}, {"do": "x", "key": "plan"},
     {"do": "on", "key": "plan", "version": "7"}],
)  # fmt: skip
def test_a_form_that_says_nothing_sensible_changes_nothing(hers: Client, at: str, given: dict[str, str]) -> None:
    assert hers.post(f"{at}/capabilities/", given).status_code in (400, 404, 409)
    assert not AgentCapability.objects.exists()


def test_who_may_chat_sees_the_switches_without_their_buttons(
    bob: User, browser: Callable[..., Client], at: str, atlas: Agent, alice: User
) -> None:
    capabilities.switch_on(alice, atlas, "github", 1)
    client = browser(bob)
    page = text(client.get(f"{at}/capabilities/"))

    assert 'name="do"' not in page
    assert "Whoever edits atlas can enter it" in page
    assert f"{at}/secrets/" not in page
    assert client.get(f"{at}/secrets/").status_code == 404
    assert client.post(f"{at}/secrets/", {"do": "set", "name": "GITHUB_TOKEN", "value": VALUE}).status_code == 404
    assert client.post(f"{at}/documents/new/", {"path": "a.md", "text": "x"}).status_code == 404
    assert not AgentSecret.objects.exists()


def test_a_stored_value_is_on_no_page(hers: Client, at: str, atlas: Agent, alice: User) -> None:
    hers.post(f"{at}/secrets/", {"do": "set", "name": "NOTION_TOKEN", "value": VALUE, "asked_always": "1"})
    row = AgentSecret.objects.get()
    assert secrets.unseal(row.sealed) == VALUE

    for path in ("secrets", "capabilities", "documents", ""):
        page = text(hers.get(f"{at}/{path}/".replace("//", "/")))
        assert VALUE not in page
        assert row.sealed not in page
    assert "given to nothing" in text(hers.get(f"{at}/secrets/"))


def test_a_refused_secret_keeps_its_name_and_not_its_value(hers: Client, at: str) -> None:
    answer = hers.post(f"{at}/secrets/", {"do": "set", "name": "LD_PRELOAD", "value": VALUE})

    assert answer.status_code == 400
    assert "steers programs" in text(answer)
    assert 'value="LD_PRELOAD"' in text(answer)
    assert VALUE not in text(answer)


def test_a_secret_is_given_and_forgotten(hers: Client, at: str) -> None:
    hers.post(f"{at}/secrets/", {"do": "set", "name": "NOTION_TOKEN", "value": VALUE})
    hers.post(f"{at}/secrets/", {"do": "give", "name": "NOTION_TOKEN", "always": "on"})
    assert AgentSecret.objects.get().always_given
    assert "given to every command" in text(hers.get(f"{at}/secrets/"))

    hers.post(f"{at}/secrets/", {"do": "remove", "name": "NOTION_TOKEN"})
    assert not AgentSecret.objects.exists()
    assert hers.post(f"{at}/secrets/", {"do": "remove", "name": "NOTION_TOKEN"}).status_code == 404


def test_the_card_in_the_chat_asks_for_what_is_lacking(hers: Client, at: str, atlas: Agent, alice: User) -> None:
    chat = f"/chat/new/{atlas.pk}/"
    assert "BRAVE_SEARCH_API_KEY" not in text(hers.get(chat))
    capabilities.switch_on(alice, atlas, "search-brave", 1)
    assert "BRAVE_SEARCH_API_KEY" in text(hers.get(chat))

    given = {"do": "set", "name": "BRAVE_SEARCH_API_KEY", "value": VALUE, "back": chat}
    assert hers.post(f"{at}/secrets/", given).headers["Location"] == chat

    assert 'value="BRAVE_SEARCH_API_KEY"' not in text(hers.get(chat))


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_no_form_leads_to_another_site(hers: Client, at: str, back: str) -> None:
    given = {"do": "set", "name": "NOTION_TOKEN", "value": VALUE, "back": back}

    assert hers.post(f"{at}/secrets/", given).headers["Location"] == f"{at}/secrets/"


def test_a_document_is_written_changed_and_its_versions_shown(hers: Client, at: str, atlas: Agent) -> None:
    hers.post(f"{at}/documents/new/", {"path": "AGENTS.md", "text": "Be quick.", "is_restored": "on"})
    row = AgentDocument.objects.get()
    address = f"{at}/documents/{row.pk}/"
    hers.post(address, {"text": "Be careful.", "version": "1"})
    row.refresh_from_db()
    page = text(hers.get(address))

    assert (row.text, row.is_restored) == ("Be careful.", False)
    assert "<ins>careful" in page
    assert "<del>quick" in page
    download = hers.get(f"{address}download/")
    assert (text(download), download.headers["Content-Disposition"]) == (
        "Be careful.", 'attachment; filename="AGENTS.md"',
    )  # fmt: skip


def test_whoever_saves_second_keeps_their_draft_and_sees_the_difference(hers: Client, at: str, atlas: Agent) -> None:
    row = documents.put(atlas.owner, atlas, "AGENTS.md", "Be quick.")  # type: ignore[arg-type]
    documents.put(atlas.owner, atlas, "AGENTS.md", "Be careful.")  # type: ignore[arg-type]
    answer = hers.post(f"{at}/documents/{row.pk}/", {"text": "Be kind.", "version": "1", "is_restored": "on"})

    assert answer.status_code == 409
    assert "Somebody saved this first" in text(answer)
    assert "Be kind." in text(answer)
    assert AgentDocument.objects.get().text == "Be careful."
    hers.post(f"{at}/documents/{row.pk}/", {"text": "Be kind.", "version": "2", "is_restored": "on"})
    assert AgentDocument.objects.get().text == "Be kind."


def test_a_refused_document_loses_nothing_typed(hers: Client, at: str) -> None:
    answer = hers.post(f"{at}/documents/new/", {"path": "../AGENTS.md", "text": "Long work <b>"})

    assert answer.status_code == 400
    assert "Long work &lt;b&gt;" in text(answer)
    assert 'value="../AGENTS.md"' in text(answer)


def test_a_file_is_uploaded_under_its_own_name_or_another(hers: Client, at: str) -> None:
    for path, content in (("", b"one"), ("notes/b.md", b"two"), ("", b"three")):
        hers.post(f"{at}/documents/", {"file": SimpleUploadedFile("a.md", content), "path": path})
    refused = hers.post(f"{at}/documents/", {"file": SimpleUploadedFile("p.png", b"\x89PNG\xff"), "path": "p.md"})

    assert dict(AgentDocument.objects.values_list("path", "text")) == {"a.md": "three", "notes/b.md": "two"}
    assert refused.status_code == 400
    assert 'value="p.md"' in text(refused)
    assert hers.post(f"{at}/documents/", {"path": "x"}).status_code == 400


def test_removing_a_document_takes_it_off_the_list(hers: Client, at: str, atlas: Agent, alice: User) -> None:
    row = documents.put(alice, atlas, "AGENTS.md", "Be quick.")
    hers.post(f"{at}/documents/{row.pk}/", {"do": "remove"})

    assert not AgentDocument.objects.exists()


def test_a_reader_reads_and_finds_no_form(bob: User, browser: Callable[..., Client], at: str, atlas: Agent) -> None:
    row = documents.put(atlas.owner, atlas, "AGENTS.md", "Be quick.")  # type: ignore[arg-type]
    page = text(browser(bob).get(f"{at}/documents/{row.pk}/"))

    assert "Be quick." in page
    assert "<textarea" not in page
    assert browser(bob).post(f"{at}/documents/{row.pk}/", {"text": "Mine", "version": "1"}).status_code == 404


def test_the_pages_cost_the_same_however_much_there_is(
    hers: Client, at: str, atlas: Agent, alice: User, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        documents.put(alice, atlas, f"n{number}.md", "x")
        agent_secrets.put(alice, atlas, f"KEY_{number}", VALUE)
    for key in ("plan", "github", "remember", "web-tavily"):
        capabilities.switch_on(alice, atlas, key, 1)
    permissions.grant(alice, "edit", atlas)

    for path in ("capabilities", "secrets", "documents"):
        with django_assert_max_num_queries(12):
            page = text(hers.get(f"{at}/{path}/"))
        assert len(page) < 60_000
