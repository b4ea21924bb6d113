"""What is stored holds no secret, nothing a database refuses, and has an end."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from agents.models import Agent, User
from agents.secrets import MASK
from runs import dispatch, events
from runs.events import CUT, MAX_DATA_CHARS, MAX_EVENT_CHARS, Event, redacted
from runs.models import RunEvent
from runs.stamp import canonical

TOKEN = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"
AT = datetime(2026, 11, 21, tzinfo=UTC)

# What a model may put into the arguments of a tool call, as Python's JSON reader hands it over.
HOSTILE: dict[str, Any] = {
    "NUL": {"text": "a\x00b"},
    "half a pair": {"text": "a\ud800b"},
    "half a pair in a key": {"\udfff": {"x\ud800": 1}},
    "NUL in a key": {"a\x00b": 1},
    "not a number": json.loads('{"x": NaN}'),
    "infinite": json.loads('{"x": [Infinity, -Infinity, 1e999]}'),
    "a huge number": {"x": 10**4000},
    "large whole floats": {"x": [1e16, -1e300, -0.0]},
    "keys that are no text": {"x": {1: 2, None: 3}},
    "deeply nested": json.loads('{"x":' * 500 + "1" + "}" * 500),
    "deep lists": json.loads('{"x": ' + "[" * 900 + "]" * 900 + "}"),
    "values JSON does not know": {"x": {1, 2}, "y": Decimal("1.5"), "z": b"bytes", "at": AT},
    "a long text": {"text": "x" * 1_000_000},
    "many texts": {"x": ["y" * 1000] * 5000},
    "many numbers": {"x": list(range(300_000))},
    "many keys": {"x": {str(n): n for n in range(100_000)}},
}


@pytest.mark.django_db
@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_whatever_a_model_says_can_be_stored_and_still_verifies(data: dict, alice: User, atlas: Agent) -> None:
    run = dispatch.start(alice, "Hello", agent=atlas).run

    events.store([Event(run.pk, 2, "tool.started", redacted(data), AT)], {})

    stored = RunEvent.objects.get(run=run, seq=2)
    text = canonical(stored.data).decode()
    assert events.verify(run) == ""
    assert "\x00" not in text
    assert "\\u0000" not in text
    assert len(text) < 5 * MAX_EVENT_CHARS


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        ({"text": f"key {TOKEN}"}, {"text": f"key {MASK}"}),
        ({"args": {"env": [{"deep": TOKEN}]}}, {"args": {"env": [{"deep": MASK}]}}),
        ({"args": {TOKEN: 1}}, {"args": {MASK: 1}}),
        ({"x": ("a", 1, 2.5, True, None)}, {"x": ["a", 1, 2.5, True, None]}),
        ({"x": math.nan, "y": math.inf, "z": -0.0}, {"x": "nan", "y": "inf", "z": 0.0}),
        ({"x": 2**63}, {"x": "0x8000000000000000"}),
        ({"text": "a\x00\ud800b 👩🏽\u200d💻"}, {"text": "a?b 👩🏽\u200d💻"}),
    ],
)
def test_secrets_are_masked_and_the_rest_is_kept(data: dict, kept: dict) -> None:
    assert redacted(data) == kept


def test_100_kb_are_cut_with_a_note() -> None:
    text = redacted({"text": "x" * 100_000})["text"]

    assert text == "x" * MAX_DATA_CHARS + CUT


def test_what_fits_is_not_cut() -> None:
    assert redacted({"text": "é" * MAX_DATA_CHARS})["text"] == "é" * MAX_DATA_CHARS


def test_a_secret_at_the_cut_is_not_shown_in_half() -> None:
    text = redacted({"text": "x" * (MAX_DATA_CHARS - 21) + " " + TOKEN + " " + "y" * 100})["text"]

    assert "ghp_" not in text
    assert text.endswith(CUT)


def test_nesting_ends_somewhere() -> None:
    value = redacted(HOSTILE["deep lists"])["x"]
    for _ in range(events.MAX_DEPTH):
        (value,) = value

    assert value == CUT


def test_the_callers_data_is_left_as_it_is() -> None:
    data = {"args": {"a": [TOKEN]}}

    redacted(data)

    assert data == {"args": {"a": [TOKEN]}}
