"""Log lines carry the ids of what they are about, never a secret, and stay readable for machines."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys

import pytest
from django.test import Client

from agents.logcontext import Briefly, ContextFilter, JsonFormatter, TextFormatter, about
from agents.models import User

SECRET = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"


def line(formatter: logging.Formatter, message: str, *args: object, error: BaseException | None = None) -> str:
    exc_info = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("runs.engine", logging.INFO, "x.py", 1, message, args, exc_info)
    assert ContextFilter().filter(record)
    return formatter.format(record)


def test_a_line_says_who_and_what_it_is_about() -> None:
    with about(run="run_1", user="alice", sandbox=""), about(conversation="conv_1"):
        text, machine = line(TextFormatter(), "Started"), json.loads(line(JsonFormatter(), "Started"))

    assert text.endswith("INFO    runs.engine: Started run=run_1 user=alice conversation=conv_1")
    assert (machine["run"], machine["conversation"]) == ("run_1", "conv_1")
    assert (machine["level"], machine["logger"]) == ("INFO", "runs.engine")
    assert "sandbox" not in machine


def test_ids_end_with_their_block() -> None:
    with about(run="run_1"):
        pass

    assert "run=" not in line(TextFormatter(), "Later")


async def test_each_task_keeps_its_own_ids() -> None:
    async def work(run: str) -> str:
        with about(run=run):
            await asyncio.sleep(0)
            return line(TextFormatter(), "Working")

    lines = await asyncio.gather(*(work(f"run_{n}") for n in range(3)))

    assert [text.rsplit(" ", 1)[1] for text in lines] == ["run=run_0", "run=run_1", "run=run_2"]


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_secrets_are_masked_in_messages_arguments_and_tracebacks(formatter: logging.Formatter) -> None:
    try:
        raise ValueError(f"the key {SECRET} is odd")
    except ValueError:
        text = line(formatter, "Sent %s", SECRET, error=sys.exc_info()[1])

    assert SECRET not in text
    assert text.count("••••••") == 2
    assert "ValueError" in text


@pytest.mark.parametrize(
    "message",
    ["-----BEGIN PRIVATE KEY-----abc", 'a "quoted" word', "two\nlines", "half \ud800 pair", "Bearer abc123def456"],
)
def test_a_machines_line_is_one_line_of_json_whatever_is_said(message: str) -> None:
    text = line(JsonFormatter(), message)

    assert "\n" not in text
    assert set(json.loads(text)) == {"at", "level", "logger", "message"}
    assert text.encode()


@pytest.mark.django_db
@pytest.mark.parametrize("wrong", ["a foreign host", "a lookup nobody offers"])
def test_what_strangers_ask_wrongly_is_one_warning_without_a_traceback(ada: User, wrong: str) -> None:
    written = io.StringIO()
    handler = next(each for each in logging.getLogger().handlers if each.name == "console")
    kept, handler.stream = handler.stream, written  # type: ignore[attr-defined]
    try:
        client = Client()
        if wrong == "a foreign host":
            answer = client.get("/accounts/login/", headers={"host": "evil.example" + "x" * 5000})
        else:
            client.force_login(ada)
            answer = client.get("/admin/agents/agent/?owner__password__startswith=md5")
    finally:
        handler.stream = kept  # type: ignore[attr-defined]

    assert answer.status_code == 400
    lines = written.getvalue().splitlines()
    assert [each for each in lines if "django.security" in each] == lines
    assert len(lines) == 1
    assert "WARNING" in lines[0]
    assert len(lines[0]) < 400


def test_other_errors_keep_their_traceback_and_the_level_still_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    fault = logging.LogRecord("runs", logging.ERROR, "x.py", 1, "It broke", (), (ValueError, ValueError("x"), None))
    asked = logging.LogRecord("django.security.DisallowedHost", logging.ERROR, "x.py", 1, "Host %s", ("a",), None)

    assert Briefly().filter(fault)
    assert fault.exc_info
    monkeypatch.setattr(logging.getLogger(), "level", logging.ERROR)
    assert not Briefly().filter(asked)
