"""Documents of an agent: paths that stay in the workspace, texts within bounds, versions, two writers, who may."""

from __future__ import annotations

import pytest

from agents import documents, permissions
from agents.documents import MAX_BYTES, check_path, check_text
from agents.editing import Stale
from agents.errors import Conflict, Invalid, NotFound
from agents.models import Agent, AgentDocument, User


@pytest.mark.parametrize("path", ["AGENTS.md", "USER.md", "notes/style.md", "a b.txt", "ünï/ß.md", "x" * 200])
def test_paths_below_the_workspace_are_taken(path: str) -> None:
    assert check_path(f" {path} ") == path


def test_paths_are_written_in_one_way() -> None:
    assert check_path("u\u0308.md") == "\u00fc.md"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a//b",
        "a/",
        "./a",
        ".env",
        "a/.git/config",
        "-rf",
        "a\\b",
        "a\x00b",
        "a\nb",
        "a\u202eb.md",
        "a\u200b.md",
        "x" * 201,
        "ä" * 101,
        "a/b/c/d/e/f/g",
        "SOUL.md",
        "sub/Soul.md",
        "agents.md",
        "user.MD",
        "HERMES.md",
        "CLAUDE.md",
        "MEMORY.md",
        "~\ud800",
    ],
)
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_path(path)

    assert refused.value.field == "path"


def test_texts_have_plain_line_ends_and_bounds() -> None:
    assert check_text("a.md", "a\r\nb\rc") == "a\nb\nc"
    assert check_text("a.md", "") == ""
    assert check_text("a.md", "x" * MAX_BYTES)
    for path, text in (("a.md", "x\x00"), ("a.md", "\ud800"), ("a.md", "ä" * MAX_BYTES), ("USER.md", "x" * 1376)):
        with pytest.raises(Invalid):
            check_text(path, text)


def test_a_file_that_is_no_text_is_refused() -> None:
    assert documents.text_of(b"\xef\xbb\xbfhi") == "hi"
    with pytest.raises(Invalid):
        documents.text_of(b"\x89PNG\xff")


@pytest.mark.django_db
def test_every_version_is_kept_and_the_same_text_makes_none(atlas: Agent, alice: User) -> None:
    for text in ("one", "two", "two"):
        row = documents.put(alice, atlas, "AGENTS.md", text)

    assert [each.text for each in AgentDocument.history.filter(id=row.pk)] == ["two", "one"]
    assert (row.updated_by, row.version, row.is_restored) == (alice, 2, True)


@pytest.mark.django_db
def test_the_profile_is_the_agents_once_installed(atlas: Agent, alice: User) -> None:
    assert documents.put(alice, atlas, "USER.md", "Likes tea.").is_restored is False


@pytest.mark.django_db
def test_whoever_read_an_older_version_overwrites_nothing(atlas: Agent, alice: User) -> None:
    row = documents.put(alice, atlas, "AGENTS.md", "one")
    documents.put(alice, atlas, "AGENTS.md", "two", version=row.version)

    with pytest.raises(Stale):
        documents.put(alice, atlas, "AGENTS.md", "three", version=row.version)
    with pytest.raises(Conflict, match="already"):
        documents.put(alice, atlas, "AGENTS.md", "new", version=0)

    assert AgentDocument.objects.get().text == "two"


@pytest.mark.django_db
def test_there_is_an_end_to_how_many_and_how_much(atlas: Agent, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_DOCUMENTS", 2)
    monkeypatch.setattr(documents, "MAX_TOTAL_BYTES", 10)
    documents.put(alice, atlas, "a.md", "12345")
    with pytest.raises(Invalid, match="together"):
        documents.put(alice, atlas, "b.md", "123456")
    documents.put(alice, atlas, "b.md", "12345")
    documents.put(alice, atlas, "b.md", "1")
    with pytest.raises(Invalid, match="2 documents"):
        documents.put(alice, atlas, "c.md", "1")


@pytest.mark.django_db
def test_a_name_is_a_document_or_a_folder(atlas: Agent, alice: User) -> None:
    documents.put(alice, atlas, "notes", "x")
    with pytest.raises(Invalid, match="folder"):
        documents.put(alice, atlas, "notes/a.md", "x")


@pytest.mark.django_db
def test_who_may_chat_reads_and_writes_not(atlas: Agent, alice: User, bob: User, mallory: User) -> None:
    documents.put(alice, atlas, "AGENTS.md", "one")

    assert permissions.visible(bob, AgentDocument.objects.all()).exists()
    assert not permissions.visible(mallory, AgentDocument.objects.all()).exists()
    for person in (bob, mallory):
        with pytest.raises(NotFound):
            documents.put(person, atlas, "AGENTS.md", "mine")
        with pytest.raises(NotFound):
            documents.remove(person, atlas, "AGENTS.md")


@pytest.mark.django_db
def test_what_was_removed_is_gone_and_its_versions_stay(atlas: Agent, alice: User) -> None:
    documents.put(alice, atlas, "AGENTS.md", "one")
    documents.remove(alice, atlas, "AGENTS.md")

    assert not AgentDocument.objects.exists()
    assert [row.history_type for row in AgentDocument.history.all()] == ["-", "+"]
    with pytest.raises(NotFound):
        documents.remove(alice, atlas, "AGENTS.md")
