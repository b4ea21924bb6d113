"""Files and answers are coloured, and whoever writes a hostile one gets plain text, not the processor of the house."""

from __future__ import annotations

import pytest

from runs.markdown import to_html
from sandboxes import highlighting


def test_a_text_is_coloured_by_its_name_and_escaped() -> None:
    html = highlighting.html("a.py", "x = '<b>'\n")

    assert "hl-" in html
    assert "&lt;b&gt;" in html
    assert highlighting.html("notes", "<b>") == "&lt;b&gt;"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.c", "\n" * 16_000),
        ("x.c", " \n" * 8_000),
        ("x.java", ("a b " * 475 + "\n") * 8),
        ("x.au3", "x" + " " * 900 + "y"),
        ("x.py", "x = 1\n" * 12_000),
    ],
)
def test_what_would_take_long_stays_plain(name: str, text: str) -> None:
    assert not highlighting.is_quick(text)
    assert "hl-" not in highlighting.html(name, text)


def test_what_takes_long_all_the_same_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(highlighting, "MOST_SECONDS", -1.0)

    assert highlighting.html("a.py", "x = '<b>'\n") == "x = &#x27;&lt;b&gt;&#x27;\n"


def test_the_code_in_an_answer_keeps_to_the_same_limits() -> None:
    assert "hl-" in to_html("```c\nint x = 1;\n```")
    assert "hl-" not in to_html("```c\n" + "int x = 1;" + "\n" * 8_000 + "int y;\n```")


def test_ordinary_source_is_quick() -> None:
    with open(highlighting.__file__) as file:
        assert highlighting.is_quick(file.read())
