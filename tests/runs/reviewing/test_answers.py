"""What the reviewer answers is read strictly: anything but the object that was asked for is no answer."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.reviewing.answers import Malformed, read, said_in, shown
from runs.reviewing.limits import Answer

GOOD = '{"verdict": "allow", "confidence": 0.9, "reason": "So."}'


def test_an_answer() -> None:
    assert read(GOOD) == Answer("allow", Decimal("0.9"), "So.")
    assert read(f"\n {GOOD} \n") == Answer("allow", Decimal("0.9"), "So.")
    assert read('{"reason": "", "confidence": 1, "verdict": "unsure"}') == Answer("unsure", Decimal(1), "")


@pytest.mark.parametrize("text", [
    "",
    "allow",
    "null",
    "[]",
    f"[{GOOD}]",
    f"```json\n{GOOD}\n```",
    f"Sure! {GOOD}",
    f"{GOOD} {GOOD}",
    f"{GOOD}.",
    "<think>hm</think>" + GOOD,
    '{"verdict": "allow", "confidence": 0.9}',
    '{"verdict": "allow", "reason": "So."}',
    '{"confidence": 0.9, "reason": "So."}',
    '{"verdict": "allow", "confidence": 0.9, "reason": "So.", "more": 1}',
    '{"verdict": "deny", "verdict": "allow", "confidence": 0.9, "reason": "So."}',
    '{"verdict": "ALLOW", "confidence": 0.9, "reason": "So."}',
    '{"verdict": "yes", "confidence": 0.9, "reason": "So."}',
    '{"verdict": true, "confidence": 0.9, "reason": "So."}',
    '{"verdict": ["allow"], "confidence": 0.9, "reason": "So."}',
    '{"verdict": "allow", "confidence": "0.9", "reason": "So."}',
    '{"verdict": "allow", "confidence": true, "reason": "So."}',
    '{"verdict": "allow", "confidence": null, "reason": "So."}',
    '{"verdict": "allow", "confidence": NaN, "reason": "So."}',
    '{"verdict": "allow", "confidence": Infinity, "reason": "So."}',
    '{"verdict": "allow", "confidence": 1.0001, "reason": "So."}',
    '{"verdict": "allow", "confidence": 90, "reason": "So."}',
    '{"verdict": "allow", "confidence": -0.1, "reason": "So."}',
    '{"verdict": "allow", "confidence": 1e999999, "reason": "So."}',
    '{"verdict": "allow", "confidence": 0.' + "9" * 60 + ', "reason": "So."}',
    '{"verdict": "allow", "confidence": 0.9, "reason": 7}',
    '{"verdict": "allow", "confidence": 0.9, "reason": null}',
    json.dumps({"verdict": "allow", "confidence": 0.9, "reason": "x" * 501}),
    "[" * 100_000,
    '{"verdict": "allow", "confidence": 0.9, "reason": "So."' + " " * 5_000 + "}",
])  # fmt: skip
def test_what_is_no_answer(text: str) -> None:
    with pytest.raises(Malformed):
        read(text)


@given(st.text(max_size=200))
def test_no_text_makes_it_fail_otherwise(text: str) -> None:
    try:
        read(text)
    except Malformed:
        pass


@pytest.mark.parametrize("document", [
    None, [], {}, {"choices": []}, {"choices": [{}]}, {"choices": [{"message": {}}]},
    {"choices": [{"message": {"content": None}}]},
    {"choices": [{"message": {"content": [{"type": "text", "text": GOOD}]}}]},
    {"choices": [{"message": {"content": GOOD}}, {"message": {"content": GOOD}}]},
    {"choices": [{"message": {"content": GOOD, "tool_calls": [{"id": "c"}]}}]},
    {"content": []}, {"content": GOOD},
    {"content": [{"type": "text", "text": GOOD}, {"type": "text", "text": GOOD}]},
    {"content": [{"type": "tool_use", "name": "x"}, {"type": "text", "text": GOOD}]},
    {"content": [{"type": "text", "text": 7}]},
])  # fmt: skip
def test_an_answer_of_a_provider_that_holds_not_exactly_one_text(document: Any) -> None:
    with pytest.raises(Malformed):
        said_in(document)


def test_what_a_model_thought_before_is_not_its_answer() -> None:
    blocks = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": GOOD}]
    assert said_in({"content": blocks}) == GOOD
    message = {"content": GOOD, "reasoning_content": "hm"}
    assert said_in({"choices": [{"message": message}]}) == GOOD


def test_a_reason_is_kept_on_one_line_with_every_character_visible() -> None:
    assert shown("It is\nfine.\u202e\x00 \ud800") == "It is fine.⟨U+202E⟩ ⟨U+D800⟩"
