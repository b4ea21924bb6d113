"""Characters nobody can see are found; emoji, accents and the scripts of the world are left alone."""

from __future__ import annotations

import pytest

from agents.invisible import first_hidden, name_of

HIDDEN = {
    "zero-width space": "a\u200bb",
    "zero-width non-joiner between Latin letters": "a\u200cb",
    "zero-width joiner between Latin letters": "a\u200db",
    "word joiner": "a\u2060b",
    "byte order mark": "a\ufeffb",
    "soft hyphen": "a\u00adb",
    "right-to-left override": "a\u202eb",
    "left-to-right isolate": "a\u2066b",
    "left-to-right mark": "a\u200eb",
    "Arabic letter mark": "a\u061cb",
    "a tag letter": "a\U000e0041b",
    "combining grapheme joiner": "a\u034fb",
    "Hangul filler": "a\u3164b",
    "half-width Hangul filler": "a\uffa0b",
    "Mongolian vowel separator": "a\u180eb",
    "invisible times": "a\u2062b",
    "musical begin beam": "a\U0001d173b",
    "braille blank": "a\u2800b",
    "variation selector on a letter": "a\ufe0fb",
    "variation selector that carries data": "a\U000e0131b",
    "interlinear annotation": "a\ufff9b",
    "line separator": "a\u2028b",
    "paragraph separator": "a\u2029b",
    "NUL": "a\x00b",
    "escape": "a\x1bb",
    "vertical tab": "a\x0bb",
    "form feed": "a\x0cb",
    "file separator": "a\x1cb",
    "next line": "a\x85b",
    "delete": "a\x7fb",
    "carriage return": "a\rb",
    "half a surrogate pair": "a\ud800b",
    "private use": "a\ue000b",
    "no character": "a\uffffb",
}
FINE = {
    "plain": "Be kind.\n\tAlways: «yes» — ¿no? 100 % ±1 µm © ½",
    "accents, composed and not": "é e\u0301 Åse Ł ß ẞ",
    "a family": "👨\u200d👩\u200d👧\u200d👦",
    "heart on fire": "❤\ufe0f\u200d🔥",
    "a coder with a skin tone": "👩🏽\u200d💻",
    "rainbow flag": "🏳\ufe0f\u200d🌈",
    "a flag of two letters": "🇩🇪",
    "keycap": "1\ufe0f\u20e3 and #\ufe0f\u20e3",
    "text heart": "❤\ufe0e",
    "information": "ℹ\ufe0f",
    "an emoji younger than this Python": "\U0001fae8",
    "Persian": "می\u200cخواهم",
    "Hindi with a joiner": "क्\u200dष",
    "Sinhala": "ශ්\u200dරී",
    "Arabic year sign": "\u0601 ١٢",
    "Chinese, Japanese, Korean": "你好 こんにちは 안녕",
    "Hebrew with points": "שָׁלוֹם",
    "Thai": "สวัสดี",
    "other spaces": "a\u00a0b\u3000c\u2009d",
}
MISUSED = {
    "a joiner after an emoji and before a letter": ("👍\u200da", 1),
    "a joiner at the start": ("\u200d👍", 0),
    "a joiner at the end": ("👍\u200d", 1),
    "two joiners": ("👍\u200d\u200d👍", 1),
    "two selectors": ("👍\ufe0f\ufe0f", 2),
    "a selector on a digit that is no keycap": ("1\ufe0f2", 1),
    "a non-joiner between emoji": ("👍\u200c👍", 1),
    "two non-joiners in Persian": ("می\u200c\u200cخ", 2),
    "a non-joiner at the end of a Persian word": ("می\u200c ", 2),
    "a flag made of tags": ("🏴\U000e0067\U000e0062\U000e007f", 1),
}


@pytest.mark.parametrize("text", HIDDEN.values(), ids=HIDDEN.keys())
def test_what_nobody_can_see_is_found_where_it_stands(text: str) -> None:
    assert first_hidden("Be kind. " + text) == 10


@pytest.mark.parametrize("text", FINE.values(), ids=FINE.keys())
def test_what_can_be_seen_is_fine(text: str) -> None:
    assert first_hidden(text) is None


@pytest.mark.parametrize(("text", "where"), MISUSED.values(), ids=MISUSED.keys())
def test_a_joiner_or_selector_without_neighbours_to_act_on_is_hidden(text: str, where: int) -> None:
    assert first_hidden(text) == where


def test_a_hidden_character_is_named_by_number_and_name() -> None:
    assert name_of("\u200b") == "U+200B, zero width space"
    assert name_of("\x00") == "U+0000, a control character"
    assert name_of("\U000e0041") == "U+E0041, tag latin capital letter a"
