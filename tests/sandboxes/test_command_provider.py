"""`manage.py provider`: keys come from files, standard input or the environment, never from the command line."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from agents import secrets
from agents.errors import Code
from agents.models import Provider, User
from sandboxes import provider_models
from sandboxes.inference.failures import Failure, ProviderError
from sandboxes.inference.listing import ModelInfo
from tests import shell

KEY = "sk-from-somewhere-safe"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, ada: User) -> list[tuple[str, str]]:
    asked: list[tuple[str, str]] = []

    def check(base_url: str, key: str, kind: str) -> list[ModelInfo]:
        asked.append((base_url, key))
        if key == "sk-wrong":
            raise ProviderError(Failure(Code.PROVIDER_AUTH, "The model provider refused the key.", "Replace it.", 401))
        return [ModelInfo("coder-1", 8_000)]

    monkeypatch.setattr(provider_models, "check", check)
    return asked


@pytest.mark.parametrize("source", ["file", "stdin", "environment"])
def test_a_key_is_read_from_where_nobody_else_sees_it(
    asked: list, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{KEY}\n"))
    monkeypatch.setenv("LAB_KEY", KEY)
    words = {
        "file": ("--key-file", str(tmp_path / "key")),
        "stdin": ("--key-file", "-"),
        "environment": ("--key-env", "LAB_KEY"),
    }

    ended = shell.run("provider", "add", "Lab", "lab.example/v1", *words[source])

    provider = Provider.objects.get()
    assert (ended.code, ended.out.strip()) == (0, provider.pk)
    assert secrets.unseal(provider.sealed_key) == KEY
    assert asked == [("https://lab.example/v1", KEY)]
    assert KEY not in ended.out + ended.said


def test_no_option_takes_the_key_itself(asked: list) -> None:
    assert shell.run("provider", "add", "Lab", "lab.example", "--key", KEY).code != 0
    assert not Provider.objects.exists()


def test_a_refused_key_stores_nothing_unless_one_insists(asked: list, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_KEY", "sk-wrong")
    words = ("provider", "add", "Lab", "https://lab.example/v1", "--key-env", "LAB_KEY")

    refused = shell.run(*words)

    assert (refused.code, "refused the key" in refused.said) == (1, True)
    assert not Provider.objects.exists()
    assert shell.run(*words, "--unchecked").code == 0


def test_a_provider_is_changed_listed_and_deleted(asked: list, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_KEY", KEY)
    shell.run("provider", "add", "Lab", "https://lab.example/v1", "--key-env", "LAB_KEY")

    moved = shell.run("provider", "edit", "Lab", "--address", "https://evil.example/v1")
    assert (moved.code, "needs the key again" in moved.said) == (1, True)
    assert shell.run("provider", "edit", "Lab", "--name", "Laboratory", "--forget-key").code == 0
    assert "none" in shell.run("provider", "list").out
    assert shell.run("provider", "list", "--json").json[0]["has_key"] is False
    assert "coder-1" in shell.run("provider", "models", "Laboratory").out
    assert shell.run("provider", "delete", "Laboratory").code == 0
    assert not Provider.objects.exists()


@pytest.mark.parametrize("words", [("--key-env", "NOT_THERE_AT_ALL"), ("--key-file", "/nothing/here")])
def test_a_key_that_is_not_there_is_one_sentence(asked: list, words: tuple[str, str]) -> None:
    ended = shell.run("provider", "add", "Lab", "https://lab.example/v1", *words)

    assert ended.code == 1
    assert "Traceback" not in ended.said
    assert not Provider.objects.exists()


def test_only_admins_add_and_only_operators_look(asked: list, alice: User) -> None:
    for words in (("add", "Lab", "https://lab.example/v1"), ("list",)):
        ended = shell.run("provider", *words, "--user", "alice")
        assert (ended.code, "role does not include" in ended.said) == (1, True)
    assert asked == []
