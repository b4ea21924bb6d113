"""The process tools in a real sandbox: output, time, environment, the background."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agents.models import Agent, User
from sandboxes.tool_server import rules
from sandboxes.tool_server.models import CallState
from tests.sandboxes.tool_server.conftest import Call

pytestmark = [pytest.mark.sandbox, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def allowed(atlas: Agent, ada: User) -> None:
    rules.put(ada, None, tool="process.*", tier="allow", layer="site")


def test_a_command_says_what_it_says(call: Call, space: Path) -> None:
    (space / "sub").mkdir()

    done = call("process.run", command="pwd; cat; echo oops >&2; exit 3", stdin="typed\n", directory="sub")

    assert done.outcome.data == {
        "exit_code": 3,
        "stdout": "/workspace/sub\ntyped\n",
        "stdout_is_cut": False,
        "stderr": "oops\n",
        "stderr_is_cut": False,
    }
    assert not done.outcome.is_error


def test_the_environment_is_made_from_nothing(call: Call, space: Path) -> None:
    said = call("process.run", command="env", env={"COLOUR": "green"}).outcome.data["stdout"]
    names = {line.partition("=")[0] for line in said.splitlines()}

    assert "COLOUR=green" in said
    assert names == {
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "TERM", "COLOUR", "PWD"),
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    }


def test_endless_output_is_cut(call: Call, space: Path) -> None:
    done = call("process.run", command="head -c 20000000 /dev/zero | tr '\\0' x", timeout_s=120)

    assert done.outcome.data["stdout_is_cut"]
    assert len(done.outcome.data["stdout"]) == 256 * 1024
    assert done.outcome.data["exit_code"] == 0


def test_bytes_that_are_no_text_are_kept(call: Call, space: Path) -> None:
    done = call("process.run", command="printf '\\000\\377'; printf '\\377' >&2").outcome.data

    assert done["stdout_base64"] == "AP8="
    assert done["stderr"] == "\ufffd"


def test_what_does_not_end_is_stopped_with_all_it_started(call: Call, space: Path) -> None:
    done = call("process.run", command="sleep 4444 & sleep 4444", timeout_s=1)

    assert done.outcome.is_error
    assert "within 1 seconds" in done.outcome.text
    assert done.state == CallState.FAILED
    until = time.monotonic() + 60
    while "sleep 4444" in call("process.list").outcome.text:
        assert time.monotonic() < until
        time.sleep(0.2)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"argv": ["ls"], "command": "ls"},
        {"command": "  "},
        {"argv": [""]},
        {"argv": ["a\x00b"]},
        {"argv": "ls"},
        {"command": "ls", "env": {"A=B": "x"}},
        {"command": "ls", "timeout_s": 0},
        {"command": "ls", "timeout_s": True},
        {"command": "ls", "directory": "../.."},
        {"command": "ls", "unknown": 1},
        {"command": "\ud800"},
    ],
)
def test_what_makes_no_sense_is_refused(call: Call, space: Path, given: dict[str, object]) -> None:
    answer = call("process.run", **given)

    assert answer.outcome.is_error
    assert answer.state == CallState.REFUSED
    assert answer.outcome.data["reason"] in ("invalid_arguments", "outside")


def test_a_command_that_is_not_there_is_said(call: Call, space: Path) -> None:
    assert call("process.run", argv=["no-such-program"]).outcome.data["exit_code"] == 127


def test_what_runs_in_the_background_is_listed_and_stopped(call: Call, space: Path) -> None:
    begun = call("process.run", command="cat > got; sleep 5555", stdin="typed", background=True)
    number = begun.outcome.data["id"]
    until = time.monotonic() + 60
    while not ((space / "got").exists() and (space / "got").read_text()):
        assert time.monotonic() < until
        time.sleep(0.05)
    listed = [row for row in call("process.list").outcome.data["processes"] if row["id"] == number]

    stopped = call("process.stop", id=number)
    until = time.monotonic() + 60
    while not (again := call("process.stop", id=number)).outcome.is_error:
        assert time.monotonic() < until
        time.sleep(0.2)

    assert listed
    assert not stopped.outcome.is_error
    assert (space / "got").read_text() == "typed"
    assert "has ended" in again.outcome.text
    assert "sleep 5555" not in call("process.list").outcome.text


def test_what_cannot_be_started_in_the_background_is_said(call: Call, space: Path) -> None:
    answer = call("process.run", argv=["no-such-program"], background=True)

    assert answer.outcome.is_error
    assert "could not be started" in answer.outcome.text


def test_other_processes_are_not_stopped(call: Call, space: Path) -> None:
    for number in ("1", "../../workspace/x", "", "tool_unknown"):
        assert call("process.stop", id=number).outcome.is_error
