"""What a sandbox wrote is shown from its end, goes on without a gap, holds no secret, and is never a blank panel."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

from agents.errors import Invalid
from sandboxes import logs
from sandboxes.models import Sandbox, State

RUNTIME = logs.which("runtime")


@pytest.fixture
def box() -> Sandbox:
    return Sandbox(starts=1, state=State.RUNNING)


def write(box: Sandbox, text: str) -> Path:
    path = logs.path_of(box, RUNTIME)
    assert path.is_relative_to(settings.LOGOS_HOME)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_last_lines_and_where_to_go_on(box: Sandbox) -> None:
    path = write(box, "one\ntwo\nthree\n")

    found = logs.tail(box, RUNTIME, 2)
    assert found.lines == ("two", "three")
    assert found.empty == ""
    with path.open("a") as file:
        file.write("four\nhalf of")
    text, place = logs.since(box, RUNTIME, found.place)
    assert text == "four\n"
    with path.open("a") as file:
        file.write(" five\n")
    text, place = logs.since(box, RUNTIME, place)
    assert text == "half of five\n"
    assert logs.since(box, RUNTIME, place) == ("", place)


@pytest.mark.parametrize("how", ["shorter", "another file"])
def test_a_log_that_began_anew_is_read_from_its_beginning(box: Sandbox, how: str) -> None:
    path = write(box, "a long first line\n")
    place = logs.tail(box, RUNTIME).place
    if how == "another file":
        path.rename(path.with_suffix(".old"))
    write(box, "anew\n")

    assert logs.since(box, RUNTIME, place)[0] == "anew\n"


@pytest.mark.parametrize("place", ["", "-", "x-y", "99999999999999999999-5", "1-99999999999999999999"])
def test_a_place_that_makes_no_sense_is_the_beginning(box: Sandbox, place: str) -> None:
    write(box, "one\n")

    assert logs.since(box, RUNTIME, place)[0] == "one\n"


def test_a_place_in_digits_that_are_none_is_the_beginning(box: Sandbox) -> None:
    path = write(box, "one\n")

    assert logs.since(box, RUNTIME, f"{path.stat().st_ino}-²")[0] == "one\n"


def test_secrets_and_what_steers_terminals_are_taken_out(box: Sandbox) -> None:
    write(box, "red \x1b[31m and sk-proj-abcdefghijklmnopqrstuvwx and my-own-value-77\x07 \u202e\n")

    (line,) = logs.tail(box, RUNTIME, known={"my-own-value-77"}).lines

    assert "\x1b" not in line
    assert "\x07" not in line
    assert "sk-proj" not in line
    assert "my-own-value-77" not in line
    assert "\u202e" not in line


def test_a_huge_log_is_not_read_whole(box: Sandbox) -> None:
    write(box, "x" * (3 * logs.MOST_BYTES) + "\nthe end\n")

    assert logs.tail(box, RUNTIME, 1).lines == ("the end",)
    assert len(logs.tail(box, RUNTIME).text) <= logs.MOST_BYTES
    text, place = logs.since(box, RUNTIME, "0-0")
    assert len(text) == logs.MOST_BYTES
    assert logs.since(box, RUNTIME, place)[0]


def test_a_link_in_place_of_the_log_is_not_followed(box: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("do not read\n")
    path = write(box, "")
    path.unlink()
    path.symlink_to(secret)

    found = logs.tail(box, RUNTIME)

    assert found.lines == ()
    assert found.empty.startswith("The log cannot be read")
    assert logs.since(box, RUNTIME, "0-0")[0] == ""


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"starts": 0}, "has not started yet"),
        ({"starts": 0, "state": State.STARTING}, "being prepared for the first time"),
        ({"starts": 0, "state": State.FAILED, "reason": "No bubblewrap."}, "No bubblewrap."),
        ({"starts": 3}, "Nothing has been written"),
    ],
)
def test_an_empty_log_is_explained(fields: dict[str, object], words: str) -> None:
    assert words in logs.tail(Sandbox(**fields), RUNTIME).empty


def test_an_unknown_log_is_refused() -> None:
    with pytest.raises(Invalid, match="There are: runtime, keeper"):
        logs.which("../../secrets")
