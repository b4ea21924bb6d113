"""Durations, money, tokens, states and times read the same everywhere."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from runs import words
from runs.templatetags import run_format


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (None, ""),
        (0, "0 ms"),
        (12.4, "12 ms"),
        (99.6, "0.1 s"),
        (1234, "1.2 s"),
        (9960, "10 s"),
        (41_000, "41 s"),
        (59_600, "1 min"),
        (200_000, "3 min 20 s"),
        (7_500_000, "2 h 5 min"),
    ],
)
def test_durations(milliseconds: float | None, text: str) -> None:
    assert run_format.duration(milliseconds) == text


@pytest.mark.parametrize(
    ("amount", "is_partial", "text"),
    [
        (None, False, "cost unknown"),
        (None, True, "cost unknown"),
        (Decimal(0), False, "$0"),
        (Decimal("0.00000312"), False, "under $0.0001"),
        (Decimal("0.0061"), False, "$0.0061"),
        ("0.31", True, "at least $0.31"),
        (Decimal("1234.5"), False, "$1,234.50"),
        ("nonsense", False, "cost unknown"),
    ],
)
def test_money_is_never_zero_when_unknown(amount: object, is_partial: bool, text: str) -> None:
    assert run_format.money(amount, is_partial) == text


@pytest.mark.parametrize(
    ("count", "text"), [(None, "unknown"), (0, "0"), (950, "950"), (18_212, "18.2k"), (2000, "2k"), (1_310_000, "1.3M")]
)
def test_tokens(count: int | None, text: str) -> None:
    assert run_format.tokens(count) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 model calls"), (1, "1 model call"), (1200, "1,200 model calls")])
def test_counts_have_their_noun(count: int, text: str) -> None:
    assert run_format.plural(count, "model call") == text


def test_every_state_of_a_run_has_one_of_the_ten_words_and_a_colour() -> None:
    assert set(words.STATES.values()) <= set(run_format.PILLS)


@pytest.mark.parametrize(
    ("state", "html"),
    [
        ("completed", '<span class="state ok">done</span>'),
        ("waiting", '<span class="state waiting">waiting for you</span>'),
        ("ok", '<span class="state ok">done</span>'),
        ("unknown", '<span class="state unknown">outcome unknown</span>'),
        ("<b>", '<span class="state unknown">&lt;b&gt;</span>'),
    ],
)
def test_pills(state: str, html: str) -> None:
    assert run_format.pill(state) == html


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (timedelta(seconds=3), "just now"),
        (timedelta(minutes=5), "5 min ago"),
        (timedelta(hours=3), "3 h ago"),
        (timedelta(days=2), "2 d ago"),
        (timedelta(minutes=-4, seconds=-20), "in 4 min"),
    ],
)
def test_times_are_relative_with_the_exact_time_on_hover(passed: timedelta, text: str) -> None:
    at = timezone.now() - passed

    html = run_format.ago(at.isoformat())

    assert f">{text}</time>" in html
    assert f'datetime="{at.isoformat()}"' in html
    assert str(at.year) in html.split("title=")[1]


@pytest.mark.parametrize("moment", [None, "", "yesterday", "2026-13-45T00:00:00"])
def test_a_time_that_is_none_shows_nothing(moment: str | None) -> None:
    assert run_format.ago(moment) == ""
    assert run_format.clock(moment) == ""


@pytest.mark.parametrize(
    ("args", "text"), [({}, ""), ({"command": "ls"}, "ls"), ({"path": "é"}, '{\n  "path": "é"\n}')]
)
def test_arguments_are_shown_as_people_read_them(args: dict, text: str) -> None:
    assert run_format.arguments(args) == text


def test_arguments_nested_without_end_do_not_break_the_page() -> None:
    args: dict = {}
    for _ in range(5_000):
        args = {"a": args}

    assert run_format.arguments(args) == "Too deeply nested to be shown."
