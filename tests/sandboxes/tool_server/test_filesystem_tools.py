"""The filesystem tools in a real sandbox: what they do, and that nothing leads out of the workspace."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import pytest

from agents.models import Agent, AgentSecret
from agents.secrets import seal
from sandboxes.tool_server.models import CallState, ToolCall
from tests.sandboxes.tool_server.conftest import Call, owned

pytestmark = [pytest.mark.sandbox, pytest.mark.django_db(transaction=True)]


def test_what_is_written_is_read_again(call: Call, space: Path) -> None:
    made = call("filesystem.write", path="notes/täglich 100%.md", text="Tee ☕\n", directories=True)
    read = call("filesystem_read", path="/workspace/notes/täglich 100%.md")

    assert not made.outcome.is_error, made.outcome.text
    assert read.outcome.text == "Tee ☕\n"
    assert read.outcome.data["size"] == 8
    assert (space / "notes/täglich 100%.md").read_text() == "Tee ☕\n"
    row = ToolCall.objects.get(pk=made.call_id)
    assert (row.state, row.tier, row.tool, row.is_error) == (CallState.DONE, "allow", "filesystem.write", False)
    assert row.duration_ms is not None


def test_a_file_is_replaced_only_on_purpose_and_keeps_its_mode(call: Call, space: Path) -> None:
    call("filesystem.write", path="run.sh", text="one")
    (space / "run.sh").chmod(0o755)

    refused = call("filesystem.write", path="run.sh", text="two")
    replaced = call("filesystem.write", path="run.sh", text="two", mode="replace")
    appended = call("filesystem.write", path="run.sh", text=" three", mode="append")

    assert refused.outcome.is_error
    assert "there already" in refused.outcome.text
    assert not replaced.outcome.is_error
    assert appended.outcome.data["size"] == 9
    assert (space / "run.sh").read_text() == "two three"
    assert (space / "run.sh").stat().st_mode & 0o777 == 0o755


def test_bytes_that_are_no_text_travel_as_base64(call: Call, space: Path) -> None:
    raw = bytes(range(256)) * 4

    call("filesystem.write", path="raw.bin", base64=base64.b64encode(raw).decode())
    read = call("filesystem.read", path="raw.bin")
    looked = call("filesystem.stat", path="raw.bin", digest=True)

    assert base64.b64decode(read.outcome.data["base64"]) == raw
    assert looked.outcome.data["sha256"] == hashlib.sha256(raw).hexdigest()


def test_a_large_file_is_read_in_parts_and_no_character_is_split(call: Call, space: Path) -> None:
    text = "ä☕x" * 100_000
    (space / "large.txt").write_text(text)

    found, offset = "", 0
    while True:
        part = call("filesystem.read", path="large.txt", offset=offset, length=100_000).outcome.data
        found, offset = found + part["text"], offset + part["bytes"]
        if not part["is_cut"]:
            break

    assert found == text


@pytest.mark.parametrize(
    "path", ["../../etc/passwd", "/etc/passwd", "a/../../b", "%2e%2e/b", "/workspace/../etc", "a\x00b"]
)
def test_no_path_leads_out(call: Call, space: Path, path: str) -> None:
    for tool, more in (
        ("filesystem.read", {}),
        ("filesystem.write", {"text": "x", "directories": True}),
        ("filesystem.delete", {}),
        ("filesystem.list", {}),
        ("filesystem.move", {"to": "x"}),
    ):
        answer = call(tool, path=path, **more)
        assert answer.outcome.is_error
        assert answer.state == CallState.REFUSED


def test_no_link_is_followed(call: Call, space: Path) -> None:
    (space / "real").mkdir()
    (space / "real/secret.txt").write_text("secret")
    owned(space / "real")
    for name, target in (("passwd", "/etc/passwd"), ("inner", "real"), ("out", "../../..")):
        (space / name).symlink_to(target)
        owned(space / name)

    for tool, given in (
        ("filesystem.read", {"path": "passwd"}),
        ("filesystem.read", {"path": "inner/secret.txt"}),
        ("filesystem.list", {"path": "out"}),
        ("filesystem.write", {"path": "inner/new.txt", "text": "x"}),
        ("filesystem.write", {"path": "passwd", "text": "x", "mode": "append"}),
        ("filesystem.delete", {"path": "inner/secret.txt"}),
        ("filesystem.move", {"path": "real/secret.txt", "to": "inner/moved.txt"}),
        ("filesystem.diff", {"path": "passwd", "text": ""}),
        ("filesystem.search", {"path": "inner", "text": "secret"}),
    ):
        answer = call(tool, **given)
        assert answer.outcome.is_error, tool
        assert "links are not followed" in answer.outcome.text, (tool, answer.outcome.text)
    looked = call("filesystem.stat", path="passwd").outcome.data
    assert (looked["kind"], looked["target"]) == ("link", "/etc/passwd")
    assert (space / "real/secret.txt").read_text() == "secret"


def test_a_pipe_is_not_waited_for(call: Call, space: Path) -> None:
    os.mkfifo(space / "pipe")
    owned(space / "pipe")

    read = call("filesystem.read", path="pipe")
    appended = call("filesystem.write", path="pipe", text="x", mode="append")

    assert "no regular file" in read.outcome.text
    assert appended.outcome.is_error


def test_directories_are_listed_by_pages_and_names_that_are_no_text_come_back(call: Call, space: Path) -> None:
    for number in range(25):
        (space / f"file-{number:02}").touch()
    with open(os.fsencode(space) + b"/z\xff\n", "w"):
        pass

    first = call("filesystem.list", limit=20).outcome.data
    second = call("filesystem.list", limit=20, after=first["next"]).outcome.data
    odd = second["entries"][-1]["name"]

    assert len(first["entries"]) == 20
    assert (len(second["entries"]), second["next"], first["total"]) == (6, "", 26)
    assert odd == "z%FF%0A"
    assert call("filesystem.read", path=odd).outcome.data["size"] == 0


def test_lines_and_names_are_found(call: Call, space: Path) -> None:
    (space / "deep/er").mkdir(parents=True)
    (space / "deep/er/a.py").write_text("import os\nprint('needle 42')\n")
    (space / "b.txt").write_text("needle\n")
    (space / "c.bin").write_bytes(b"needle\x00")

    lines = call("filesystem.search", text=r"needle \d+", regex=True).outcome.data["finds"]
    names = call("filesystem.search", name="*.py").outcome.data["finds"]
    plain = call("filesystem.search", text="needle").outcome.data["finds"]
    wrong = call("filesystem.search", text="(", regex=True)

    assert lines == [{"path": "deep/er/a.py", "line": 2, "text": "print('needle 42')"}]
    assert [each["path"] for each in names] == ["deep/er/a.py"]
    assert {each["path"] for each in plain} == {"b.txt", "deep/er/a.py"}
    assert wrong.outcome.is_error


def test_moving_replaces_nothing_and_deleting_a_full_directory_is_said(call: Call, space: Path) -> None:
    (space / "a").write_text("a")
    (space / "b").write_text("b")
    (space / "full").mkdir()
    (space / "full/x").write_text("x")
    owned(space / "full")
    owned(space / "full/x")

    onto = call("filesystem.move", path="a", to="b")
    moved = call("filesystem.move", path="a", to="c")
    not_empty = call("filesystem.delete", path="full")
    deleted = call("filesystem.delete", path="full", recursive=True)
    whole = call("filesystem.delete", path="")

    assert "there already" in onto.outcome.text
    assert not moved.outcome.is_error
    assert "not empty" in not_empty.outcome.text
    assert not deleted.outcome.is_error
    assert whole.outcome.is_error
    assert sorted(path.name for path in space.iterdir()) == ["b", "c"]


def test_differences_are_shown(call: Call, space: Path) -> None:
    (space / "a").write_text("one\ntwo\n")
    (space / "b").write_text("one\n2\n")

    shown = call("filesystem.diff", path="a", other="b").outcome.data["diff"]
    same = call("filesystem.diff", path="a", text="one\ntwo\n").outcome

    assert "-two\n+2\n" in shown
    assert same.text == "They are the same."


def test_a_known_secret_is_masked_in_results_and_records(atlas: Agent, call: Call, space: Path) -> None:
    AgentSecret.objects.create(agent=atlas, name="PIN", sealed=seal("correct-horse-battery"))
    (space / "env").write_text("PIN=correct-horse-battery\n")
    (space / "bin").write_bytes(b"\x00correct-horse-battery")

    text = call("filesystem.read", path="env")
    binary = call("filesystem.read", path="bin")
    call("filesystem.write", path="copy", text="correct-horse-battery")

    assert "correct-horse" not in text.outcome.text + str(text.outcome.data)
    assert b"correct-horse" not in base64.b64decode(binary.outcome.data["base64"])
    assert "correct-horse" not in str(list(ToolCall.objects.values_list("arguments", "reason", "error")))
    assert (space / "copy").read_text() == "correct-horse-battery"
