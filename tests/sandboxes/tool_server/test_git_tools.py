"""The git tools in a real sandbox: a day's work, and repositories that would like to run programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.models import Agent, User
from sandboxes.tool_server import rules
from sandboxes.tool_server.models import CallState
from tests.sandboxes.tool_server.conftest import Call, owned

pytestmark = [pytest.mark.sandbox, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def repository(call: Call, space: Path) -> Path:
    call("filesystem.write", path="work/a.txt", text="one\n", directories=True)
    begun = call("git.init", repository="work")
    assert not begun.outcome.is_error, begun.outcome.text
    call("git.add", repository="work", paths=["a.txt"])
    made = call("git.commit", repository="work", message="First\n\n--no-such-option")
    assert not made.outcome.is_error, made.outcome.text
    return space / "work"


def test_a_days_work(call: Call, repository: Path) -> None:
    call("filesystem.write", path="work/a.txt", text="two\n", mode="replace")

    status = call("git.status", repository="work").outcome.text
    diff = call("git.diff", repository="work", path="a.txt").outcome.text
    call("git.add", repository="work", paths=["."])
    staged = call("git.diff", repository="work", staged=True).outcome.text
    call("git.commit", repository="work", message="Second")
    log = call("git.log", repository="work").outcome.text
    shown = call("git.show", repository="work", ref="HEAD").outcome.text
    call("git.branch", repository="work", name="old", start="HEAD~1")
    branches = call("git.branch", repository="work").outcome.text
    moved = call("git.checkout", repository="work", ref="old")

    assert "a.txt" in status
    assert "-one\n+two" in diff
    assert "-one\n+two" in staged
    assert [line.split("\t")[3] for line in log.splitlines()] == ["Second", "First"]
    assert log.split("\t")[2] == "atlas"
    assert "+two" in shown
    assert "old" in branches
    assert not moved.outcome.is_error
    assert (repository / "a.txt").read_text() == "one\n"


@pytest.mark.parametrize(
    "setting",
    [
        '[core]\n\tfsmonitor = "touch /workspace/ran"',
        '[filter "x"]\n\tclean = "touch /workspace/ran"',
        '[diff "x"]\n\ttextconv = "touch /workspace/ran"',
        '[alias]\n\tstatus = "!touch /workspace/ran"',
        "[include]\n\tpath = /workspace/more",
        '[url "https://elsewhere.example/"]\n\tinsteadOf = https://git.example/',
        '[remote "https://git.example/x"]\n\tvcs = run',
        "[core]\n\tworktree = /home/agent",
        "[http]\n\tproxy = http://127.0.0.1:9",
    ],
)
def test_a_repository_that_would_run_programs_or_lead_elsewhere_is_refused(
    call: Call, repository: Path, space: Path, setting: str
) -> None:
    with (repository / ".git/config").open("a") as file:
        file.write(f"\n{setting}\n")
    (repository / ".gitattributes").write_text("*.txt filter=x diff=x\n")
    (repository / "a.txt").write_text("changed\n")

    answers = [
        call("git.status", repository="work"),
        call("git.add", repository="work", paths=["a.txt"]),
        call("git.diff", repository="work"),
        call("git.fetch", repository="work", url="https://git.example/x"),
    ]

    assert all(answer.outcome.is_error for answer in answers)
    assert "settings hold" in answers[0].outcome.text
    assert not (space / "ran").exists()


def test_hooks_do_not_run(call: Call, repository: Path, space: Path) -> None:
    for name in ("pre-commit", "post-commit", "commit-msg", "post-checkout"):
        hook = repository / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text("#!/bin/sh\ntouch /workspace/ran\n")
        hook.chmod(0o755)
    call("filesystem.write", path="work/b.txt", text="b")
    call("git.add", repository="work", paths=["b.txt"])

    made = call("git.commit", repository="work", message="With hooks")
    call("git.branch", repository="work", name="other")
    call("git.checkout", repository="work", ref="other")

    assert not made.outcome.is_error
    assert not (space / "ran").exists()


@pytest.mark.parametrize(
    ("tool", "given"),
    [
        ("git.log", {"ref": "--output=/workspace/x"}),
        ("git.show", {"ref": "-p"}),
        ("git.diff", {"base": "HEAD..", "target": "x"}),
        ("git.checkout", {"ref": "--force"}),
        ("git.branch", {"name": "-D"}),
        ("git.branch", {"name": "../x"}),
        ("git.add", {"paths": ["../../etc"]}),
        ("git.fetch", {"url": "ext::sh -c touch% /workspace/ran"}),
        ("git.fetch", {"url": "file:///workspace/work"}),
        ("git.fetch", {"url": "--upload-pack=touch /workspace/ran"}),
        ("git.fetch", {"url": "https://name:word@git.example/x"}),
        ("git.clone", {"url": "https://git.example/x", "directory": "../x"}),
        ("git.clone", {"url": "https://git.example/x", "directory": "work"}),
        ("git.clone", {"url": "ssh://git.example/x", "directory": "new"}),
        ("git.clone", {"url": "https://127.0.0.1/x", "directory": "new"}),
    ],
)
def test_no_argument_becomes_an_option_or_leads_elsewhere(
    call: Call, repository: Path, space: Path, tool: str, given: dict[str, object]
) -> None:
    more = {} if tool == "git.clone" else {"repository": "work"}
    answer = call(tool, **more, **given)

    assert answer.outcome.is_error
    assert not (space / "ran").exists()
    assert not (space / "x").exists()


def test_no_repository_and_no_link_to_one_is_said(call: Call, repository: Path, space: Path) -> None:
    (space / "link").symlink_to("work")
    owned(space / "link")
    (space / "plain").mkdir()
    owned(space / "plain")

    assert "no git repository" in call("git.status", repository="plain").outcome.text
    assert "not followed" in call("git.status", repository="link").outcome.text
    assert call("git.init", repository="link").outcome.is_error


def test_pushing_is_asked_for_and_without_anybody_refused(
    call: Call, repository: Path, atlas: Agent, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sandboxes.tool_server import asking

    monkeypatch.setattr(asking, "_desks", [])
    refused = call("git.push", repository="work", url="https://git.example/x", branch="main")
    rules.put(ada, None, tool="git.push", tier="allow", layer="site")
    failed = call("git.push", repository="work", url="https://git.example/x", branch="main", timeout_s=30)

    assert refused.state == CallState.REFUSED
    assert failed.state == CallState.FAILED
