"""The files of a workspace by page, API and command: who may, what is sent, and what nothing in a file can do."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client, override_settings

from agents import privacy
from agents.models import Agent, SecurityEvent, User
from sandboxes import lifecycle
from sandboxes.models import Sandbox
from tests.api_client import Program

PNG = b"\x89PNG\r\n\x1a\n" + b"rest"
Browser = Callable[..., Client]

pytestmark = pytest.mark.django_db


@pytest.fixture
def space(atlas: Agent, tmp_path: Path) -> Iterator[Path]:
    Sandbox.objects.create(agent=atlas, number=1)
    with override_settings(LOGOS_HOME=tmp_path):
        space = lifecycle.root_of(Sandbox.objects.get().pk) / "workspace"
        space.mkdir(parents=True)
        (space / "notes").mkdir()
        (space / "notes/today.py").write_text("print('<b>hello</b>')\n")
        yield space


@pytest.fixture
def at(atlas: Agent) -> str:
    return f"/agents/{atlas.pk}/files/"


def page(answer: Any) -> str:
    text: str = answer.content.decode()
    return text


def body(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def test_who_may_chat_browses_and_reads_and_changes_nothing(bob: User, browser: Browser, space: Path, at: str) -> None:
    client = browser(bob)

    listed = page(client.get(at))
    inside = page(client.get(at, {"path": "notes"}))
    shown = page(client.get(f"{at}view/", {"path": "notes/today.py"}))

    assert "notes/" in listed
    assert "Upload a file here" not in listed
    assert "today.py" in inside
    assert "&lt;b&gt;hello&lt;/b&gt;" in shown
    assert "<b>hello" not in shown
    assert client.post(at, {"file": SimpleUploadedFile("a", b"x")}).status_code == 404
    assert client.post(f"{at}delete/?path=notes").status_code == 404
    assert client.post(f"{at}move/?path=notes", {"to": "other"}).status_code == 404
    assert [path.name for path in space.iterdir()] == ["notes"]


def test_nobody_else_learns_that_there_is_anything(
    mallory: User, viewer: User, browser: Browser, space: Path, at: str
) -> None:
    for user in (mallory, viewer):
        client = browser(user)
        for address in (
            at,
            f"{at}view/?path=notes/today.py",
            f"{at}raw/?path=notes/today.py",
            f"{at}raw/?path=nothing",
        ):
            assert client.get(address).status_code == 404
        assert Program(user)("GET", f"agents/{at.split('/')[2]}/files").status_code == 404


def test_private_chats_close_the_workspace_to_admins(ada: User, browser: Browser, space: Path, at: str) -> None:
    client = browser(ada)
    assert client.get(at).status_code == 200

    privacy.switch(ada, True)

    assert client.get(at).status_code == 404
    assert client.get(f"{at}raw/", {"path": "notes/today.py"}).status_code == 404


def test_nothing_in_a_file_can_act(alice: User, browser: Browser, space: Path, at: str) -> None:
    (space / "evil.html").write_text("<script>alert(1)</script>")
    (space / "evil.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
    (space / "x.png").write_bytes(PNG)
    client = browser(alice)

    for name, kind, disposition in (
        ("evil.html", "application/octet-stream", "attachment"),
        ("evil.svg", "application/octet-stream", "attachment"),
        ("x.png", "image/png", "inline"),
    ):
        answer = client.get(f"{at}raw/", {"path": name, "inline": ""})
        body(answer)
        assert answer["Content-Type"] == kind
        assert answer["Content-Disposition"].startswith(disposition)
        assert answer["Content-Security-Policy"].startswith("default-src 'none'; sandbox")
        assert answer["X-Content-Type-Options"] == "nosniff"
    assert client.get(f"{at}raw/", {"path": "x.png"})["Content-Disposition"].startswith("attachment")
    assert "<script>alert" not in page(client.get(f"{at}view/", {"path": "evil.html"}))


def test_a_file_is_uploaded_and_told_in_the_audit(alice: User, browser: Browser, space: Path, at: str) -> None:
    client = browser(alice)

    answer = client.post(f"{at}?path=notes", {"file": SimpleUploadedFile("ünïcode.txt", b"hello")})

    assert (answer.status_code, answer["Location"]) == (302, f"{at}?path=notes")
    assert (space / "notes/ünïcode.txt").read_bytes() == b"hello"
    event = SecurityEvent.objects.get(kind="file_put")
    assert (event.actor, event.detail["path"], event.detail["bytes"]) == (alice, "notes/ünïcode.txt", 5)


@override_settings(LOGOS_UPLOAD_MB=1)
def test_an_upload_over_the_cap_is_refused_with_a_sentence_and_leaves_nothing(
    alice: User, browser: Browser, space: Path, at: str, atlas: Agent
) -> None:
    big = b"x" * (1024**2 + 1)

    answer = browser(alice).post(at, {"file": SimpleUploadedFile("big", big), "name": "kept-name"})
    over_api = Program(alice)("PUT", f"agents/{atlas.pk}/files/content?path=big", big)

    assert answer.status_code == 413
    assert "A file may have 1 MB here." in page(answer)
    assert 'value="kept-name"' in page(answer)
    assert (over_api.status_code, over_api.json()["error"]["reason"]) == (413, "too_large")
    assert [path.name for path in space.iterdir()] == ["notes"]
    assert not SecurityEvent.objects.filter(kind="file_put").exists()


@override_settings(LOGOS_DOWNLOAD_MB=1)
def test_a_download_over_the_cap_is_refused_and_not_offered(
    alice: User, browser: Browser, space: Path, at: str
) -> None:
    with (space / "big").open("wb") as file:
        file.truncate(1024**2 + 1)
    client = browser(alice)

    assert client.get(f"{at}raw/", {"path": "big"}).status_code == 413
    assert f"{at}raw/" not in page(client.get(f"{at}view/", {"path": "big"}))


def test_directories_are_made_things_renamed_and_deleted_by_forms(
    alice: User, browser: Browser, space: Path, at: str
) -> None:
    client = browser(alice)

    client.post(at, {"do": "directory", "name": "new"})
    client.post(f"{at}move/?path=notes/today.py", {"to": "new/later.py"})
    asked = page(client.get(f"{at}delete/?path=notes"))
    client.post(f"{at}delete/?path=notes")

    assert "Delete notes?" in asked
    assert sorted(str(path.relative_to(space)) for path in space.rglob("*")) == ["new", "new/later.py"]
    assert set(SecurityEvent.objects.values_list("kind", flat=True)) >= {"file_directory", "file_moved", "file_removed"}


def test_a_name_that_is_taken_keeps_what_was_typed(alice: User, browser: Browser, space: Path, at: str) -> None:
    answer = browser(alice).post(f"{at}move/?path=notes/today.py", {"to": "notes"})

    assert answer.status_code == 400
    assert "is there already" in page(answer)
    assert 'value="notes"' in page(answer)


def test_an_agent_without_a_workspace_says_so(alice: User, browser: Browser, atlas: Agent, at: str) -> None:
    assert "No workspace yet" in page(browser(alice).get(at))
    assert browser(alice).get(f"{at}view/", {"path": "x"}).status_code == 404
    assert Program(alice).get(f"agents/{atlas.pk}/files", 404)["error"]["reason"] == "not_found"


def test_a_directory_of_many_is_paged_small_and_costs_no_more_queries(
    alice: User, browser: Browser, space: Path, at: str, django_assert_max_num_queries: Any
) -> None:
    for number in range(250):
        (space / f"{number:03}-{'long-name-' * 4}.txt").touch()
    client = browser(alice)

    with django_assert_max_num_queries(14):
        listed = client.get(at)

    assert len(listed.content) < 60_000
    assert "after=" in page(listed)


def test_the_api_does_all_of_it(alice: User, atlas: Agent, space: Path) -> None:
    program, files = Program(alice), f"agents/{atlas.pk}/files"

    put = program("PUT", f"{files}/content?path=notes/data.bin", b"\x00\x01")
    again = program("PUT", f"{files}/content?path=notes/data.bin", b"\x02")
    replaced = program("PUT", f"{files}/content?path=notes/data.bin&replace=true", b"\x02")
    made = program.post(f"{files}/directories", {"path": "made"}, 201)
    moved = program.post(f"{files}/move", {"path": "notes/data.bin", "target": "made/data.bin"})
    sent = program("GET", f"{files}/content?path=made/data.bin")
    first = program.get(f"{files}?limit=1")
    second = program.get(f"{files}?limit=1&after={first['next']}")
    gone = program("DELETE", f"{files}?path=made")

    assert [put.status_code, again.status_code, replaced.status_code, gone.status_code] == [201, 409, 201, 204]
    assert (made["kind"], moved["path"]) == ("directory", "made/data.bin")
    assert body(sent) == b"\x02"
    assert sent["Content-Security-Policy"].startswith("default-src 'none'; sandbox")
    assert [first["items"][0]["name"], second["items"][0]["name"], second["next"]] == ["made", "notes", None]
    assert program.get(f"{files}?path=../engine", 400)["error"]["field"] == "path"


def test_the_command_lists_fetches_and_puts(alice: User, atlas: Agent, space: Path, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        out = io.StringIO()
        call_command("sandbox", "files", *words, "--user", "alice", stdout=out)
        return out.getvalue()

    (tmp_path / "mine.txt").write_text("mine")

    assert "mine.txt: 4 bytes" in run("put", "atlas", str(tmp_path / "mine.txt"))
    assert [row["path"] for row in json.loads(run("ls", "atlas", "--json"))] == ["notes", "mine.txt"]
    run("get", "atlas", "notes/today.py", str(tmp_path / "fetched"))
    assert (tmp_path / "fetched").read_text() == (space / "notes/today.py").read_text()
    with pytest.raises(CommandError, match="is there already"):
        run("get", "atlas", "notes/today.py", str(tmp_path / "fetched"))


def test_the_command_refuses_who_may_only_look(bob: User, atlas: Agent, space: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(CommandError, match="not found"):
        call_command("sandbox", "files", "put", "atlas", str(tmp_path / "mine.txt"), "--user", "bob")
    assert [path.name for path in space.iterdir()] == ["notes"]
