"""A command is tried on the page, through the API and from a shell: one judgement, nothing is run or kept."""

from __future__ import annotations

import pytest
from django.test import Client

from agents.gate import judge
from agents.gate.rules import shipped
from agents.models import User
from tests.api_client import Program
from tests.shell import run as shell

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("ls", 0, "Passes."),
        ("sudo rm -rf x", 2, "A person is asked first."),
        ("rm -rf /", 3, "Nobody may approve this."),
    ],
)
def test_a_shell_says_the_verdict_and_ends_with_it(command: str, code: int, words: str) -> None:
    ended = shell("gate", "check", command)

    assert ended.code == code
    assert ended.out.splitlines()[0] == words
    assert len(ended.out.splitlines()) == 1 + len(judge(command).findings)


def test_a_shell_lists_every_rule() -> None:
    assert len(shell("gate", "rules").out.splitlines()) == len(shipped().all)
    assert {each["id"] for each in shell("gate", "rules", "--json").json} == {rule.id for rule in shipped().all}


def test_a_program_gets_the_judgement(alice: User) -> None:
    said = Program(alice).post("gate/check", {"command": "sudo rm -rf x"})

    assert (said["verdict"], said["severity"]) == ("ask", "high")
    assert [each["rule"] for each in said["findings"]] == ["delete-recursive", "as-root"]
    assert said["key"] == judge("sudo rm -rf x").key


def test_a_program_is_refused_what_is_too_long_or_no_text(alice: User) -> None:
    program = Program(alice)

    program.post("gate/check", {"command": "x" * 70_000}, 422)
    program.post("gate/check", {"command": "a\x00b"}, 422)
    program.post("gate/check", {}, 422)


def test_the_page_judges_and_keeps_what_was_typed(alice: User, client: Client) -> None:
    client.force_login(alice)

    page = client.post("/approvals/gate/", {"command": "rm -rf / <script>"}).content.decode()

    assert "Nobody may approve this" in page
    assert "rm -rf / &lt;script&gt;" in page
    assert "<script>\n" not in page.split("</textarea>")[0].split("<textarea")[1]
    assert len(page) < 60_000


def test_the_page_says_what_is_missing(alice: User, client: Client) -> None:
    client.force_login(alice)

    answer = client.post("/approvals/gate/", {"command": ""})

    assert answer.status_code == 400
    assert "Write a command to try." in answer.content.decode()


def test_a_stranger_is_sent_to_sign_in(client: Client) -> None:
    assert client.post("/approvals/gate/", {"command": "ls"}).status_code == 302
