"""What a page may say to a shell: sizes and what was drawn, and nothing else."""

from __future__ import annotations

import pytest

from agents.errors import Invalid
from channels_app.shell_messages import Drawn, Size, read, size_of


def test_a_size_and_what_was_drawn_are_understood() -> None:
    assert read('{"rows": 40, "columns": 120}') == Size(40, 120)
    assert read('{"drawn": 4096}') == Drawn(4096)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "no JSON",
        "[]",
        "7",
        "null",
        '{"rows": 0, "columns": 80}',
        '{"rows": 1001, "columns": 80}',
        '{"rows": 24}',
        '{"rows": "24", "columns": 80}',
        '{"rows": 2.5, "columns": 80}',
        '{"rows": true, "columns": 80}',
        '{"rows": 24, "columns": 80, "more": 1}',
        '{"drawn": -1}',
        '{"drawn": 1e9}',
        '{"drawn": 99999999999}',
        '{"drawn": 1}' + " " * 100_000 + "x",
        "[" * 60_000,
        '{"drawn": 1' + "0" * 50_000 + "}",
    ],
)
def test_whatever_else_is_said_is_refused(said: str) -> None:
    with pytest.raises(Invalid):
        read(said)


@pytest.mark.parametrize(
    ("query", "size"),
    [
        ({"rows": ["31"], "columns": ["97"]}, Size(31, 97)),
        ({}, Size(24, 80)),
        ({"rows": ["x"], "columns": ["97"]}, Size(24, 80)),
        ({"rows": ["0"], "columns": ["97"]}, Size(24, 80)),
        ({"rows": ["9" * 5000], "columns": ["97"]}, Size(24, 80)),
    ],
)
def test_a_window_that_says_no_size_has_the_usual_one(query: dict[str, list[str]], size: Size) -> None:
    assert size_of(query) == size
